package upstream

import (
	"bufio"
	"context"
	"net"
	"time"

	"github.com/myelin-run/myelin/processor/trunk"
)

const (
	// trunkAt is how many requests at once make a trunk worth while. Below that
	// a connection of its own serves a request with fewer hands.
	trunkAt = 4
	// mostOnLane is how long a request may be that goes over the trunk.
	mostOnLane = 32 << 10
	greetTime  = time.Second
	// pauseTime is how long an address that took no trunk is not asked again.
	pauseTime = 10 * time.Second
)

// lay begins to make a trunk, unless there is one, or cannot be. Requests go on
// meanwhile as before. The pool is locked.
func (p *Pool) lay() {
	if p.trunk != nil || p.laying || !p.sole || time.Now().Before(p.notYet) {
		return
	}
	p.laying = true
	go p.runTrunk() // it ends with the trunk: when the pool retires, or the processor ends
}

// runTrunk makes a trunk and serves it until it ends.
func (p *Pool) runTrunk() {
	t := p.greet()
	p.mu.Lock()
	p.laying = false
	switch {
	case t == nil:
		p.notYet = time.Now().Add(pauseTime)
	case p.retired || !p.sole:
		t.Retire()
	default:
		p.trunk = t
		p.idle.clear()
	}
	p.mu.Unlock()
	if t == nil {
		return
	}
	_ = t.Run() // its connections say so, to the requests on them
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trunk == t {
		p.leaveTrunk()
	}
}

// greet connects and asks for a trunk; nil: there is none to be had.
func (p *Pool) greet() *rail {
	ctx, cancel := context.WithTimeout(context.Background(), greetTime)
	defer cancel()
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil
	}
	if trunk.Greet(nc, greetTime) != nil {
		_ = nc.Close()
		return nil
	}
	r := &rail{Trunk: trunk.New(nc, nil), p: p}
	r.Settle(r.settle)
	return r
}

// leaveTrunk uses the trunk no more. It ends with its last request. The pool is
// locked.
func (p *Pool) leaveTrunk() {
	if p.trunk != nil {
		p.trunk.Retire()
		p.trunk = nil
	}
	p.lanes.clear()
}

// takeLane returns a connection on the trunk; nil if there is none.
func (p *Pool) takeLane() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trunk == nil {
		return nil
	}
	for l := p.lanes.pop(); l != nil; l = p.lanes.pop() {
		if l.usable() {
			return l
		}
		_ = l.Close()
	}
	c, err := p.trunk.Open()
	if err != nil {
		return nil
	}
	// The trunk was there before: it may have ended like a connection that is kept.
	return &link{Conn: c, br: bufio.NewReaderSize(c, readBuffer), lane: true, reused: true, rail: p.trunk, on: c}
}

// OnTrunk is how many connections the pool has on its trunk.
func (p *Pool) OnTrunk() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trunk == nil {
		return 0
	}
	return p.trunk.Len()
}
