//go:build !race

package jetstream

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/queue"
)

// What the trigger does with a message beyond what the client did costs no
// memory.
func TestNoAllocationsPerMessage(t *testing.T) {
	b := newBroker(t, shared.NATS(t), nil)
	cfg := defaults()
	cfg.Stream = b.stream
	spec := settings(t, b.spec())
	src, err := newSource(spec, cfg)
	must(t, err)
	q, err := src.Connect(limit(t), queue.Want{Prefetch: 64})
	must(t, err)
	s := q.(*session)
	defer func() { _ = s.Close(limit(t)) }()
	m := &nats.Msg{Subject: "a", Reply: "$JS.ACK.S.c.1.17.20.1700000000000000005.9", Data: make([]byte, 100), Header: nats.Header{"content-type": {"text/plain"}}}
	ms := make([]*queue.Message, 64)
	for i := range ms {
		ms[i] = &queue.Message{}
	}
	ctx := context.Background()
	each := testing.AllocsPerRun(100, func() {
		for range ms {
			s.in <- m
		}
		s.asked.Store(int64(len(ms)))
		n, err := s.take(<-s.in, ms)
		if n != len(ms) || err != nil {
			t.Fatal(n, err)
		}
		for i := range n {
			if err := s.Settle(ctx, ms[i], queue.Verdict{}); err != nil {
				t.Fatal(err)
			}
			ms[i].Event = event.Event{}
		}
	})
	if each > 1 {
		t.Errorf("%v allocations for %d messages", each, len(ms))
	}
}
