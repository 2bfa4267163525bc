package link

import (
	"errors"
	"io"

	"github.com/eclipse/paho.golang/packets"
)

// V5 is MQTT 5.
type V5 struct{}

// Version implements [Codec].
func (V5) Version() int { return 5 }

// Read implements [Codec].
func (V5) Read(r io.Reader) (Packet, error) {
	raw, err := packets.ReadPacket(r)
	if err != nil {
		return Packet{}, err
	}
	p := Packet{Kind: raw.Type, ID: raw.PacketID()}
	switch c := raw.Content.(type) {
	case *packets.Publish:
		p.Message = Message{Topic: c.Topic, Body: c.Payload, QoS: c.QoS, Again: c.Duplicate, Retain: c.Retain, Props: c.Properties, ID: c.PacketID}
	case *packets.Connack:
		p.Code, p.Present, p.Props = c.ReasonCode, c.SessionPresent, c.Properties
	case *packets.Disconnect:
		p.Code, p.Props = c.ReasonCode, c.Properties
	case *packets.Suback:
		p.Codes, p.Props = c.Reasons, c.Properties
	case *packets.Puback:
		p.Code, p.Props = c.ReasonCode, c.Properties
	case *packets.Pubrec:
		p.Code, p.Props = c.ReasonCode, c.Properties
	case *packets.Pubcomp:
		p.Code, p.Props = c.ReasonCode, c.Properties
	}
	if p.Kind == Publish && (p.Message.Topic == "" || p.Message.QoS > 2) {
		return p, errors.New("a message without a topic, or with an unknown quality of service")
	}
	return p, nil
}

// Hello implements [Codec].
func (V5) Hello(w io.Writer, h Hello) error {
	c := packets.Connect{ProtocolName: "MQTT", ProtocolVersion: 5, ClientID: h.Client, CleanStart: h.Clean, KeepAlive: h.KeepAlive,
		Username: h.User, UsernameFlag: h.User != "", Password: []byte(h.Password), PasswordFlag: h.Password != "",
		Properties: &packets.Properties{MaximumPacketSize: &h.Most}}
	if h.Expiry > 0 {
		c.Properties.SessionExpiryInterval = &h.Expiry
	}
	if h.Receive > 0 {
		c.Properties.ReceiveMaximum = &h.Receive
	}
	_, err := c.WriteTo(w)
	return err
}

// Subscribe implements [Codec].
func (V5) Subscribe(w io.Writer, id uint16, fs []Filter) error {
	s := packets.Subscribe{PacketID: id, Properties: &packets.Properties{}}
	for _, x := range fs {
		o := packets.SubOptions{Topic: x.Topic, QoS: x.QoS, RetainAsPublished: true, RetainHandling: packets.RetainSendOnSubscribeIfNew}
		if x.NoRetained {
			o.RetainHandling = packets.RetainDoNotSend
		}
		s.Subscriptions = append(s.Subscriptions, o)
	}
	_, err := s.WriteTo(w)
	return err
}

// Unsubscribe implements [Codec].
func (V5) Unsubscribe(w io.Writer, id uint16, filters []string) error {
	_, err := (&packets.Unsubscribe{PacketID: id, Topics: filters, Properties: &packets.Properties{}}).WriteTo(w)
	return err
}

// Publish implements [Codec].
func (V5) Publish(w io.Writer, m *Message) error {
	props := m.Props
	if props == nil {
		props = &packets.Properties{}
	}
	_, err := (&packets.Publish{PacketID: m.ID, Topic: m.Topic, Payload: m.Body, QoS: m.QoS, Retain: m.Retain, Properties: props}).WriteTo(w)
	return err
}

// Bye implements [Codec].
func (V5) Bye(w io.Writer, forGood bool) error {
	d := packets.Disconnect{Properties: &packets.Properties{}}
	if forGood {
		d.Properties.SessionExpiryInterval = new(uint32)
	}
	_, err := d.WriteTo(w)
	return err
}
