package http

import (
	"sync"
	"time"
)

const (
	// h2most is how much of what is to be written may wait.
	h2most = 64 << 10
	// h2kept is the largest buffer that is kept for what comes next.
	h2kept = 16 << 10
	// h2flush is how long a connection that is closed may take to write the rest.
	h2flush = time.Second
)

// h2out writes what the library has for a connection, by a goroutine of its own.
// The library would write each answer by itself and wait for it; this way what has
// come together meanwhile is written at once.
type h2out struct {
	c       *conn // which times its writes
	mu      sync.Mutex
	work    sync.Cond // there is something to write, or it is over
	room    sync.Cond // something was written, or it failed
	out     []byte    // to be written
	over    bool
	err     error         // of a write: the connection is closed
	written chan struct{} // closed when nothing is written any more
}

func newH2out(c *conn) *h2out {
	o := &h2out{c: c, written: make(chan struct{})}
	o.work.L, o.room.L = &o.mu, &o.mu
	go o.run()
	return o
}

// Write takes b over. It waits while too much waits already; its error may be that
// of an earlier one.
func (o *h2out) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.err == nil && len(o.out) > 0 && len(o.out)+len(b) > h2most {
		o.room.Wait()
	}
	if o.err != nil {
		return 0, o.err
	}
	o.out = append(o.out, b...)
	o.work.Signal()
	return len(b), nil
}

func (o *h2out) run() {
	defer close(o.written)
	var b []byte
	for {
		if b = o.take(b); len(b) == 0 {
			return
		}
		if _, err := o.c.Write(b); err != nil {
			o.fail(err)
			return
		}
	}
}

// take waits for what is to be written, and gives the memory of former back.
// Nothing: it is over.
func (o *h2out) take(former []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.out) == 0 && !o.over {
		o.work.Wait()
	}
	b := o.out
	if o.out = former[:0]; cap(former) > h2kept {
		o.out = nil
	}
	o.room.Signal()
	return b
}

// fail ends the connection, as nobody may be waiting to hear of err.
func (o *h2out) fail(err error) {
	_ = o.c.Conn.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
	o.room.Broadcast()
}

// close writes the rest, if that does not take long. Nothing may be written
// after it.
func (o *h2out) close() {
	o.mu.Lock()
	o.over = true
	o.work.Signal()
	o.mu.Unlock()
	t := time.NewTimer(h2flush)
	defer t.Stop()
	select {
	case <-o.written:
	case <-t.C:
	}
}
