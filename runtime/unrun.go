package runtime

import (
	"context"
	"slices"

	"github.com/myelin-run/myelin/event"
)

// Run runs all of the events that it is given, and sets each of errs.
type Run func(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error)

// OnlyUnrun has run see those events of a batch whose entry in errs is
// event.ErrNotRun, as [Batcher] asks, and puts their outcomes in their places.
func OnlyUnrun(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error, run Run) {
	if !slices.ContainsFunc(errs, func(err error) bool { return !event.IsNotRun(err) }) {
		run(ctx, evs, resps, errs)
		return
	}
	var at []int
	var someEvs []*event.Event
	var someResps []*event.Response
	for k, err := range errs {
		if event.IsNotRun(err) {
			at, someEvs, someResps = append(at, k), append(someEvs, evs[k]), append(someResps, resps[k])
		}
	}
	someErrs := make([]error, len(at))
	run(ctx, someEvs, someResps, someErrs)
	for n, k := range at {
		errs[k] = someErrs[n]
	}
}
