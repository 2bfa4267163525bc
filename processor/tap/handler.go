package tap

import (
	"context"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// Pool is what events are handed to.
type Pool interface {
	trigger.Handler
	trigger.BatchHandler
	trigger.Sealer
	trigger.Drainer
	event.Lender
}

// Over returns a handler that hands events of a trigger to p, and has h look at
// them while something is captured.
func (h *Hub) Over(p Pool, of string) trigger.Handler {
	out := &handler{Pool: p, hub: h, of: of}
	out.submits, _ = p.(trigger.Submitter)
	return out
}

type handler struct {
	Pool
	submits trigger.Submitter // nil: p takes none
	hub     *Hub
	of      string
}

// Handle implements [trigger.Handler].
func (h *handler) Handle(ctx context.Context, ev *event.Event, resp *event.Response) error {
	s := h.hub.on.Load()
	if s == nil {
		return h.Pool.Handle(ctx, ev, resp)
	}
	f := s.begin(h.of, ev)
	err := h.Pool.Handle(ctx, ev, resp)
	f.end(resp, err)
	return err
}

// HandleBatch implements [trigger.BatchHandler].
func (h *handler) HandleBatch(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	s := h.hub.on.Load()
	if s == nil {
		h.Pool.HandleBatch(ctx, evs, resps, errs)
		return
	}
	flights, theirs := make([]*flight, len(evs)), make([]*event.Response, len(evs))
	for i, ev := range evs {
		flights[i], theirs[i] = s.begin(h.of, ev), resps[i]
	}
	h.Pool.HandleBatch(ctx, evs, resps, errs)
	left := false // with the function: of one that was abandoned, all are
	for _, err := range errs {
		left = left || err != nil && event.Abandoned(err)
	}
	for i, f := range flights {
		if left && errs[i] == nil {
			theirs[i] = &event.Response{}
		}
		f.end(theirs[i], errs[i])
	}
}

// Pending implements [trigger.Submitter].
func (h *handler) Pending(done func()) trigger.Pending {
	if h.submits == nil {
		return nil
	}
	p := h.submits.Pending(done)
	if p == nil {
		return nil
	}
	return &pending{Pending: p, h: h}
}

// Flush implements [trigger.Submitter].
func (h *handler) Flush() {
	if h.submits != nil {
		h.submits.Flush()
	}
}

// pending is an event on its way, and what is noted of it.
type pending struct {
	trigger.Pending
	h *handler
	f *flight
}

// Submit implements [trigger.Pending].
func (p *pending) Submit(ev *event.Event) bool {
	if s := p.h.hub.on.Load(); s != nil {
		p.f = s.begin(p.h.of, ev)
	}
	ok := p.Pending.Submit(ev)
	if !ok && p.f != nil {
		p.leave()
	}
	return ok
}

// Outcome implements [trigger.Pending].
func (p *pending) Outcome(resp *event.Response) error {
	err := p.Pending.Outcome(resp)
	if p.f != nil {
		if err != nil && event.IsNotRun(err) {
			p.leave() // it comes to Handle
		} else {
			p.f.end(resp, err)
			p.f = nil
		}
	}
	return err
}

// leave forgets an event that is handed over in another way.
func (p *pending) leave() {
	if p.f.e != nil {
		p.f.s.copies.Add(-p.f.size)
	}
	p.f = nil
}
