package gateway

import (
	"time"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/gateway/upstream"
)

// A deployment that sleeps has its address all the same: a connection to it is
// what wakes it, and waits there. So a request is passed on as always; what is
// different is that it may have to wait, and that so many may.
const (
	// mostHeld is how many requests wait for one deployment: less than have room
	// in its socket's queue.
	mostHeld = 4000
	// holdTime is how long a request waits for a deployment to wake.
	holdTime = 30 * time.Second
)

// answers says whether requests to d are answered, now or once it is awake.
func answers(d *route.Deployment) bool {
	return d != nil && (d.State == route.Serving || d.State == route.Asleep)
}

// sleeps says whether a deployment sleeps, as far as is known.
func (g *router) sleeps(k route.Key) bool {
	d := g.state.Load().Deployment(k)
	return d != nil && d.State == route.Asleep
}

// serves says whether a deployment serves, as far as is known.
func (g *router) serves(k route.Key) bool {
	d := g.state.Load().Deployment(k)
	return d != nil && d.State == route.Serving
}

// hold takes one of the places of requests that wait, and says in o how this one
// does; false: there is none.
func (g *router) hold(p *pool, k route.Key, o *upstream.Order) bool {
	if p.held.Add(1) > mostHeld {
		p.held.Add(-1)
		return false
	}
	o.Hold = &upstream.Hold{For: holdTime, Over: func() bool { return !g.serves(k) }, Still: func() bool { return g.sleeps(k) }, Left: func() { p.held.Add(-1) }}
	return true
}
