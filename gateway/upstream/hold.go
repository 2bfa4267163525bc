package upstream

import (
	"context"
	"errors"
	"syscall"
	"time"
)

// Hold says how a request waits for somebody who is only being started. Whoever
// starts him keeps the address, so that the connection waits in its queue; if
// nobody keeps it, it is tried again.
type Hold struct {
	For time.Duration
	// Over says, when that has passed, that the request was in vain. Else
	// somebody came, and answers.
	Over func() bool
	// Still says that nobody is known to have come.
	Still func() bool
	// Left is called once, when the wait has ended.
	Left func()
}

const (
	firstKnock = 5 * time.Millisecond
	lastKnock  = 200 * time.Millisecond
)

// hold bounds the wait of a request that is held. What it returns ends that.
func (x *exchange) hold() (stop func()) {
	if x.o.Hold == nil {
		return func() {}
	}
	t := time.AfterFunc(x.o.Hold.For, func() {
		if !x.o.Hold.Over() {
			return
		}
		x.mu.Lock()
		defer x.mu.Unlock()
		x.late = true
		if x.l != nil {
			_ = x.l.SetReadDeadline(time.Unix(1, 0))
		}
	})
	return func() {
		t.Stop()
		x.o.Hold.Left()
	}
}

// unheard says whether a request that is held may be sent again: its connection
// was reset, and so whoever had it never read all of it. That is what becomes of
// connections that wait in a queue when the last who has it ends.
func (x *exchange) unheard(err error) bool {
	return x.o.Hold != nil && !x.l.reused && isReset(err) && !x.isLate() && x.o.Hold.Still()
}

func (x *exchange) isLate() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.late
}

// take gets a connection for the request. One that is held tries until somebody
// keeps the address: nothing of it was sent before.
func (x *exchange) take(ctx context.Context) (*link, error) {
	for wait := firstKnock; ; wait = min(2*wait, lastKnock) {
		l, err := x.p.take(ctx, x.small)
		if err == nil || x.o.Hold == nil || !errors.Is(err, syscall.ECONNREFUSED) {
			return l, err
		}
		switch {
		case x.isGone():
			return nil, ErrClient
		case x.isLate():
			return nil, ErrHeld
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ErrTimeout
		}
	}
}
