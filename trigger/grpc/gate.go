package grpc

import "sync"

// gate counts the events that are in the function, and can be shut.
type gate struct {
	mu    sync.Mutex
	in    int
	empty chan struct{} // closed when the gate is shut and nothing is in; nil: it is open
}

// enter reports whether the gate was open. leave is to be called if it was.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty != nil {
		return false
	}
	g.in++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.in--; g.in == 0 && g.empty != nil {
		close(g.empty)
	}
}

// shut lets nothing more in. It is called once; what it returns is closed when
// all have left.
func (g *gate) shut() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.empty = make(chan struct{})
	if g.in == 0 {
		close(g.empty)
	}
	return g.empty
}
