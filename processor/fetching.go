package processor

import (
	"context"
	"slices"

	"github.com/myelin-run/myelin/binding/prefetch"
	"github.com/myelin-run/myelin/binding/remote"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// pooled is what the handlers of pools are.
type pooled interface {
	trigger.Handler
	trigger.BatchHandler
	trigger.Sealer
	trigger.Drainer
	event.Lender
}

// fetching is a handler that fetches what events want of bindings before they
// take a worker.
type fetching struct {
	pooled
	plan *prefetch.Plan
	size int // events that are fetched for at once
}

// fetchSize is that of handlers whose function gets one event at a time.
const fetchSize = 32

// withPrefetch has h fetch, if the spec says so. Size is of the lists that the
// function gets, 0 if it gets none.
func (p *Processor) withPrefetch(h trigger.Handler, size int) trigger.Handler {
	full, ok := h.(pooled)
	if p.plan == nil || !ok {
		return h
	}
	if size == 0 {
		size = fetchSize
	}
	return &fetching{full, p.plan, size}
}

// Handle implements [trigger.Handler].
func (f *fetching) Handle(ctx context.Context, ev *event.Event, resp *event.Response) error {
	got, errs := f.plan.Fetch(ctx, []*event.Event{ev})
	if errs[0] != nil {
		return errs[0]
	}
	ev.Brought = remote.Carry(got[0])
	err := f.pooled.Handle(ctx, ev, resp)
	if !event.Abandoned(err) {
		ev.Brought = nil
	}
	return err
}

// lot are events that are fetched for together.
type lot struct {
	evs   []*event.Event
	resps []*event.Response
	at    []int
}

// HandleBatch implements [trigger.BatchHandler]: while some events run, what the
// next ones want is fetched.
func (f *fetching) HandleBatch(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	next := make(chan lot, 1)
	go func() {
		defer close(next)
		for from := 0; from < len(evs); from += f.size {
			next <- f.fetch(ctx, from, evs, resps, errs)
		}
	}()
	for l := range next {
		if len(l.evs) == 0 {
			continue
		}
		own := make([]error, len(l.evs))
		f.pooled.HandleBatch(ctx, l.evs, l.resps, own)
		left := slices.ContainsFunc(own, event.Abandoned) // with the function, all of them
		for k, i := range l.at {
			errs[i] = own[k]
			if !left {
				l.evs[k].Brought = nil
			}
		}
	}
}

// fetch fetches for the events from one on, and returns those that can run. The
// others have their outcome.
func (f *fetching) fetch(ctx context.Context, from int, evs []*event.Event, resps []*event.Response, errs []error) (l lot) {
	to := min(from+f.size, len(evs))
	got, failed := f.plan.Fetch(ctx, evs[from:to])
	for k, g := range got {
		i := from + k
		if failed[k] != nil {
			errs[i] = failed[k]
			continue
		}
		evs[i].Brought = remote.Carry(g)
		l.evs, l.resps, l.at = append(l.evs, evs[i]), append(l.resps, resps[i]), append(l.at, i)
	}
	return l
}
