package link

import (
	"hash/fnv"
	"io"

	five "github.com/eclipse/paho.golang/packets"
)

// The kinds of packets, as both versions number them.
const (
	Connack    = five.CONNACK
	Publish    = five.PUBLISH
	Puback     = five.PUBACK
	Pubrec     = five.PUBREC
	Pubrel     = five.PUBREL
	Pubcomp    = five.PUBCOMP
	Suback     = five.SUBACK
	Unsuback   = five.UNSUBACK
	Pingreq    = five.PINGREQ
	Pingresp   = five.PINGRESP
	Disconnect = five.DISCONNECT
)

// Packet is what is read of a packet, whatever the version. Of version 3.1.1
// Props is nil.
type Packet struct {
	Kind    byte
	ID      uint16
	Code    byte   // of a refusal, in version 5's words
	Codes   []byte // of suback
	Present bool   // of connack: the broker has kept the session
	OldCode byte   // of connack in 3.1.1: why the connection is refused
	Message Message
	Props   *five.Properties
	Skipped int // bytes of a message that was too large to be read
}

// Message is a message of a topic, on its way in or out.
type Message struct {
	Topic  string
	Body   []byte
	QoS    byte
	Again  bool // it was sent before
	Retain bool
	Props  *five.Properties // nil: none
	ID     uint16
}

// Sum tells a message from others.
func (m *Message) Sum() uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, m.Topic)
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(m.Body)
	return h.Sum64()
}

// Hello is what a client says at first.
type Hello struct {
	Client         string
	User, Password string
	Clean          bool
	KeepAlive      uint16
	Expiry         uint32 // seconds
	Receive        uint16 // messages sent ahead
	Most           uint32 // bytes of a packet
}

// Codec is a version of MQTT. Packets that are the same in both are written by
// Conn.
type Codec interface {
	// Version is as the protocol numbers it: 5, or 4 for 3.1.1.
	Version() int
	// Read is called with a whole packet to come.
	Read(r io.Reader) (Packet, error)
	// Hello, and the others, write a packet.
	Hello(w io.Writer, h Hello) error
	Subscribe(w io.Writer, id uint16, fs []Filter) error
	Unsubscribe(w io.Writer, id uint16, filters []string) error
	Publish(w io.Writer, m *Message) error
	// Bye says goodbye, for good if the broker shall forget the session.
	Bye(w io.Writer, forGood bool) error
}

// Filter is a subscription.
type Filter struct {
	Topic      string // with wildcards, and the group that shares it
	QoS        byte
	NoRetained bool // leaves out what the broker retains; of version 5
}
