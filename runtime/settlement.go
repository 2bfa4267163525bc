package runtime

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/myelin-run/myelin/event"
)

// Settlement says what became of an event whose function said that it would
// acknowledge later. As a [Call] it is of the kind CallSettle: Name is the
// trigger, Method is ack, nack or reject, Path the topic, the headers shard and
// offset are decimal, and Body is the message of the error.
type Settlement struct {
	Trigger string // "": the one that acknowledges explicitly, if it is the only one
	Topic   string // "": whichever has the shard
	Shard   int32
	Offset  int64 // as the event had it
	Err     error // nil: done; else its failure, for good if [event.IsPermanent]
}

// Call makes the call that says s.
func (s Settlement) Call() *Call {
	c := &Call{Kind: CallSettle, Name: s.Trigger, Method: "ack", Path: s.Topic,
		Headers: []event.Field{{Key: "shard", Value: strconv.FormatInt(int64(s.Shard), 10)}, {Key: "offset", Value: strconv.FormatInt(s.Offset, 10)}}}
	if s.Err != nil {
		c.Method, c.Body = "nack", []byte(s.Err.Error())
		if event.IsPermanent(s.Err) {
			c.Method = "reject"
		}
	}
	return c
}

// maxReason is the most that is kept of the message of a failure.
const maxReason = 16 << 10

// SettlementOf reads a call of the kind CallSettle, which anybody may have
// written.
func SettlementOf(c *Call) (Settlement, error) {
	s := Settlement{Trigger: c.Name, Topic: c.Path}
	given := map[string]string{}
	for _, h := range c.Headers {
		given[h.Key] = h.Value
	}
	shard, serr := strconv.ParseInt(given["shard"], 10, 32)
	offset, oerr := strconv.ParseInt(given["offset"], 10, 64)
	if serr != nil || oerr != nil {
		return s, event.Errorf(http.StatusBadRequest, "settle event: shard %q, offset %q: want numbers", given["shard"], given["offset"])
	}
	s.Shard, s.Offset = int32(shard), offset
	reason := string(c.Body[:min(len(c.Body), maxReason)])
	if reason == "" {
		reason = "the function did not acknowledge the event"
	}
	switch c.Method {
	case "ack":
	case "nack":
		s.Err = errors.New(reason)
	case "reject":
		s.Err = event.Permanent(errors.New(reason))
	default:
		return s, fmt.Errorf("settle event: %w", event.Errorf(http.StatusBadRequest, "%q is neither ack, nack nor reject", c.Method))
	}
	return s, nil
}
