package link

import "fmt"

// TakenOver is the code of a goodbye to a client whose identifier another has
// connected with.
const TakenOver = 0x8E

// OldVersion is the code of a broker that does not know the version.
const OldVersion = 0x84

// Codes of what is refused for its own sake.
const (
	TopicInvalid   = 0x90
	PacketTooLarge = 0x95
	FormatInvalid  = 0x99
	NoRetain       = 0x9A
)

// reasons are the words for codes of version 5.
var reasons = map[byte]string{
	0x80: "unspecified error", 0x81: "malformed packet", 0x82: "protocol error", 0x83: "implementation specific error",
	OldVersion: "unsupported protocol version", 0x85: "client identifier not valid", 0x86: "bad user name or password", 0x87: "not authorized",
	0x88: "server unavailable", 0x89: "server busy", 0x8A: "banned", 0x8B: "server shutting down", 0x8C: "bad authentication method",
	0x8D: "keep alive timeout", TakenOver: "session taken over", 0x8F: "topic filter invalid", TopicInvalid: "topic name invalid",
	0x91: "packet identifier in use", 0x93: "receive maximum exceeded", 0x94: "topic alias invalid", PacketTooLarge: "packet too large",
	0x96: "message rate too high", 0x97: "quota exceeded", 0x98: "administrative action", FormatInvalid: "payload format invalid",
	NoRetain: "retain not supported", 0x9B: "QoS not supported", 0x9C: "use another server", 0x9D: "server moved",
	0x9E: "shared subscriptions not supported", 0x9F: "connection rate exceeded", 0xA0: "maximum connect time",
	0xA2: "wildcard subscriptions not supported",
}

// oldReasons are version 3.1.1's codes of a refused connection in those of 5.
var oldReasons = map[byte]byte{1: OldVersion, 2: 0x85, 3: 0x88, 4: 0x86, 5: 0x87}

// Refusal is what a broker said no with.
type Refusal struct {
	Code byte
	text string // its own words; may be ""
}

// Denied says that user or password do not do.
func (r *Refusal) Denied() bool { return r.Code == 0x86 || r.Code == 0x87 || r.Code == 0x8C }

func (r *Refusal) Error() string {
	s := reasons[r.Code]
	if s == "" {
		s = "reason"
	}
	s = fmt.Sprintf("%s (0x%02X)", s, r.Code)
	if r.text != "" {
		s += ": " + r.text
	}
	return s
}

// Refused makes a refusal of what the broker sent.
func (p *Packet) Refused(code byte) *Refusal {
	r := &Refusal{Code: code}
	if p.Props != nil {
		r.text = p.Props.ReasonString
	}
	return r
}
