//go:build !race

package nats

import (
	"context"
	"testing"

	client "github.com/nats-io/nats.go"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/queue"
)

// What the trigger does with a message beyond what the client did costs no
// memory.
func TestNoAllocationsPerMessage(t *testing.T) {
	s := &session{src: &source{}, in: make(chan *client.Msg, 1000), drained: make(chan struct{})}
	m := &client.Msg{Subject: "a", Data: make([]byte, 100), Header: client.Header{"Nats-Msg-Id": {"id"}, "content-type": {"text/plain"}}}
	ms := make([]*queue.Message, 64)
	for i := range ms {
		ms[i] = &queue.Message{}
	}
	for range 64 {
		s.in <- m
	}
	close(s.drained)
	ctx := context.Background()
	each := testing.AllocsPerRun(100, func() {
		n := s.rest(ms)
		for i := range n {
			_ = s.Settle(ctx, ms[i], queue.Verdict{})
			ms[i].Event = event.Event{}
			s.in <- m
		}
	})
	if each > 0 {
		t.Errorf("%v allocations for %d messages", each, len(ms))
	}
}
