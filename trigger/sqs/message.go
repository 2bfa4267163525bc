package sqs

import (
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/queue"
)

// received is a message as the service gives it.
type received struct {
	ID                string `json:"MessageId"`
	ReceiptHandle     string
	Body              string
	Attributes        map[string]string
	MessageAttributes map[string]attribute

	tag uint64
}

// attribute is one that the sender gave a message.
type attribute struct {
	DataType    string
	StringValue string `json:",omitempty"`
	BinaryValue []byte `json:",omitempty"`
}

const (
	traceHeader  = "X-Amzn-Trace-Id"
	parentHeader = "traceparent"
	contentType  = "content-type"
)

// fill makes an event of a message.
func (n *session) fill(m *queue.Message, r *received) {
	m.Tag = r.tag
	m.Event = r.event(n.src.cfg.Queue)
	if times, err := strconv.Atoi(r.Attributes["ApproximateReceiveCount"]); err == nil {
		m.Delivered = max(0, times-1)
	}
}

// event reads a message.
func (r *received) event(queue string) event.Event {
	ev := event.Event{Body: []byte(r.Body), ID: []byte(r.ID), Topic: queue}
	if group := r.Attributes["MessageGroupId"]; group != "" {
		ev.Key = []byte(group)
	}
	if ms, err := strconv.ParseInt(r.Attributes["SentTimestamp"], 10, 64); err == nil {
		ev.Time = time.UnixMilli(ms)
	}
	var headers event.Pairs
	for _, name := range slices.Sorted(maps.Keys(r.MessageAttributes)) {
		a := r.MessageAttributes[name]
		value := []byte(a.StringValue)
		if strings.HasPrefix(a.DataType, "Binary") {
			value = a.BinaryValue
		}
		if strings.EqualFold(name, contentType) {
			ev.ContentType = value
			continue
		}
		headers = append(headers, event.Pair{Key: name, Value: value})
	}
	if trace := r.Attributes["AWSTraceHeader"]; trace != "" {
		headers = append(headers, event.Pair{Key: traceHeader, Value: []byte(trace)})
		if parent := traceparent(trace); parent != "" && headers.Get(parentHeader) == nil {
			headers = append(headers, event.Pair{Key: parentHeader, Value: []byte(parent)})
		}
	}
	if len(headers) > 0 {
		ev.Headers = headers
	}
	return ev
}

// traceparent writes a trace of Amazon's, Root=1-5759e988-bd862e3fe1be46a994272793;
// Parent=53995c3f42cd8ad8;Sampled=1, as W3C has it; "" if it is none.
func traceparent(trace string) string {
	var root, parent string
	flags := "00"
	for part := range strings.SplitSeq(trace, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch k {
		case "Root":
			root = strings.ReplaceAll(strings.TrimPrefix(v, "1-"), "-", "")
		case "Parent":
			parent = v
		case "Sampled":
			if v == "1" {
				flags = "01"
			}
		}
	}
	if !isID(root, 16) || !isID(parent, 8) {
		return ""
	}
	return "00-" + root + "-" + parent + "-" + flags
}

// isID reports whether text is the lower case hex of n bytes that are not all zero.
func isID(text string, n int) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == n && text == strings.ToLower(text) && strings.Trim(text, "0") != ""
}
