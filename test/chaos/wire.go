package chaos

import "encoding/binary"

// The kinds of MQTT packets that say something of a message, or of a session.
const (
	connect     = 1
	connack     = 2
	publish     = 3
	puback      = 4
	pubrec      = 5
	pubrel      = 6
	pubcomp     = 7
	subscribe   = 8
	suback      = 9
	unsubscribe = 10
	unsuback    = 11
	disconnect  = 14
)

var kinds = map[byte]string{connect: "CONNECT", connack: "CONNACK", publish: "PUBLISH", puback: "PUBACK", pubrec: "PUBREC", pubrel: "PUBREL",
	pubcomp: "PUBCOMP", subscribe: "SUBSCRIBE", suback: "SUBACK", unsubscribe: "UNSUBSCRIBE", unsuback: "UNSUBACK", disconnect: "DISCONNECT"}

// wire cuts one direction of a connection into packets.
type wire struct{ rest []byte }

// packets are those that are whole with the bytes that have come; the last of
// them is valid until more is called.
func (w *wire) more(data []byte, each func(packet)) {
	w.rest = append(w.rest, data...)
	for {
		length, head := binary.Uvarint(w.rest[min(1, len(w.rest)):]) // of seven bits a byte, as MQTT has it
		if head <= 0 || len(w.rest) < 1+head+int(length) {
			return
		}
		each(packet{kind: w.rest[0] >> 4, flags: w.rest[0] & 15, body: w.rest[1+head : 1+head+int(length)]})
		w.rest = w.rest[1+head+int(length):]
	}
}

// packet is one without its length.
type packet struct {
	kind, flags byte
	body        []byte
}

// id is 0 where there is none.
func (p packet) id() uint16 {
	at := 0
	switch {
	case p.kind == publish && p.flags&6 != 0:
		at = 2 + int(p.number(0))
	case p.kind < puback || p.kind > unsuback:
		return 0
	}
	return p.number(at)
}

func (p packet) number(at int) uint16 {
	if at+2 > len(p.body) {
		return 0
	}
	return binary.BigEndian.Uint16(p.body[at:])
}

// client is who connects.
func (p packet) client() string {
	at := 10
	if len(p.body) > 12 && p.body[6] == 5 {
		length, n := binary.Uvarint(p.body[at:])
		at += n + int(length)
	}
	end := at + 2 + int(p.number(at))
	return string(p.body[min(at+2, len(p.body)):min(end, len(p.body))])
}

// code is what the broker, or who acks, has to say.
func (p packet) code() byte {
	at := 2
	if p.kind == connack {
		at = 1
	}
	if p.kind == publish || at >= len(p.body) {
		return 0
	}
	return p.body[at]
}
