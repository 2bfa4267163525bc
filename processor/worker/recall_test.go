package worker

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// heap is an instance that, like a worker process, has a queue of its own and
// runs one event at a time, for as long as the body says.
type heap struct {
	id    int
	mu    sync.Mutex
	queue []*queued
	era   int
	run   sync.Mutex
}

type queued struct {
	era   int
	state chan bool // true: run it; false: called back
	begun bool
}

func (h *heap) Depth() int { return 16 }

func (h *heap) Recall() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.era++
	for _, q := range h.queue {
		if !q.begun && q.era < h.era-1 {
			q.begun = true
			q.state <- false
			n++
		}
	}
	return n
}

func (h *heap) Invoke(_ context.Context, ev *event.Event, resp *event.Response) error {
	q := &queued{state: make(chan bool, 1)}
	h.mu.Lock()
	q.era = h.era
	h.queue = append(h.queue, q)
	h.mu.Unlock()
	go func() {
		h.run.Lock()
		h.mu.Lock()
		mine := !q.begun
		q.begun = true
		h.mu.Unlock()
		if mine {
			d, _ := time.ParseDuration(string(ev.Body))
			time.Sleep(d)
			q.state <- true
		}
		h.run.Unlock()
	}()
	if !<-q.state {
		return event.ErrRecalled
	}
	return nil
}

func (h *heap) Close(context.Context) error { return nil }

type heaps struct{}

func (heaps) Open(_ context.Context, w runtime.Worker) (runtime.Instance, error) {
	return &heap{id: w.ID}, nil
}

// With a second worker at hand, no short event waits for the end of a long one.
func TestSlowEventHoldsNobody(t *testing.T) {
	p := New(heaps{}, Options{Size: 2, Log: slog.New(slog.DiscardHandler)})
	if err := p.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := p.For(time.Minute, nil)
	handle := func(body string) error {
		return h.Handle(context.Background(), &event.Event{Body: []byte(body)}, &event.Response{})
	}
	long := make(chan error, 1)
	go func() { long <- handle("3s") }()
	var short sync.WaitGroup
	for range 20 {
		short.Go(func() {
			if err := handle("10ms"); err != nil {
				t.Error(err)
			}
		})
	}
	short.Wait()
	select {
	case err := <-long:
		t.Errorf("the long event was over (%v) before the short ones", err)
		long <- err
	default:
	}
	if err := <-long; err != nil {
		t.Error(err)
	}
	if s := p.Stats(); s.Restarts != 0 || s.Live != 2 {
		t.Errorf("workers were lost: %+v", s)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
