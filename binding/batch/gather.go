// Package batch gathers writes of many events, and of one, and makes them
// together: when there are enough of them, or the first has waited long enough.
// A write is taken at once; its event, which [data.Pending] stands for, is not
// done before it is, and learns of its failure. It knows no service.
package batch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/binding/data"
)

// Options say when writes are made.
type Options struct {
	Count int           // as soon as there are so many
	Bytes int           // or so many bytes
	Wait  time.Duration // or the first has waited so long
	// Changed hears of each key that is written, once readers wait for the write;
	// nil: nobody does.
	Changed func(key string)
}

// Stats count what was written.
type Stats struct {
	Writes  uint64 `json:"writes"`
	Flushes uint64 `json:"flushes"` // so many at once
	Failed  uint64 `json:"failed"`  // of the writes
	Waiting int    `json:"waiting"`
}

// gatherer gathers writes. One lot of them is made at a time, so that they stay
// in order; meanwhile the next gathers, and who finds it full waits.
type gatherer[W any] struct {
	o     Options
	size  func(W) int
	write func(context.Context, []W) []error

	mu      sync.Mutex
	open    []one[W]
	bytes   int
	timer   *time.Timer // of the open lot
	due     bool        // the open lot is not to wait
	busy    bool        // a lot is being made
	room    chan struct{}
	running sync.WaitGroup

	writes, flushes, failed atomic.Uint64
}

type one[W any] struct {
	w  W
	of *data.Pending
}

func newGatherer[W any](o Options, size func(W) int, write func(context.Context, []W) []error) *gatherer[W] {
	return &gatherer[W]{o: o, size: size, write: write, room: make(chan struct{})}
}

// Stats returns what was counted.
func (g *gatherer[W]) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Stats{Writes: g.writes.Load(), Flushes: g.flushes.Load(), Failed: g.failed.Load(), Waiting: len(g.open)}
}

// add takes a write, or says that it did not. If it belongs to no event, it is
// done when add returns, unless ctx has ended.
func (g *gatherer[W]) add(ctx context.Context, w W) (taken bool, err error) {
	of := data.PendingOf(ctx)
	alone := of == nil
	if alone {
		of = &data.Pending{}
	}
	if err := g.put(ctx, one[W]{w, of}); err != nil || !alone {
		return err == nil, err
	}
	return true, of.Wait(ctx)
}

func (g *gatherer[W]) put(ctx context.Context, o one[W]) error {
	for {
		g.mu.Lock()
		if !g.full() {
			break
		}
		room := g.room
		g.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return data.As(data.Timeout, ctx.Err())
		}
	}
	defer g.mu.Unlock()
	o.of.Begin()
	g.open = append(g.open, o)
	g.bytes += g.size(o.w)
	switch {
	case g.full():
		g.begin()
	case len(g.open) == 1:
		g.timer = time.AfterFunc(g.o.Wait, g.flush)
	}
	return nil
}

func (g *gatherer[W]) full() bool { return len(g.open) >= g.o.Count || g.bytes >= g.o.Bytes }

// flush has what is there made now.
func (g *gatherer[W]) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.open) > 0 {
		g.begin()
	}
}

// begin has the open lot made as soon as none is. mu is held.
func (g *gatherer[W]) begin() {
	g.due = true
	if !g.busy {
		g.busy = true
		g.running.Go(g.run)
	}
}

// run makes lots until none is due.
func (g *gatherer[W]) run() {
	for {
		g.mu.Lock()
		if !g.due {
			g.busy = false
			g.mu.Unlock()
			return
		}
		lot := g.open
		g.open, g.bytes, g.due = make([]one[W], 0, len(lot)), 0, false // the next is about as large
		if g.timer != nil {
			g.timer.Stop()
			g.timer = nil
		}
		close(g.room)
		g.room = make(chan struct{})
		g.mu.Unlock()
		g.make(lot)
	}
}

// make makes a lot, and tells its events.
func (g *gatherer[W]) make(lot []one[W]) {
	all := make([]W, len(lot))
	for i, o := range lot {
		all[i] = o.w
	}
	errs := g.write(context.Background(), all)
	g.flushes.Add(1)
	g.writes.Add(uint64(len(lot)))
	for i, o := range lot {
		if errs[i] != nil {
			g.failed.Add(1)
		}
		o.of.End(errs[i])
	}
}

// settle has the writes of an event made that are not yet, and waits for them.
// How they went, the event learns at its end.
func (g *gatherer[W]) settle(ctx context.Context) error {
	p := data.PendingOf(ctx)
	if p == nil || !p.Any() {
		return nil
	}
	g.flush()
	_ = p.Wait(ctx)
	return ctx.Err()
}

// held reports whether there are writes that are not done.
func (g *gatherer[W]) held() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.busy || len(g.open) > 0
}

// close makes what is left and waits for it.
func (g *gatherer[W]) close() {
	g.flush()
	g.running.Wait()
}
