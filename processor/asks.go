package processor

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/myelin-run/myelin/binding/cache"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/processor/calls"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/trigger"
)

// asks does what the function asks for. It implements [runtime.Caller]. A
// function only reaches the triggers of its own processor.
type asks struct {
	p       *Processor
	settles sync.WaitGroup // settlements that run, also after their callers have gone
}

// Do implements [runtime.Caller].
func (a *asks) Do(ctx context.Context, c *runtime.Call, answer *event.Response) error {
	switch c.Kind {
	case runtime.CallBinding:
		return a.p.remote.Serve(ctx, c.Scope, c, answer)
	case runtime.CallFunction:
		return a.p.calls.Do(ctx, c, answer)
	}
	s, err := runtime.SettlementOf(c)
	if err != nil {
		return err
	}
	answer.Status = http.StatusNoContent
	return a.settle(ctx, s)
}

const _ = uint(runtime.KeptCounts - cache.Words) // there are enough

// Follow implements [runtime.Keeper].
func (a *asks) Follow(set func(counter int, count uint32)) (stop func()) {
	return a.p.bindings.Changes().Follow(set)
}

// Done implements [runtime.Ender]: transactions that a scope left open are
// undone, and writes that were gathered are made.
func (a *asks) Done(s *runtime.Scope) error {
	if left := a.p.remote.Done(s); left > 0 {
		a.p.flog.Warn("the handler left transactions open: they were undone", "transactions", left)
	}
	return runtime.Unwritten(a.p.remote.Written(s))
}

// settle waits for a settlement, which may take as long as a destination of
// letters is away, but no longer than ctx.
func (a *asks) settle(ctx context.Context, s runtime.Settlement) error {
	t, err := a.p.settler(s.Trigger)
	if err != nil {
		return err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, calls.DefaultTimeout)
		defer cancel()
	}
	done := make(chan error, 1)
	a.settles.Go(func() { done <- t.SettleAt(s.Topic, s.Shard, s.Offset, s.Err) })
	select {
	case err = <-done:
	case <-ctx.Done():
		return event.Errorf(http.StatusGatewayTimeout, "settle event %d: it is under way, and not done in time", s.Offset)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, trigger.ErrMoved):
		return event.Errorf(http.StatusGone, "%s", err)
	}
	return event.Errorf(http.StatusConflict, "%s", err)
}

// settler finds the trigger of a name, or the only one that acknowledges
// explicitly.
func (p *Processor) settler(name string) (trigger.PlaceSettler, error) {
	var found []*feed
	for _, f := range p.feeds {
		if mode := f.spec.ExplicitAckMode; f.name == name || name == "" && mode != "" && mode != "disable" {
			found = append(found, f)
		}
	}
	switch {
	case len(found) == 0 && name == "":
		return nil, event.Errorf(http.StatusConflict, "settle event: no trigger of the function has explicitAckMode enable or explicitOnly")
	case len(found) == 0:
		return nil, event.Errorf(http.StatusNotFound, "settle event: the function has no trigger %q", name)
	case len(found) > 1:
		var names []string
		for _, f := range found {
			names = append(names, f.name)
		}
		return nil, event.Errorf(http.StatusBadRequest, "settle event: name its trigger: the function has %s", strings.Join(names, ", "))
	}
	t, ok := found[0].trigger().(trigger.PlaceSettler)
	if !ok {
		return nil, event.Errorf(http.StatusConflict, "settle event: a %s trigger is acknowledged by the return alone", found[0].spec.Kind)
	}
	return t, nil
}
