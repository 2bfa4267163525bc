package http

import (
	"time"

	"github.com/myelin-run/myelin/processor/peer"
)

const (
	// ticksPerTimeout is how finely the shortest timeout is kept.
	ticksPerTimeout = 16
	shortestTick    = 5 * time.Millisecond
	longestTick     = time.Second
)

// time sets the coarse clock by the shortest timeout, and the limits in its
// ticks. A limit is rounded up and one is added, as a phase begins anywhere
// within a tick.
func (s *server) time() {
	timeouts := [phases]time.Duration{idle: s.cfg.IdleTimeout.Std(), reading: s.cfg.ReadTimeout.Std(), writing: s.cfg.WriteTimeout.Std()}
	if timeouts[idle] == 0 {
		timeouts[idle] = timeouts[reading]
	}
	for _, d := range timeouts {
		if d > 0 && (s.tick == 0 || d/ticksPerTimeout < s.tick) {
			s.tick = min(max(d/ticksPerTimeout, shortestTick), longestTick)
		}
	}
	for phase, d := range timeouts {
		if d > 0 {
			s.limits[phase] = int64((d+s.tick-1)/s.tick) + 1
		}
	}
}

// sweep runs the clock, and with each tick interrupts the connections whose
// phase has lasted too long, until stop is called.
func (s *server) sweep() (stop func()) {
	if s.tick == 0 {
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(s.tick)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				s.ticks.Add(1)
				s.interruptLate()
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

func (s *server) interruptLate() {
	if s.looped.Load() > 0 {
		s.loop.set.Wake()
	}
	if s.h2 != nil {
		s.h2.late.interrupt(s.ticks.Load(), s.limits[reading])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.trunk != nil && c.trunk.Unused() {
			c.trunk.Leave()
		}
		if !c.left.Load() && c.over() {
			c.interrupt()
		}
		if r := c.stream.Load(); r != nil && peer.Gone(c.Conn) {
			r.cancel.Cancel()
		}
	}
}
