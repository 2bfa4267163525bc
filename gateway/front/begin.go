package front

// Beginner is a handler that can also begin calls without waiting for what
// answers them, so that one goroutine serves many connections.
type Beginner interface {
	// Batch returns what one such goroutine begins calls with.
	Batch() Batch
}

// Batch begins calls. One goroutine uses it, which must not be held up.
type Batch interface {
	// Begin begins a call, all of which is there. The call's parts are good until
	// it is answered.
	Begin(c *Call) Step
	// Flush sends on what was begun since.
	Flush()
}

// Step is how far Begin came.
type Step int

// Nothing was done, and [Handler] is to serve the call; it is on its way, and
// [Call.Landed] ends that; the whole answer is there; or [Flight] is to finish it.
const (
	Declined Step = iota
	Begun
	Answered
	Unfinished
)

// Flight is a call that was begun and not declined.
type Flight interface {
	// Detach takes a call back that is on its way: it is for Finish. False: it
	// has landed.
	Detach() bool
	// Finish does the rest and waits for it, on a goroutine of the call's own.
	Finish()
	// Written is called instead when an answer that was whole has been written, or
	// could not be.
	Written()
}

// Landed is called once for a call that is on its way, by any goroutine: its
// answer is whole, or it is for Finish.
func (c *Call) Landed(whole bool) {
	c.whole = whole
	c.land()
}
