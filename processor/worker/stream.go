package worker

import (
	"errors"
	"sync"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// placed is a live stream with the place of its event in a worker. The event's
// deadline is for each wait of the reader for the function: a slow reader costs
// the function no time.
type placed struct {
	runtime.LiveStream
	pool *Pool
	w    *worker
	give func()
}

// Read waits for the next part, and no longer than an event may take.
func (s *placed) Read(b []byte) (n int, err error) {
	if !s.pool.deadlines(s.w) {
		return s.LiveStream.Read(b)
	}
	c := s.begin()
	n, err = s.LiveStream.Read(b)
	if s.pool.leave(s.w, c) && err != nil && errors.Is(err, event.ErrCrashed) {
		err = event.ErrTimeout // the watchdog has told
	}
	return n, err
}

// Close ends the stream, for which the function has as much time, and gives
// the place back.
func (s *placed) Close() error {
	var c *call
	if s.pool.deadlines(s.w) {
		c = s.begin()
	}
	err := s.LiveStream.Close()
	if c != nil {
		s.pool.leave(s.w, c)
	}
	s.give()
	return err
}

func (s *placed) begin() *call {
	c := &call{began: now()}
	s.pool.begin(s.w, c)
	return c
}

// keep has the place in w kept until the stream of resp is closed, if the
// function is still writing it. How long a stream may last is the function's
// business.
func (p *Pool) keep(w *worker, c *call, resp *event.Response, err error) bool {
	if err != nil || resp.Stream == nil {
		return false
	}
	live, ok := resp.Stream.(runtime.LiveStream)
	if !ok {
		return false
	}
	if c != nil {
		p.mu.Lock()
		w.forget(c)
		p.mu.Unlock()
	}
	resp.Stream = &placed{live, p, w, sync.OnceFunc(func() { p.settle(w, nil, nil) })}
	return true
}
