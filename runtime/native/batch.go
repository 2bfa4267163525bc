package native

import (
	"context"
	"log/slog"
	"math"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	myelin "github.com/myelin-run/myelin/sdk/go"
)

// Many runs the function on a list of events. It fills resps and errs, whose
// entries are nil at first; what it returns is the failure of the whole call.
type Many func(ctx *myelin.Context, evs []*event.Event, resps []*event.Response, errs []error) error

// manyOf is callOf for handlers that take lists; nil if handler takes none.
func manyOf(handler any) Many {
	switch h := handler.(type) {
	case func(*myelin.Context, []*event.Event, []*event.Response, []error) error:
		return h
	case func(*myelin.Context, []*event.Event) ([]any, error):
		return func(ctx *myelin.Context, evs []*event.Event, resps []*event.Response, errs []error) error {
			vs, err := h(ctx, evs)
			if err != nil {
				return err
			}
			return answerAll(vs, resps, errs)
		}
	}
	return nil
}

func answerAll(vs []any, resps []*event.Response, errs []error) error {
	if len(vs) != len(resps) {
		return event.Errorf(500, "the handler returned %d responses to %d events", len(vs), len(resps))
	}
	for i, v := range vs {
		if err, failed := v.(error); failed {
			errs[i] = err
		} else {
			errs[i] = Answer(resps[i], v)
		}
	}
	return nil
}

// one lets a function that takes lists run a single event.
func (m Many) one() Call {
	evs, resps, errs := make([]*event.Event, 1), make([]*event.Response, 1), make([]error, 1)
	return func(ctx *myelin.Context, ev *event.Event, resp *event.Response) error {
		evs[0], resps[0], errs[0] = ev, resp, nil
		if err := m(ctx, evs, resps, errs); err != nil {
			return err
		}
		return errs[0]
	}
}

// MaxBatch implements [runtime.Batcher].
func (i *instance) MaxBatch() int {
	if i.many == nil {
		return 0
	}
	return math.MaxInt32
}

// InvokeBatch implements [runtime.Batcher].
func (i *instance) InvokeBatch(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	runtime.OnlyUnrun(ctx, evs, resps, errs, i.runMany)
}

// runMany calls the function. A failure of the call is that of each event.
func (i *instance) runMany(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	clear(errs)
	if err := i.callMany(ctx, evs, resps, errs); err != nil {
		for k := range errs {
			errs[k] = err
		}
	}
}

func (i *instance) callMany(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) (err error) {
	defer recovered(&err, "function panicked")
	ctx, p := i.writes(fetchedAll(ctx, evs))
	defer written(p, &err)
	defer i.undo()
	i.ctx = i.ctx.Next(ctx)
	if level, asked := lowestAsked(evs); asked {
		var records []event.LogRecord
		i.capture.begin(level, &records)
		defer func() {
			i.capture.end()
			share(records, evs, resps)
		}()
	}
	return i.many(i.ctx, evs, resps, errs)
}

// lowestAsked is the lowest level of log records that anybody wants.
func lowestAsked(evs []*event.Event) (level slog.Level, asked bool) {
	for _, ev := range evs {
		if ev.LogAsked && (!asked || ev.LogLevel < level) {
			level, asked = ev.LogLevel, true
		}
	}
	return level, asked
}

// share gives the records of a call to those who want them.
func share(records []event.LogRecord, evs []*event.Event, resps []*event.Response) {
	for i, ev := range evs {
		if !ev.LogAsked {
			continue
		}
		for _, r := range records {
			if r.Level >= ev.LogLevel {
				resps[i].Logs = append(resps[i].Logs, r)
			}
		}
	}
}
