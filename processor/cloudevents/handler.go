// Package cloudevents gives functions CloudEvents in one form, whatever form and
// protocol they came in: attributes are headers that begin with "ce-", the data
// is the body. It stands between triggers and a pool, and knows neither.
package cloudevents

import (
	"context"
	"slices"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/event/cloudevent"
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

// Handler unpacks events on their way to a pool. An event that carries no
// CloudEvent costs it a look at the content type, unless Binary or Required.
type Handler struct {
	Pool
	// Binary has it look at the headers of every event, too.
	Binary bool
	// Required has it refuse events that are no CloudEvents. It implies Binary.
	Required bool
	// Together is how many events of one batch are run at once, at least 1.
	Together int
}

// carries says how ev carries a CloudEvent; other is true if it is to be left as it is.
func (h *Handler) carries(ev *event.Event) (f cloudevent.Form, other bool) {
	if f = cloudevent.FormOf(ev.ContentType); f != cloudevent.None {
		return f, false
	}
	return f, !h.Required && (!h.Binary || !cloudevent.IsBinary(ev))
}

// Handle implements [trigger.Handler].
func (h *Handler) Handle(ctx context.Context, ev *event.Event, resp *event.Response) error {
	form, other := h.carries(ev)
	switch {
	case other:
		return h.Pool.Handle(ctx, ev, resp)
	case form == cloudevent.Batched:
		return h.each(ctx, ev, resp)
	}
	one, err := unpack(ev, form)
	if err != nil {
		return refuse(err)
	}
	return h.Pool.Handle(ctx, one, resp)
}

// HandleBatch implements [trigger.BatchHandler]. Events that are batches
// themselves are run one by one.
func (h *Handler) HandleBatch(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	carries := func(ev *event.Event) bool { _, other := h.carries(ev); return !other }
	if !slices.ContainsFunc(evs, carries) {
		h.Pool.HandleBatch(ctx, evs, resps, errs)
		return
	}
	var l lot
	for i, ev := range evs {
		form, other := h.carries(ev)
		switch {
		case other:
			l.add(i, ev, resps[i])
		case form == cloudevent.Batched:
			errs[i] = h.each(ctx, ev, resps[i])
		default:
			one, err := unpack(ev, form)
			if err != nil {
				errs[i] = refuse(err)
				continue
			}
			l.add(i, one, resps[i])
		}
	}
	l.run(ctx, h.Pool, errs)
}

// lot are the events that the pool gets in one call, and which they were.
type lot struct {
	at    []int
	evs   []*event.Event
	resps []*event.Response
}

func (l *lot) add(i int, ev *event.Event, resp *event.Response) {
	l.at, l.evs, l.resps = append(l.at, i), append(l.evs, ev), append(l.resps, resp)
}

func (l *lot) run(ctx context.Context, p Pool, errs []error) {
	if len(l.evs) == 0 {
		return
	}
	own := make([]error, len(l.evs))
	p.HandleBatch(ctx, l.evs, l.resps, own)
	for k, i := range l.at {
		errs[i] = own[k]
	}
}

// refuse makes the outcome of an event that is no CloudEvent, or a broken one.
func refuse(err error) error { return event.Permanent(event.Errorf(400, "%v", err)) }
