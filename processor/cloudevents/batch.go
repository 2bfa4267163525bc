package cloudevents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/event/cloudevent"
)

// each runs every event of a batch by itself and joins the answers. All of the
// batch fails if one of its events does: who sent it sends all of it again.
func (h *Handler) each(ctx context.Context, ev *event.Event, resp *event.Response) error {
	all, err := cloudevent.ParseBatch(ev.ContentType, ev.Body)
	if err != nil {
		return refuse(err)
	}
	rest, _ := event.CloneValues(others(ev)).(event.Pairs)
	rest = slices.Clip(rest) // all parts add to it
	resps, errs := make([]event.Response, len(all)), make([]error, len(all))
	places := make(chan struct{}, max(h.Together, 1))
	var wg sync.WaitGroup
	for i, ce := range all {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			errs[i] = h.Pool.Handle(ctx, alone(ev, ce, rest), &resps[i])
		})
	}
	wg.Wait()
	if err := failure(all, errs); err != nil {
		return err
	}
	if slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		return event.ErrLater // they have one token
	}
	return join(all, resps, resp)
}

// alone returns a part of a batch that shares nothing with ev's buffers, since a
// part may be abandoned without the others.
func alone(ev *event.Event, ce *cloudevent.Event, rest event.Pairs) *event.Event {
	bare := *ev
	bare.Headers, bare.Body, bare.Loan = nil, nil, nil
	return with(bare.Clone(), ce, rest)
}

// failure is the outcome of a batch: nil if all is done. It is permanent only if
// nothing of it would do better the next time.
func failure(all []*cloudevent.Event, errs []error) error {
	var first error
	failed, permanent := 0, 0
	for i, err := range errs {
		if err == nil || errors.Is(err, event.ErrLater) {
			continue
		}
		failed++
		if event.IsPermanent(err) {
			permanent++
		}
		if first == nil {
			first = fmt.Errorf("event %q: %w", all[i].ID(), err)
		}
	}
	switch {
	case failed == 0:
		return nil
	case failed > 1:
		first = fmt.Errorf("%d of %d events failed, first %w", failed, len(all), first)
	}
	if e := (*event.Error)(nil); errors.As(first, &e) {
		first = event.Errorf(e.Status, "%v", first)
	}
	if failed == permanent {
		return event.Permanent(first)
	}
	return first
}

// answer is what the function said to one event of a batch.
type answer struct {
	ID          string          `json:"id"`
	Status      int             `json:"status"`
	ContentType string          `json:"contentType,omitempty"`
	Body        json.RawMessage `json:"body,omitempty"`
	Base64      []byte          `json:"body_base64,omitempty"`
}

// join makes one answer of those to all events, in their order; an empty one if
// the function had nothing to say.
func join(all []*cloudevent.Event, resps []event.Response, resp *event.Response) error {
	list, said := make([]answer, len(all)), false
	for i := range resps {
		r := &resps[i]
		list[i] = answer{ID: string(all[i].ID()), Status: max(r.Status, 200), ContentType: r.ContentType}
		said = said || len(r.Body) > 0 || r.Status > 200
		list[i].take(r.Body)
		resp.Logs = append(resp.Logs, r.Logs...)
	}
	if !said {
		return nil
	}
	b, err := json.Marshal(list)
	resp.ContentType, resp.Body = "application/json", append(resp.Body, b...)
	return err
}

// take takes a body as JSON if it is some, as text if it is that, and else as bytes.
func (a *answer) take(body []byte) {
	switch {
	case len(body) == 0:
	case json.Valid(body):
		a.Body = body
	case utf8.Valid(body):
		a.Body, _ = json.Marshal(string(body)) // a string always can be
	default:
		a.Base64 = body
	}
}
