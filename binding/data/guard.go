package data

import (
	"context"
	"fmt"
	"time"
)

// Guard bounds the calls of one binding: how long each takes, how many run at
// once, how large a value may be. Calls that may be done twice with no harm are
// tried again while the service is away. The zero Guard bounds nothing. A Guard is
// not changed once it is used.
type Guard struct {
	Name    string        // of the binding, for errors
	Timeout time.Duration // of one call; 0: none but the caller's
	Wait    time.Duration // longest wait for a place among Slots
	Slots   chan struct{} // as many calls run at once as it has room for; nil: any number
	Max     int64         // most bytes of a value; 0: any
	MaxRows int           // most rows of an answer; 0: any
	Hold    time.Duration // longest life of a transaction; 0: a minute
	// Fetches says that what was fetched for an event is looked at first.
	Fetches bool
	// Gate may refuse calls, and hears how those went that it let pass; nil: all pass.
	Gate Gate
	// Observe hears of each call that came to its end; nil: nobody does.
	Observe func(operation string, took time.Duration, err error)
}

// Gate refuses calls of a service that is known to fail. Each Pass that returns
// nil is followed by one Passed.
type Gate interface {
	Pass() error
	Passed(err error)
}

const (
	tries     = 3
	firstWait = 20 * time.Millisecond
)

// run does one call. Again says that it may be done twice.
func (g *Guard) run(ctx context.Context, operation string, again bool, f func(ctx context.Context) error) error {
	began, outer := time.Now(), ctx
	if g.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, g.Timeout)
		defer cancel()
	}
	err := g.enter(ctx)
	if err == nil {
		err = g.try(ctx, again, f)
		g.passed(outer, err)
		g.leave()
	}
	return g.over(operation, began, err)
}

func (g *Guard) try(ctx context.Context, again bool, f func(ctx context.Context) error) error {
	wait := firstWait
	for n := 1; ; n++ {
		err := Classify(f(ctx))
		if ctx.Err() != nil && err != nil && (ReasonOf(err) == 0 || ReasonOf(err) == Away) {
			err = As(Timeout, err) // what broke the connection is that the time was over
		}
		if err == nil || !again || n == tries || ReasonOf(err) != Away {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		wait *= 4
	}
}

// over tells of the end of a call, and where its error came from.
func (g *Guard) over(operation string, began time.Time, err error) error {
	if g.Observe != nil {
		g.Observe(operation, time.Since(began), err)
	}
	if err != nil {
		return fmt.Errorf("%s of binding %s: %w", operation, g.Name, err)
	}
	return nil
}

// enter takes a place, for which it waits no longer than Wait.
func (g *Guard) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return As(Timeout, ctx.Err())
	}
	err := g.place(ctx)
	if err == nil && g.Gate != nil {
		if err = g.Gate.Pass(); err != nil && g.Slots != nil {
			<-g.Slots
		}
	}
	return err
}

// place waits for a place among Slots.
func (g *Guard) place(ctx context.Context) error {
	if g.Slots == nil {
		return nil
	}
	select {
	case g.Slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(g.Wait)
	defer timer.Stop()
	select {
	case g.Slots <- struct{}{}:
		return nil
	case <-timer.C:
		return Errorf(Busy, "all %d connections are in use, and none got free within %s", cap(g.Slots), g.Wait)
	case <-ctx.Done():
		return As(Timeout, ctx.Err())
	}
}

// passed tells how a call went that the gate let pass. One that its caller gave
// up says nothing of the service.
func (g *Guard) passed(ctx context.Context, err error) {
	if g.Gate == nil {
		return
	}
	if err != nil && ctx.Err() != nil {
		err = Busy
	}
	g.Gate.Passed(err)
}

// deferred is the guard of writes that are taken now and made later, by a guard
// of their own.
func (g *Guard) deferred(store any) *Guard {
	if d, ok := store.(Deferrer); !ok || !d.Defers() {
		return g
	}
	own := *g
	own.Slots, own.Gate, own.Observe, own.Timeout = nil, nil, nil, 0 // who makes them has a time of its own
	return &own
}

func (g *Guard) leave() {
	if g.Slots != nil {
		<-g.Slots
	}
}

// fits refuses a value that is too large.
func (g *Guard) fits(n int) error {
	if g.Max > 0 && int64(n) > g.Max {
		return Errorf(TooLarge, "value of %d bytes is above the limit of %d (maxValue)", n, g.Max)
	}
	return nil
}

// handle is what the handles of all classes share.
type handle struct {
	guard *Guard
	lost  error // why there is nothing behind it
}

func (h *handle) run(ctx context.Context, operation string, again bool, f func(ctx context.Context) error) error {
	if h.lost != nil {
		return h.lost
	}
	return h.guard.run(ctx, operation, again, f)
}

func guarded(g *Guard) handle {
	if g == nil {
		g = &Guard{}
	}
	return handle{guard: g}
}
