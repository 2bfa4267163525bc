package link

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// line is a connection of a publisher, with what is on its way over it.
type line struct {
	*Conn
	slots chan struct{} // as many as the broker lets be unconfirmed

	mu      sync.Mutex
	waiting map[uint16]*flight
}

// flight is a message that was sent and is not confirmed.
type flight struct {
	id   uint16
	qos  byte
	done chan error // of one: what the broker said
}

// mostUnconfirmed is how much is sent before the first of it is confirmed.
const mostUnconfirmed = 64

func newLine(c *Conn) *line {
	n := mostUnconfirmed
	if w := c.Welcome.Props; w != nil && w.ReceiveMaximum != nil && *w.ReceiveMaximum > 0 {
		n = min(n, int(*w.ReceiveMaximum))
	}
	l := &line{Conn: c, slots: make(chan struct{}, n), waiting: map[uint16]*flight{}}
	c.Run(l.on)
	return l
}

// on takes what the broker says of a message. Its place is free then, whether
// anybody still waits for it or not.
func (l *line) on(p *Packet) error {
	l.mu.Lock()
	f := l.waiting[p.ID]
	if f == nil || p.Kind != Puback && p.Kind != Pubrec && p.Kind != Pubcomp {
		l.mu.Unlock()
		return nil
	}
	var err error
	switch {
	case p.Code >= 0x80:
		err = p.Refused(p.Code)
	case f.qos == 2 && p.Kind == Pubrec:
		l.mu.Unlock()
		return errors.Join(l.Put(Pubrel, f.id), l.Tell())
	case f.qos == 2 && p.Kind == Puback, f.qos == 1 && p.Kind != Puback:
		l.mu.Unlock()
		return nil // it is not the answer to that
	}
	delete(l.waiting, p.ID)
	l.mu.Unlock()
	f.done <- err
	<-l.slots
	return nil
}

// all sends messages and waits for what the broker says of each.
func (l *line) all(ctx context.Context, ms []Message, errs []error) {
	sent := make([]*flight, len(ms))
	next := 0 // the first that is not waited for yet
	wait := func() {
		if f := sent[next]; f != nil {
			errs[next] = l.confirmed(ctx, f)
		}
		next++
	}
	for i := range ms {
		placed := l.take()
		for ; !placed && next < i; placed = l.take() { // the places are ours: nobody else frees them
			wait()
		}
		if !placed {
			errs[i] = l.place(ctx)
		}
		if errs[i] == nil {
			sent[i], errs[i] = l.send(&ms[i])
		}
	}
	if err := l.Tell(); err != nil {
		l.Fail(l.Cause(err))
	}
	for next < len(ms) {
		wait()
	}
}

// take takes a place, if one is free.
func (l *line) take() bool {
	select {
	case l.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// place waits until there is room for a message.
func (l *line) place(ctx context.Context) error {
	if err := l.Tell(); err != nil {
		return l.Cause(err)
	}
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-l.ended:
		return l.err
	case <-ctx.Done():
		return fmt.Errorf("wait for earlier confirmations: %w", ctx.Err())
	}
}

// send sends a message, for which there is a place; nil: nothing is to be waited
// for.
func (l *line) send(m *Message) (*flight, error) {
	out := *m
	if w := l.Welcome.Props; w != nil && w.MaximumQOS != nil {
		out.QoS = min(out.QoS, *w.MaximumQOS)
	}
	f := l.flight(out.QoS)
	out.ID = f.id
	raw, err := l.encode(&out)
	if err == nil {
		if err = l.Leave(raw); err != nil {
			err = l.Cause(err)
		}
	}
	if err != nil || out.QoS == 0 {
		l.forget(f)
		return nil, err
	}
	return f, nil
}

// forget gives the place of a message back that nobody will confirm.
func (l *line) forget(f *flight) {
	l.mu.Lock()
	mine := l.waiting[f.id] == f
	delete(l.waiting, f.id)
	l.mu.Unlock()
	if mine {
		<-l.slots
	}
}

// flight finds an id that no message on its way has.
func (l *line) flight(qos byte) *flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		id := l.Number()
		if l.waiting[id] == nil {
			f := &flight{id: id, qos: qos, done: make(chan error, 1)}
			l.waiting[id] = f
			return f
		}
	}
}

// confirmed waits for what the broker says of a message. Who gives up leaves it
// on its way: it has its place until the broker has said something.
func (l *line) confirmed(ctx context.Context, f *flight) error {
	if err := l.Tell(); err != nil {
		l.Fail(l.Cause(err))
	}
	select {
	case err := <-f.done:
		return err
	default:
	}
	select {
	case err := <-f.done:
		return err
	case <-l.ended:
		return l.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the broker's confirmation: %w", ctx.Err())
	}
}
