package gateway

import (
	"bytes"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/gateway/front"
	"github.com/myelin-run/myelin/gateway/upstream"
)

// Batch implements [front.Beginner].
func (g *router) Batch() front.Batch { return &batch{g: g} }

// batch begins the calls that one loop serves.
type batch struct {
	g  *router
	up upstream.Batch
}

// Flush implements [front.Batch].
func (b *batch) Flush() { b.up.Flush() }

// flight is a call that was begun. Its memory is used for the next one of the
// connection.
type flight struct {
	upstream.Flight
	g      *router
	c      *front.Call
	st     *state
	target route.Target
	choice route.Choice
	order  upstream.Order
}

// Begin implements [front.Batch]. Calls for which something has to be waited for
// are declined, and so are those that the gateway answers itself: only what has
// been decided for good, such as the version, is not left to Serve.
func (b *batch) Begin(c *front.Call) front.Step {
	g := b.g
	st := g.state.Load()
	if st == nil || g.secure || bytes.HasPrefix(c.Req.Target, []byte(resultsPath)) {
		return front.Declined
	}
	facts := factsOf(c)
	w, ok := st.find(c, facts)
	if !ok {
		return front.Declined
	}
	r, ok := st.light(c, &w)
	if !ok {
		return front.Declined
	}
	f, ok := c.Flight.(*flight)
	if !ok {
		f = &flight{g: g, c: c}
		c.Flight = f
	}
	f.st, f.target = st, w.target
	f.order = upstream.Order{Target: w.path, Prefix: w.prefix, Again: safe(c)}
	if w.route != nil {
		c.Note.Route = w.route.Name
	}
	if r != nil && !g.admit(c, r, &f.order) {
		return front.Answered
	}
	return b.send(f, facts)
}

// light says whether the rules of a call's way ask for nothing that takes its
// time, and returns them; nil: there are none.
func (s *state) light(c *front.Call, w *way) (*rule, bool) {
	if w.route == nil {
		return nil, len(s.guarded) == 0 || !s.guarded[route.Key{Namespace: w.target.Namespace, Function: w.target.Function}]
	}
	r := s.rules[ruleKey{w.target.Namespace, w.route.Name}]
	if r == nil {
		return nil, true
	}
	p := &r.policy
	return r, r.broken == nil && r.guard == nil && p.Async == nil && p.Idempotency == nil && (r.cors == nil || string(c.Req.Method) != "OPTIONS")
}

// send sends a call on its way.
func (b *batch) send(f *flight, facts route.Facts) front.Step {
	p, ok := b.g.choose(f.c, f.st, f.target, facts, &f.order, &f.choice)
	switch {
	case !ok:
		return front.Answered
	case f.Begin(p.Pool, f.c, &f.order, &b.up):
		return front.Begun
	}
	return front.Unfinished
}

// Detach implements [front.Flight].
func (f *flight) Detach() bool { return f.Forgo() }

// Finish implements [front.Flight].
func (f *flight) Finish() {
	if err := f.Flight.Finish(); err != nil {
		failed(f.c, f.target, f.choice.Version, err)
	}
	f.g.note(f.c)
}

// Written implements [front.Flight].
func (f *flight) Written() { f.g.note(f.c) }
