//go:build !race

// The race detector makes pools forget on purpose.
package shm

import (
	"testing"

	"github.com/myelin-run/myelin/event"
)

func TestBatchDoesNotAllocate(t *testing.T) {
	in := openWorker(t, "echo", Limits{})
	c := newBatch("a", "b", "c", "d")
	if n := testing.AllocsPerRun(300, func() {
		for i := range c.errs {
			c.errs[i] = event.ErrNotRun
			c.resps[i].Reset()
		}
		c.run(in)
	}); n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
	if err := c.check(); err != nil {
		t.Error(err)
	}
}
