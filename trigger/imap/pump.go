package imap

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/myelin-run/myelin/trigger/imap/wire"
	"github.com/myelin-run/myelin/trigger/queue"
)

var (
	errClosed = errors.New("the session is closed")
	errTaken  = errors.New("another processor reads the mailbox now")
)

// pump fetches messages and tells the server what became of them, as long as the
// mailbox is this processor's.
type pump struct {
	*session
	conn *wire.Conn // nil: none is open

	known  map[uint32]time.Time // that are not taken: until when, or zero for ever
	todo   []uint32             // found and not fetched, in order
	about  map[uint32]wire.About
	looked time.Time // for messages
	news   bool      // that there are some more
	ready  *letter   // to be handed out
}

// always is asked back never.
var always = &tenure{give: make(chan struct{}), atOnce: make(chan struct{})}

// run works until the session is closed or lost.
func (p *pump) run(ctx context.Context) error {
	defer func() {
		if p.conn != nil {
			p.conn.Discard()
		}
	}()
	for {
		t, err := p.turn(ctx)
		if err != nil {
			return err
		}
		err = p.tenure(ctx, t)
		if p.src.lease != nil {
			p.src.lease.leave(t)
		}
		if err != nil {
			return err
		}
	}
}

// turnSoon is for how long a connection is kept for a turn that may come.
const turnSoon = 3 * time.Second

// turn waits until the mailbox is this processor's, at last without a connection.
func (p *pump) turn(ctx context.Context) (*tenure, error) {
	l := p.src.lease
	if l == nil {
		return always, nil
	}
	soon, cancel := context.WithTimeout(ctx, turnSoon)
	defer cancel()
	t, err := l.enter(soon, p.closing)
	if err != nil && soon.Err() != nil && ctx.Err() == nil {
		if p.conn != nil {
			p.conn.Close(ctx)
			p.conn = nil
		}
		t, err = l.enter(ctx, p.closing)
	}
	if t == nil && err == nil {
		err = errClosed
	}
	return t, err
}

// tenure reads the mailbox until it is asked back, and all that was handed out is
// settled: nil then.
func (p *pump) tenure(ctx context.Context, t *tenure) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	over := make(chan struct{})
	defer close(over)
	wg.Go(func() { p.heed(t, cancel, over) })
	if p.conn == nil {
		if p.conn, err = p.src.open(ctx); err != nil {
			return err
		}
	}
	p.known, p.about, p.todo, p.ready, p.looked, p.news = map[uint32]time.Time{}, map[uint32]wire.About{}, nil, nil, time.Time{}, false
	err = p.work(ctx, t)
	if cause := context.Cause(ctx); cause != nil && err != nil {
		err = cause
	}
	if err == nil || errors.Is(err, errClosed) {
		p.conn.Close(ctx)
		p.conn = nil
	}
	return err
}

// heed tells the pump that the mailbox is asked back, until the tenure is over.
func (p *pump) heed(t *tenure, cancel context.CancelCauseFunc, over <-chan struct{}) {
	give := t.give
	for {
		select {
		case <-give:
			give = nil
			p.rouse()
		case <-t.atOnce:
			cancel(errTaken)
			return
		case <-over:
			return
		}
	}
}

// work goes on until there is nothing more to do under a tenure.
func (p *pump) work(ctx context.Context, t *tenure) error {
	for {
		if err := p.tell(ctx); err != nil {
			return err
		}
		leaving := false
		select {
		case <-p.closing:
			if p.settled() {
				return errClosed
			}
			continue // it came in between
		case <-t.give:
			if p.idle() {
				return nil
			}
			leaving, p.ready = true, nil
		default:
		}
		if !leaving {
			if err := p.look(ctx); err != nil {
				return err
			}
		}
		if err := p.wait(ctx, leaving); err != nil {
			return err
		}
	}
}

// settled reports whether the server knows all verdicts.
func (p *pump) settled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.verdicts) == 0
}

// idle reports whether nothing is handed out, and the server knows all verdicts.
func (p *pump) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open == 0 && len(p.verdicts) == 0
}

// wait hands out what is ready, and waits until there is something to do: wake says
// so.
func (p *pump) wait(ctx context.Context, leaving bool) error {
	out, most := p.out, p.src.cfg.Interval.Std()
	if p.ready == nil {
		out = nil
	}
	if p.ready == nil && !leaving {
		if most = time.Until(p.due()); most <= 0 {
			return nil
		}
		if p.src.cfg.Idle == "auto" && p.conn.Can("IDLE") {
			return p.conn.Idle(ctx, p.wake, most)
		}
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case out <- p.ready:
		p.mu.Lock()
		p.open++ // it may be settled already: nobody else looks
		p.mu.Unlock()
		p.ready = nil
		return nil
	case <-p.wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return p.conn.Noop(ctx)
	}
}

// tell tells the server what became of messages.
func (p *pump) tell(ctx context.Context) error {
	p.mu.Lock()
	vs := p.verdicts
	p.verdicts = nil
	p.mu.Unlock()
	var done, failed, back []uint32
	for _, v := range vs {
		switch v.action {
		case queue.Ack:
			done = append(done, v.uid)
		case queue.Reject:
			failed = append(failed, v.uid)
		case queue.Requeue:
			back = append(back, v.uid)
		}
	}
	if err := p.finish(ctx, done); err != nil {
		return err
	}
	if err := p.conn.Move(ctx, failed, p.src.cfg.FailedTo); err != nil {
		return err
	}
	for _, n := range append(done, failed...) {
		p.known[n] = time.Now().Add(settles)
	}
	for _, n := range back {
		delete(p.known, n)
	}
	return nil
}

// settles is how long what a server was told of a message may be seen otherwise: one
// that keeps flags in the names of files finds old names while it renames them. A
// message is not taken again so soon, whatever a search says.
const settles = time.Minute

// finish does with messages what is to be done with those that are done.
func (p *pump) finish(ctx context.Context, uids []uint32) error {
	switch p.src.cfg.After {
	case Move:
		return p.conn.Move(ctx, uids, p.src.cfg.MoveTo)
	case Delete:
		if err := p.conn.Store(ctx, uids, `\Deleted`); err != nil || !p.conn.Can("UIDPLUS") {
			return err // others remove them, and nobody takes them
		}
		return p.conn.Expunge(ctx, uids)
	}
	return p.conn.Store(ctx, uids, `\Seen`)
}
