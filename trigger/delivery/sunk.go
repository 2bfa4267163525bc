package delivery

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
)

// sunk is Run with a sink: each call of the function is one step with the note
// that its events are done. A call of which an event failed is undone, and made
// again in halves.
func (r *Runner) sunk(ctx context.Context, items []*Item) {
	most := 1
	if r.batch != nil {
		most = len(r.evs)
	}
	for len(items) > 0 {
		n := min(len(items), most)
		well := r.part(ctx, items[:n])
		if items = items[n:]; !well && r.order {
			wait(items)
			return
		}
	}
}

// wait has items run once those before them are done.
func wait(items []*Item) {
	for _, it := range items {
		it.Err = event.ErrNotRun
	}
}

// part runs items in one step, or in parts of it; it reports whether all are
// done.
func (r *Runner) part(ctx context.Context, items []*Item) bool {
	if len(items) == 0 {
		return true
	}
	err := r.step(ctx, items)
	if err == nil {
		return true
	}
	var already *trigger.Already
	if errors.As(err, &already) {
		return r.part(ctx, left(items, already.Done))
	}
	if trigger.IsUnstored(err) {
		r.log.Warn("event is offered again", "error", err)
	}
	n := len(items)
	if n == 1 || !slices.ContainsFunc(items, func(it *Item) bool { return !unharmed(it.Err) }) {
		return false
	}
	if !r.part(ctx, items[:n/2]) && r.order {
		wait(items[n/2:])
		return false
	}
	return r.part(ctx, items[n/2:])
}

// unharmed reports whether an outcome is none of the function's.
func unharmed(err error) bool {
	return err == nil || notRun(err) || errors.Is(err, trigger.ErrMoved)
}

// left returns the items that were not done before.
func left(items []*Item, done []bool) (rest []*Item) {
	for i, it := range items {
		if i < len(done) && done[i] {
			it.Err = nil
		} else {
			rest = append(rest, it)
		}
	}
	return rest
}

// step calls the function once. Its error is nil if all items are done; else
// each that failed has its own.
func (r *Runner) step(ctx context.Context, items []*Item) error {
	ps := make([]trigger.Place, len(items))
	for i, it := range items {
		ps[i] = it.Place
	}
	failed := false
	err := r.sink.Do(ctx, ps, func(ctx context.Context) error {
		if r.batch != nil {
			r.call(ctx, items)
		} else {
			r.alone(ctx, items)
		}
		for _, it := range items {
			if it.Err != nil && !errors.Is(it.Err, event.ErrLater) { // which the policy takes for done
				failed = true
				return it.Err
			}
		}
		return nil
	})
	if err != nil && (!failed || unharmed(err)) {
		for _, it := range items {
			it.Err = err
		}
	}
	return err
}

// burySunk has an event given up and its letter kept in one step, and then sees
// to it that the letter gets where it shall be.
func (p *Policy) burySunk(ctx context.Context, it *Item, l *letter.Letter) bool {
	out, ok := p.sink.(trigger.Outbox)
	if !ok {
		return p.send(ctx, p.failure, p.spare(), l)
	}
	for n := 1; ; n++ {
		var already *trigger.Already
		err := p.sink.Do(context.WithoutCancel(ctx), []trigger.Place{it.Place}, func(ctx context.Context) error { return out.Keep(ctx, l) })
		if errors.As(err, &already) {
			return true // by who had it before, and could not tell
		}
		if err == nil {
			break
		}
		p.log.Error("keep letter failed", "letter", l.ID, "error", err, "failures", n)
		if errors.Is(err, trigger.ErrMoved) || !Sleep(ctx, Reconnect(n)) {
			return false
		}
	}
	p.forward(ctx, out, l)
	return true
}

// forward sends a letter that is kept. One that is not sent when ctx ends stays.
func (p *Policy) forward(ctx context.Context, out trigger.Outbox, l *letter.Letter) {
	if _, busy := p.sending.LoadOrStore(l.ID, true); busy {
		return
	}
	defer p.sending.Delete(l.ID)
	if !p.send(ctx, p.failure, p.spare(), l) {
		return
	}
	if err := out.Sent(context.WithoutCancel(ctx), l); err != nil {
		p.log.Warn("a letter that was sent is still kept; it will be sent again", "letter", l.ID, "error", err)
	}
}

// forwardEvery is how often letters are looked for that nobody sends.
const forwardEvery = 30 * time.Second

// Forward sends letters that are kept and whose processor has died, until ctx
// ends. It returns at once if there can be none.
func (p *Policy) Forward(ctx context.Context) {
	out, ok := p.sink.(trigger.Outbox)
	if !ok || p.failure == nil {
		return
	}
	for {
		ls, err := out.Kept(ctx)
		if err != nil && ctx.Err() == nil {
			p.log.Warn("look for letters that are kept failed", "error", err)
		}
		for _, l := range ls {
			p.forward(ctx, out, l)
		}
		if !Sleep(ctx, forwardEvery) {
			return
		}
	}
}

// Trim tells the sink how far a queue is done for good, if it wants to hear.
func (p *Policy) Trim(ctx context.Context, upTo trigger.Place) {
	t, ok := p.sink.(trigger.Trimmer)
	if !ok {
		return
	}
	if err := t.Trim(ctx, upTo); err != nil && ctx.Err() == nil {
		p.log.Warn("forget what is done for good failed", "error", err)
	}
}

// Sinks reports whether events are done in a sink.
func (p *Policy) Sinks() bool { return p.sink != nil }

// outgoing are the letters that are being sent.
type outgoing = sync.Map
