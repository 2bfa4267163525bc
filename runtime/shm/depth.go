package shm

import (
	"sync/atomic"
	"time"
)

const (
	maxDepth = 64
	// pipelined is how much work may wait in a worker, in handler time: enough
	// to hide a wake-up, too little to notice behind it.
	pipelined = 200 * time.Microsecond
)

// depth says how many events a worker should have in flight: many if its
// handler is fast, one if it is slow, so that an event never waits behind a
// slow one while another worker is free.
type depth struct {
	now   atomic.Int32
	mean  int64 // nanoseconds, exponentially weighted; one writer
	fixed bool
}

// fix makes the depth n for good.
func (d *depth) fix(n int) {
	d.fixed = true
	d.now.Store(int32(n))
}

// observe takes the time of one handler call.
func (d *depth) observe(nanos uint64) {
	if d.fixed {
		return
	}
	took := int64(min(nanos, uint64(time.Hour)))
	if d.mean == 0 {
		d.mean = took
	}
	d.mean += (took - d.mean) / 8
	n := int32(min(max(int64(pipelined)/max(d.mean, 1), 1), maxDepth))
	if n != d.now.Load() {
		d.now.Store(n)
	}
}
