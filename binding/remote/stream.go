package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/binding/data"
)

func (r *request) stream(s *data.Stream) operations {
	return operations{
		"stream.publish": func(ctx context.Context) error {
			m := data.Message{Topic: r.call.Path, Value: r.body}
			for _, h := range r.call.Headers {
				if name, ok := strings.CutPrefix(h.Key, "H-"); ok {
					m.Headers = append(m.Headers, data.Header{Key: name, Value: h.Value})
				} else if h.Key == "Key" {
					m.Key = []byte(h.Value)
				}
			}
			return r.nothing(s.Publish(ctx, m))
		},
		"stream.publishAll": func(ctx context.Context) error {
			ms, err := messagesOf(r.body)
			if err != nil {
				return err
			}
			return r.nothing(s.PublishAll(ctx, ms))
		},
	}
}

// messagesOf reads a JSON array of messages, each an array: topic, value, key
// and headers, of which the last two may be left out or null. Value and key are
// texts or {"$bytes": "base64"}; any other value is passed on as its JSON text.
func messagesOf(body []byte) ([]data.Message, error) {
	var raw [][]json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, data.Errorf(data.Misuse, "messages are no JSON array of arrays: %w", err)
	}
	ms := make([]data.Message, len(raw))
	for i, parts := range raw {
		if len(parts) < 2 || len(parts) > 4 {
			return nil, data.Errorf(data.Misuse, "message %d has %d parts: it is an array of topic, value, key and headers", i, len(parts))
		}
		if err := messageOf(&ms[i], parts); err != nil {
			return nil, data.Errorf(data.Misuse, "message %d: %w", i, err)
		}
	}
	return ms, nil
}

// places are numbers with commas between.
func places(at []int) string {
	var b []byte
	for i, n := range at {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return string(b)
}

func messageOf(m *data.Message, parts []json.RawMessage) (err error) {
	if err := json.Unmarshal(parts[0], &m.Topic); err != nil {
		return data.Errorf(data.Misuse, "its topic is no text: %w", err)
	}
	if m.Value, err = bytesOf(parts[1]); err != nil {
		return err
	}
	if len(parts) > 2 && string(bytes.TrimSpace(parts[2])) != "null" {
		if c := bytes.TrimSpace(parts[2])[0]; c != '"' && c != '{' {
			return data.Errorf(data.Misuse, "its key is no text")
		}
		if m.Key, err = bytesOf(parts[2]); err != nil {
			return err
		}
	}
	if len(parts) < 4 {
		return nil
	}
	var headers map[string]string
	if err := json.Unmarshal(parts[3], &headers); err != nil {
		return data.Errorf(data.Misuse, "its headers are no object of texts: %w", err)
	}
	for _, k := range slices.Sorted(maps.Keys(headers)) {
		m.Headers = append(m.Headers, data.Header{Key: k, Value: headers[k]})
	}
	return nil
}

func bytesOf(raw json.RawMessage) ([]byte, error) {
	if raw = bytes.TrimSpace(raw); raw[0] != '"' && raw[0] != '{' {
		return raw, nil
	}
	v, err := valueOf(raw)
	switch v := v.(type) {
	case string:
		return []byte(v), err
	case []byte:
		return v, err
	}
	return raw, err
}
