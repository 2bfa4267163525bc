package delivery

import (
	"context"
	"fmt"
	"sync"

	"github.com/myelin-run/myelin/trigger"
)

// Gate is where pause, resume and seek meet the goroutine that brings events.
type Gate struct {
	cond *Condition

	mu      sync.Mutex
	paused  string             // why, "" if not
	changed chan struct{}      // closed and made anew when a wait has to look again
	halt    context.CancelFunc // ends the running fetch, so that what changed is seen
	seek    *seek
}

// seek is a wish to read from elsewhere.
type seek struct {
	start trigger.Start
	done  chan struct{}
}

// NewGate makes a gate that tells cond when it is open and when it is not.
func NewGate(cond *Condition) *Gate { return &Gate{cond: cond, changed: make(chan struct{})} }

// Pause closes the gate; why stands in reports.
func (g *Gate) Pause(why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.paused = why
	g.look()
}

// Resume opens it.
func (g *Gate) Resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.paused = ""
	g.look()
}

func (g *Gate) look() {
	close(g.changed)
	g.changed = make(chan struct{})
	if g.halt != nil {
		g.halt()
	}
}

// Seek asks for a session that begins at a place, and waits for it.
func (g *Gate) Seek(ctx context.Context, to string) error {
	start, err := trigger.ParseStart(to)
	if err == nil && start.Where == trigger.Anywhere {
		err = fmt.Errorf("no place is given")
	}
	if err != nil {
		return fmt.Errorf("seek: %w", err)
	}
	s := &seek{start: start, done: make(chan struct{})}
	g.mu.Lock()
	if g.seek != nil {
		close(g.seek.done) // the later wish goes before it
	}
	g.seek = s
	g.look()
	g.mu.Unlock()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("seek: %w", ctx.Err())
	}
}

// Wish returns the place that the next session shall begin at, if one is
// wanted. Met says that a session which was given it is open.
func (g *Gate) Wish() (start trigger.Start, met func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.seek
	if s == nil {
		return start, func() {}, false
	}
	return s.start, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.seek == s {
			g.seek = nil
			close(s.done)
		}
	}, true
}

// Turn waits while the gate is closed, and makes the context of fetching: it
// ends with either of two others, at a pause and at a seek. ok is false when
// there is nothing to fetch any more: either has ended, or a seek is wanted.
func (g *Gate) Turn(run, session context.Context) (ctx context.Context, cancel context.CancelFunc, ok bool) {
	for {
		g.mu.Lock()
		if g.seek != nil || run.Err() != nil || session.Err() != nil {
			g.mu.Unlock()
			return nil, nil, false
		}
		if g.paused == "" {
			ctx, stop := context.WithCancel(session)
			after := context.AfterFunc(run, stop)
			g.halt = stop
			g.mu.Unlock()
			g.cond.Set(trigger.Running, "")
			return ctx, func() { stop(); after() }, true
		}
		g.cond.Set(trigger.Paused, g.paused)
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-run.Done():
		case <-session.Done():
		}
	}
}
