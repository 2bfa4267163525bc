package fault

// Passed is something that was seen of a connection, in the order in which it
// goes out of the proxy: bytes on their way to one side, or the end of both.
type Passed struct {
	Pair     uint64 // numbers the connections
	ToServer bool
	Data     []byte // only until the tap returns; nil: the connection has ended
}

// Tap shows f what is passed on by the connections to come. Those of one
// direction come one after the other. It is called right before the bytes are
// written: the other side cannot answer first, and the last of a connection that
// is reset may not have come through.
func (p *Proxy) Tap(f func(Passed)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tap = f
}

func (c *pair) show(toServer bool, data []byte) {
	if c.tap != nil {
		c.tap(Passed{Pair: c.number, ToServer: toServer, Data: data})
	}
}
