package v3io

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/myelin-run/myelin/trigger/delivery"
	"github.com/myelin-run/myelin/trigger/stream"
)

// puller reads one shard. The platform does not let a request wait for records:
// a shard that had none is left alone for the polling interval.
type puller struct {
	n      *session
	lease  stream.Lease
	ctx    context.Context
	cancel context.CancelFunc

	next     int64  // sequence of the first record that has not come; 0: the shard is not claimed yet
	location string // "": it is to be sought
	slow     int    // answers in a row that wanted fewer requests

	mu   sync.Mutex
	flow chan struct{} // closed while records may be asked for
}

func (p *puller) run() {
	defer p.slowed(false)
	for p.ctx.Err() == nil {
		err := p.step()
		switch {
		case err == nil || p.ctx.Err() != nil:
			p.slowed(false)
		case errors.Is(err, errThrottled):
			p.slowed(true)
			delivery.Sleep(p.ctx, pauseAfter(err, p.slow))
		default:
			p.giveUp(err)
			return
		}
	}
}

// giveUp ends the session, or the lease alone if the shard is another's.
func (p *puller) giveUp(err error) {
	f, fenced := errors.AsType[*stream.Fenced](err)
	if !fenced {
		p.n.fail(fmt.Errorf("shard %d: %w", p.lease.Shard, p.n.src.explain(err)))
		return
	}
	p.n.src.log.Info("shard is another's", "stream", p.lease.Topic, "shard", p.lease.Shard, "epoch", p.lease.Epoch, "seen", f.Seen)
	p.n.host.Lost(p.lease)
}

// slowed notes whether the platform wants fewer requests.
func (p *puller) slowed(is bool) {
	switch {
	case is:
		if p.slow++; p.slow == 1 {
			p.n.slowed.Add(1)
		}
	case p.slow > 0:
		p.slow = 0
		p.n.slowed.Add(-1)
	}
}

// mostPause bounds how long an answer may have the puller wait.
const mostPause = time.Minute

// pauseAfter is how long to wait after an answer that wants fewer requests, the nth
// in a row: as long as it says, or longer each time.
func pauseAfter(err error, n int) time.Duration {
	if r, ok := errors.AsType[*refusal](err); ok {
		if s, err := strconv.Atoi(r.after); err == nil && s > 0 {
			return min(time.Duration(min(s, 3600))*time.Second, mostPause)
		}
	}
	return delivery.Reconnect(n)
}

// rest leaves the shard alone for the polling interval.
func (p *puller) rest() error {
	delivery.Sleep(p.ctx, time.Duration(p.n.src.cfg.PollingIntervalMs)*time.Millisecond)
	return nil
}

// step does one thing: it claims the shard, finds the place, or asks for records.
func (p *puller) step() error {
	if !p.mayAsk() {
		return nil
	}
	if p.next == 0 {
		return p.claim()
	}
	if p.location == "" {
		if err := p.locate(); err != nil {
			return err
		}
	}
	got, err := p.n.api.records(p.ctx, p.lease.Shard, p.location, p.n.src.cfg.ReadBatchSize)
	switch {
	case errors.Is(err, errLocation):
		p.location = ""
		return p.rest()
	case err != nil:
		return err
	}
	return p.pass(got)
}

// mayAsk waits while the shard is paused; false at the end.
func (p *puller) mayAsk() bool {
	p.mu.Lock()
	flow := p.flow
	p.mu.Unlock()
	select {
	case <-flow:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// claim claims a shard that had no object when it was assigned. All that is in it
// has come since.
func (p *puller) claim() error {
	next, err := p.n.claim(p.ctx, p.lease, false, true)
	if errors.Is(err, errNoObject) {
		return p.rest()
	}
	p.next = next
	return err
}

// locate finds the location of next. Where retention has deleted that, the shard
// goes on at what is left, which is told.
func (p *puller) locate() error {
	at, err := p.n.api.seek(p.ctx, p.lease.Shard, seeking{Type: atSequence, Sequence: p.next})
	r, refused := errors.AsType[*refusal](err)
	if err == nil || !refused || r.Is(errDenied) || r.Is(errThrottled) || r.status >= 500 {
		p.location = at
		return err
	}
	if err := p.n.same(p.ctx, p.lease); err != nil {
		return err
	}
	if at, err = p.n.api.seek(p.ctx, p.lease.Shard, seeking{Type: atEarliest}); err != nil {
		return err
	}
	p.location = at
	return nil
}

// pass hands on what came.
func (p *puller) pass(got *answer) error {
	on := p.location != got.NextLocation
	p.location = got.NextLocation
	b := got.batch(p.lease, p.next)
	if b.Records.Len() == 0 {
		if on && len(got.Records) > 0 {
			return nil // they are before next; those behind may follow at once
		}
		return p.rest()
	}
	first, _ := b.Records.At(0)
	last, _ := b.Records.At(b.Records.Len() - 1)
	if first > p.next && p.next > 1 {
		p.n.src.log.Warn("records were deleted before they were read", "stream", p.lease.Topic, "shard", p.lease.Shard, "from", p.next, "to", first-1)
	}
	select {
	case p.n.came <- b:
		p.next = last + 1
	case <-p.ctx.Done():
		b.Records.Release()
	}
	return nil
}

func (p *puller) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flow:
		p.flow = make(chan struct{})
	default:
	}
}

func (p *puller) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flow:
	default:
		close(p.flow)
	}
}
