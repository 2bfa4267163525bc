package rabbitmq

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/myelin-run/myelin/trigger/queue"
)

// memo is a broker's side of a channel: it knows what is not settled, and
// refuses what a broker would.
type memo struct {
	mu     sync.Mutex
	open   map[uint64]bool
	last   uint64
	fate   map[uint64]queue.Action
	frames int
	fail   error
}

func newMemo() *memo { return &memo{open: map[uint64]bool{}, fate: map[uint64]queue.Action{}} }

func (m *memo) deliver(l *ledger, n int) (ms []*queue.Message) {
	m.mu.Lock()
	for range n {
		m.last++
		m.open[m.last] = true
		ms = append(ms, &queue.Message{Tag: m.last})
	}
	m.mu.Unlock()
	l.open(ms)
	return ms
}

func (m *memo) Ack(tag uint64, multiple bool) error {
	return m.end(tag, multiple, queue.Ack)
}

func (m *memo) Nack(tag uint64, multiple, requeue bool) error {
	if requeue {
		return m.end(tag, multiple, queue.Requeue)
	}
	return m.end(tag, multiple, queue.Reject)
}

func (m *memo) end(tag uint64, multiple bool, a queue.Action) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frames++
	if m.fail != nil {
		return m.fail
	}
	if !m.open[tag] {
		return fmt.Errorf("unknown delivery tag %d", tag)
	}
	for t := range m.open {
		if t == tag || multiple && t < tag {
			delete(m.open, t)
			m.fate[t] = a
		}
	}
	return nil
}

// TestLedger settles messages in any order from many goroutines, while others
// come, and wants the broker to have heard exactly that.
func TestLedger(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	broker := newMemo()
	l := &ledger{send: broker}
	want := map[uint64]queue.Action{}
	var left []*queue.Message
	for range 200 {
		left = append(left, broker.deliver(l, 1+rnd.IntN(100))...)
		if len(left) > 1 { // one stays open for long
			rnd.Shuffle(len(left)-1, func(i, j int) { left[i+1], left[j+1] = left[j+1], left[i+1] })
		}
		n := rnd.IntN(len(left))
		now := left[len(left)-n:]
		left = left[:len(left)-n]
		var all sync.WaitGroup
		for _, m := range now {
			a := []queue.Action{queue.Ack, queue.Ack, queue.Ack, queue.Requeue, queue.Reject}[rnd.IntN(5)]
			want[m.Tag] = a
			all.Go(func() {
				if err := l.settle(m.Tag, a); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(l.news) > 0 {
			t.Fatal("everybody has returned, and something is not told")
		}
		if len(l.entries) > 2*len(left)+100 {
			t.Fatalf("%d entries for %d open messages", len(l.entries), len(left))
		}
	}
	if err := l.ackAll(left); err != nil {
		t.Error(err)
	}
	for _, m := range left {
		want[m.Tag] = queue.Ack
	}
	for tag, a := range want {
		if got, ok := broker.fate[tag]; !ok || got != a {
			t.Errorf("message %d: action %v (%v), want %v", tag, got, ok, a)
		}
	}
	t.Logf("%d messages in %d frames", len(want), broker.frames)
}

func TestLedgerTellsManyAtOnce(t *testing.T) {
	broker := newMemo()
	l := &ledger{send: broker}
	ms := broker.deliver(l, 100)
	if err := l.ackAll(ms); err != nil || broker.frames != 1 || len(broker.open) != 0 {
		t.Errorf("%v, %d frames, %d open, want 1 frame and none", err, broker.frames, len(broker.open))
	}
	if err := l.settle(ms[3].Tag, queue.Ack); err == nil {
		t.Error("a message was settled twice")
	}
}

func TestLedgerKeepsItsError(t *testing.T) {
	broker := newMemo()
	l := &ledger{send: broker}
	ms := broker.deliver(l, 2)
	broker.fail = errors.New("lost")
	for _, m := range ms {
		if err := l.settle(m.Tag, queue.Ack); !errors.Is(err, broker.fail) {
			t.Errorf("settle: %v", err)
		}
	}
}
