package mqtt

import (
	"strings"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/packets"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/trigger/mqtt/link"
)

// message is a message as the broker takes it. Its headers are user properties.
func (p *publisher) message(m *data.Message) (link.Message, error) {
	out := link.Message{Topic: p.prefix + m.Topic, Body: m.Value, QoS: byte(p.cfg.QoS), Retain: p.cfg.Retain}
	if err := link.CheckName(out.Topic); err != nil {
		return out, data.Errorf(data.Misuse, "topic %.80q %w", out.Topic, err)
	}
	if strings.ContainsAny(out.Topic, "+#") || strings.HasPrefix(out.Topic, "$") {
		return out, data.Errorf(data.Misuse, "topic %.80q has a wildcard, or is one of the broker's own, which begin with $", out.Topic)
	}
	if !utf8.Valid(m.Key) {
		return out, data.Errorf(data.Misuse, "a key is text in MQTT, in the header %s", data.KeyHeader)
	}
	typ, headers := m.ContentType()
	out.Props = &packets.Properties{ContentType: link.Text(typ)}
	if m.Key != nil {
		out.Props.User = append(out.Props.User, packets.User{Key: data.KeyHeader, Value: link.Text(string(m.Key))})
	}
	for _, h := range headers {
		out.Props.User = append(out.Props.User, packets.User{Key: h.Key, Value: link.Text(h.Value)})
	}
	return out, nil
}
