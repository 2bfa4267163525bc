package trunk

// Receiver takes what comes on a connection without a goroutine that waits for
// it.
type Receiver interface {
	// Receive is called by the goroutine that runs the trunk with all that came
	// and was not taken; it must neither wait nor use the connection. It returns
	// how much it takes, and whether it is done: then it is called no more. p is
	// good until it returns. ended says that nothing more comes, or that the
	// deadline is over; then it may be any goroutine, and the last call.
	Receive(p []byte, ended bool) (taken int, done bool)
}

// Await gives what comes from now on to r, until that is done or Forgo is called.
// Nobody may read meanwhile. If the connection is not quiet, that is as if it
// had ended.
func (c *Conn) Await(r Receiver) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.to = r
	if c.over || c.closed || c.read.late || c.at < len(c.in) {
		c.hand(nil, true)
	}
}

// Forgo ends what Await began for r, so that the connection can be read again.
// False: r is done.
func (c *Conn) Forgo(r Receiver) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.to != r {
		return false
	}
	c.to = nil
	return true
}

// hand gives p to who waits for it, and returns how much was taken.
func (c *Conn) hand(p []byte, ended bool) int {
	n, done := c.to.Receive(p, ended)
	if done || ended {
		c.to = nil
	}
	c.taken += n
	return n
}

// Queue is Write without waiting: all of p is sent with the next Flush of the
// trunk at the latest, or, if it returns false, nothing.
func (c *Conn) Queue(p []byte) bool {
	c.mu.Lock()
	ok := !c.closed && !c.over && !c.write.late && c.room >= len(p)
	if ok {
		c.room -= len(p)
	}
	c.mu.Unlock()
	if ok {
		c.t.write.Lock()
		c.t.add(c.id, p)
		c.t.write.Unlock()
	}
	return ok
}

// Flush sends what was queued. It does not wait for the other side.
func (t *Trunk) Flush() {
	t.write.Lock()
	if t.busy || t.broken {
		t.write.Unlock()
		return
	}
	t.busy = true
	t.drain(false)
}

// Settle has f called on the goroutine that runs the trunk whenever receivers
// have been given all that one read brought. It is set before Run.
func (t *Trunk) Settle(f func()) { t.settle = f }
