package link

import (
	"errors"
	"fmt"
	"io"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// V3 is MQTT 3.1.1, which the protocol numbers 4.
type V3 struct{}

// Version implements [Codec].
func (V3) Version() int { return 4 }

// Read implements [Codec].
func (V3) Read(r io.Reader) (Packet, error) {
	raw, err := packets.ReadPacket(r)
	if err != nil {
		return Packet{}, err
	}
	p := Packet{ID: raw.Details().MessageID}
	switch c := raw.(type) {
	case *packets.PublishPacket:
		p.Kind, p.Message = Publish, Message{Topic: c.TopicName, Body: c.Payload, QoS: c.Qos, Again: c.Dup, Retain: c.Retain, ID: c.MessageID}
		if c.TopicName == "" || c.Qos > 2 {
			return p, errors.New("a message without a topic, or with an unknown quality of service")
		}
	case *packets.ConnackPacket:
		p.Kind, p.OldCode, p.Present = Connack, c.ReturnCode, c.SessionPresent
	case *packets.SubackPacket:
		p.Kind, p.Codes = Suback, c.ReturnCodes
	case *packets.UnsubackPacket:
		p.Kind = Unsuback
	case *packets.PubackPacket:
		p.Kind = Puback
	case *packets.PubrecPacket:
		p.Kind = Pubrec
	case *packets.PubrelPacket:
		p.Kind = Pubrel
	case *packets.PubcompPacket:
		p.Kind = Pubcomp
	case *packets.PingrespPacket:
		p.Kind = Pingresp
	default:
		return p, fmt.Errorf("a packet that no broker sends: %T", raw)
	}
	return p, nil
}

// Hello implements [Codec].
func (V3) Hello(w io.Writer, h Hello) error {
	c := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	c.ProtocolName, c.ProtocolVersion = "MQTT", 4
	c.ClientIdentifier, c.CleanSession, c.Keepalive = h.Client, h.Clean, h.KeepAlive
	c.Username, c.UsernameFlag = h.User, h.User != ""
	c.Password, c.PasswordFlag = []byte(h.Password), h.Password != ""
	return c.Write(w)
}

// Subscribe implements [Codec].
func (V3) Subscribe(w io.Writer, id uint16, fs []Filter) error {
	s := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	s.MessageID = id
	for _, x := range fs {
		s.Topics, s.Qoss = append(s.Topics, x.Topic), append(s.Qoss, x.QoS)
	}
	return s.Write(w)
}

// Unsubscribe implements [Codec].
func (V3) Unsubscribe(w io.Writer, id uint16, filters []string) error {
	u := packets.NewControlPacket(packets.Unsubscribe).(*packets.UnsubscribePacket)
	u.MessageID, u.Topics = id, filters
	return u.Write(w)
}

// Publish implements [Codec].
func (V3) Publish(w io.Writer, m *Message) error {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.MessageID, p.TopicName, p.Payload, p.Qos, p.Retain = m.ID, m.Topic, m.Body, m.QoS, m.Retain
	return p.Write(w)
}

// Bye implements [Codec].
func (V3) Bye(w io.Writer, _ bool) error {
	return packets.NewControlPacket(packets.Disconnect).Write(w)
}
