package fault

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// pair is one client's connection and the one to the target that it goes on in.
type pair struct {
	proxy  *Proxy
	client *net.TCPConn
	ctx    context.Context // ends when the pair is reset
	stop   context.CancelFunc
	tap    func(Passed)
	number uint64

	mu     sync.Mutex
	server *net.TCPConn // nil until there is one
	over   bool
	half   bool // of HalfClose
}

// chunk is the most that is read at once; so much waits in a queue each way.
const (
	chunk = 16 << 10
	queue = 64
)

func (c *pair) run() {
	defer c.end(reset)
	// In a blackhole nobody is called: a client sees a server that never speaks.
	if !c.fair() {
		return
	}
	conn, err := (&net.Dialer{}).DialContext(c.ctx, "tcp", c.proxy.target)
	if err != nil {
		return // the client is reset: its server is gone
	}
	server := conn.(*net.TCPConn)
	if !c.join(server) {
		reset(server)
		return
	}
	var both sync.WaitGroup
	both.Go(func() { c.pass(c.client, server) })
	both.Go(func() { c.pass(server, c.client) })
	both.Wait()
	c.show(false, nil)
	c.end(func(conn *net.TCPConn) { _ = conn.Close() }) // unless it was reset
}

// join makes the connection known to reset, unless that has been.
func (c *pair) join(server *net.TCPConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.server = server
	}
	return !c.over
}

// parcel is bytes and when they came; none is the end.
type parcel struct {
	data []byte
	came time.Time
}

// pass moves bytes one way: one goroutine reads, this one waits and writes, so
// that a delay holds bytes back without making them fewer.
func (c *pair) pass(from, to *net.TCPConn) {
	parcels := make(chan parcel, queue)
	var reader sync.WaitGroup
	defer reader.Wait()
	reader.Go(func() { c.read(from, parcels) })
	for p := range parcels {
		if !c.hold(p) || !c.fair() {
			continue // reset: empty the queue
		}
		if err := c.deliver(to, p.data); err != nil {
			c.reset()
		}
	}
}

// deliver writes a parcel, or the end: the other way may go on.
func (c *pair) deliver(to *net.TCPConn, data []byte) error {
	c.mu.Lock()
	lost := c.half && to == c.server
	c.mu.Unlock()
	switch {
	case lost:
		return nil
	case data == nil:
		return to.CloseWrite()
	}
	c.show(to != c.client, data)
	return c.write(to, data)
}

func (c *pair) read(from *net.TCPConn, parcels chan<- parcel) {
	defer close(parcels)
	for {
		buf := make([]byte, chunk)
		n, err := from.Read(buf)
		if n > 0 && !c.send(parcels, buf[:n]) {
			return
		}
		switch {
		case errors.Is(err, io.EOF):
			c.send(parcels, nil)
			return
		case err != nil:
			c.reset() // a reset is passed on as one
			return
		}
	}
}

func (c *pair) send(parcels chan<- parcel, data []byte) bool {
	select {
	case parcels <- parcel{data, time.Now()}:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// write sends in steps that keep to the limit.
func (c *pair) write(to *net.TCPConn, data []byte) error {
	for len(data) > 0 {
		w, changed := c.proxy.now()
		step := len(data)
		if w.perSecond > 0 {
			step = min(step, max(1, w.perSecond/50))
		}
		if _, err := to.Write(data[:step]); err != nil {
			return err
		}
		data = data[step:]
		if w.perSecond > 0 {
			c.sleep(time.Second*time.Duration(step)/time.Duration(w.perSecond), changed)
		}
	}
	return nil
}

// hold waits until a parcel's delay has passed, which may change meanwhile.
func (c *pair) hold(p parcel) bool {
	for c.ctx.Err() == nil {
		w, changed := c.proxy.now()
		wait := w.delay
		if w.jitter > 0 {
			wait += time.Duration(rand.Int64N(int64(2*w.jitter+1))) - w.jitter
		}
		rest := wait - time.Since(p.came)
		if rest <= 0 {
			return true
		}
		select {
		case <-time.After(rest):
			return true
		case <-changed:
		case <-c.ctx.Done():
		}
	}
	return false
}

// fair waits until there is no blackhole; restoring one resets, so that this is
// the last of the pair unless there was none.
func (c *pair) fair() bool {
	for c.ctx.Err() == nil {
		w, changed := c.proxy.now()
		if !w.hole {
			return true
		}
		c.sleep(time.Hour, changed)
	}
	return false
}

// sleep waits for a while, for a change of the weather, or for a reset.
func (c *pair) sleep(d time.Duration, changed <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-c.ctx.Done():
	}
}

// reset ends both sides at once, without a goodbye. It may be called again.
func (c *pair) reset() { c.end(reset) }

// end closes both sides in a way, the first time that it is called.
func (c *pair) end(shut func(*net.TCPConn)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over = true
	c.stop()
	shut(c.client)
	if c.server != nil {
		shut(c.server)
	}
}

func (c *pair) halfClose() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.server == nil || c.half {
		return nil
	}
	c.half = true
	return c.server.CloseWrite()
}

// reset closes a connection so that the other side sees a reset, not an end.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}
