package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/myelin-run/myelin/event"
)

// gatherer makes lists of events that come one by one. Whoever completes a
// list, or waits long enough for it, runs it for all.
type gatherer struct {
	size int
	wait time.Duration
	run  func(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error)

	mu   sync.Mutex
	open *gathering // that takes more events; nil if none has begun
	made uint64
}

// gathering is one list. It is used again.
type gathering struct {
	number uint64
	due    time.Duration // as of now()
	evs    []*event.Event
	resps  []*event.Response
	errs   []error
	guests []*guest
}

// guest is one caller of a gathering.
type guest struct {
	done  chan error // of capacity 1; its outcome
	timer *time.Timer
}

var (
	gatherings = sync.Pool{New: func() any { return new(gathering) }}
	guests     = sync.Pool{New: func() any {
		g := &guest{done: make(chan error, 1), timer: time.NewTimer(time.Hour)}
		g.timer.Stop()
		return g
	}}
)

// handle has ev run with others. The caller may give up, by ctx, as long as
// the list is open.
func (g *gatherer) handle(ctx context.Context, ev *event.Event, resp *event.Response) error {
	me := guests.Get().(*guest)
	defer guests.Put(me)
	resp.Takes &^= event.TakesStreams
	b, number, due, mine := g.join(me, ev, resp)
	if !mine {
		me.timer.Reset(due - now())
		defer me.timer.Stop()
		select {
		case err := <-me.done:
			return err
		case <-me.timer.C:
			mine = g.close(b, number)
		case <-ctx.Done():
			if g.leave(b, number, me) {
				return event.ErrBusy
			}
		}
		if !mine {
			return <-me.done
		}
	}
	for range b.evs {
		b.errs = append(b.errs, event.ErrNotRun)
	}
	g.run(context.WithoutCancel(ctx), b.evs, b.resps, b.errs)
	return b.end(me)
}

// join adds an event to the open list, which is run when it is due at the
// latest; full says that it was the last one, and its caller is to run the list.
func (g *gatherer) join(me *guest, ev *event.Event, resp *event.Response) (b *gathering, number uint64, due time.Duration, full bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.made++
		g.open = gatherings.Get().(*gathering)
		g.open.number, g.open.due = g.made, now()+g.wait
	}
	b = g.open
	b.evs, b.resps, b.guests = append(b.evs, ev), append(b.resps, resp), append(b.guests, me)
	if full = len(b.evs) == g.size; full {
		g.open = nil
	}
	return b, b.number, b.due, full
}

// close takes the list for its caller to run, if nobody has.
func (g *gatherer) close(b *gathering, number uint64) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open != b || b.number != number {
		return false
	}
	g.open = nil
	return true
}

// leave takes an event out of the list, if nobody runs it.
func (g *gatherer) leave(b *gathering, number uint64, me *guest) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open != b || b.number != number {
		return false
	}
	i := slices.Index(b.guests, me)
	b.evs, b.resps, b.guests = slices.Delete(b.evs, i, i+1), slices.Delete(b.resps, i, i+1), slices.Delete(b.guests, i, i+1)
	if len(b.evs) == 0 {
		g.open = nil
		gatherings.Put(b)
	}
	return true
}

// end gives everybody their outcome and returns that of me.
func (b *gathering) end(me *guest) (own error) {
	for i, other := range b.guests {
		if other == me {
			own = b.errs[i]
			continue
		}
		other.done <- b.errs[i]
	}
	clear(b.evs)
	clear(b.resps)
	clear(b.guests)
	clear(b.errs)
	b.evs, b.resps, b.guests, b.errs = b.evs[:0], b.resps[:0], b.guests[:0], b.errs[:0]
	gatherings.Put(b)
	return own
}
