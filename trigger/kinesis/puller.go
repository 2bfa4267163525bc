package kinesis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/myelin-run/myelin/trigger/amazon"
	"github.com/myelin-run/myelin/trigger/delivery"
	"github.com/myelin-run/myelin/trigger/stream"
)

// puller reads one shard, once its parents are read. The service does not let a
// request wait for records: a shard that had none is left alone for a while.
type puller struct {
	n      *session
	lease  stream.Lease
	seek   bool
	kept   checkpoint // as it was claimed; of the zero place until that is decided
	ctx    context.Context
	cancel context.CancelFunc

	at       place // behind what was handed on
	next     int64 // number of the record that comes next
	tip      bool  // begin with what comes from now on
	gone     bool  // nothing is left to be read
	iterator string
	events   *amazon.Events // the subscription, with enhanced fan-out
	heard    string         // the number that its last event ended with; "": none
	asked    time.Time
	quiet    time.Duration
	slow     int // answers in a row that wanted fewer requests

	mu    sync.Mutex
	flow  chan struct{} // closed while records may be asked for
	marks []mark        // of what was handed on, and is not kept
}

// mark says which place a number stands for: behind the record that has it.
type mark struct {
	number int64
	place  place
}

func isFenced(err error) bool {
	_, is := errors.AsType[*stream.Fenced](err)
	return is
}

func (p *puller) run() {
	defer p.slowed(false)
	defer p.unsubscribe()
	p.await()
	for p.ctx.Err() == nil && !p.gone {
		err := p.step()
		switch {
		case err == nil || p.ctx.Err() != nil:
			p.slowed(false)
		case amazon.Busy(err) || errors.Is(err, errTaken):
			p.slowed(true)
			delivery.Sleep(p.ctx, delivery.Reconnect(p.slow))
		default:
			p.giveUp(err)
			return
		}
	}
}

// await waits until the parents of the shard are read to their end.
func (p *puller) await() {
	if p.gone || p.at.kind != nowhere {
		return // it was decided when the shard was claimed
	}
	p.n.waits.Add(1)
	defer p.n.waits.Add(-1)
	for slow := 0; ; {
		_, _, _, changed := p.n.src.look(p.lease.Shard)
		ready, err := p.decide(p.ctx)
		switch {
		case ready || p.ctx.Err() != nil:
			return
		case err != nil && amazon.Busy(err):
			slow++
			delivery.Sleep(p.ctx, delivery.Reconnect(slow))
			continue
		case err != nil:
			p.giveUp(p.n.unfenced(err))
			p.gone = true
			return
		}
		select {
		case <-changed:
		case <-p.ctx.Done():
		}
	}
}

// decide finds where the shard is read from; it is not ready while there is a parent
// that is not read to its end.
func (p *puller) decide(ctx context.Context) (ready bool, err error) {
	sh, listed, orphaned, _ := p.n.src.look(p.lease.Shard)
	if !listed {
		p.leave()
		return true, nil
	}
	if p.kept.place.kind == nowhere {
		if !orphaned {
			return false, nil
		}
		at, tip, err := p.n.begins(ctx, sh, p.seek)
		if err != nil {
			return false, err
		}
		c := p.kept
		c.place, c.epoch = at, p.lease.Epoch
		if err := p.n.table.save(ctx, p.lease.Shard, c); err != nil {
			return false, err
		}
		p.kept, p.tip = c, tip
	}
	p.at, p.next = p.kept.place, p.kept.next
	if p.gone = p.at.over(); p.gone {
		p.n.src.finished(p.n.created, p.lease.Shard)
	}
	return true, nil
}

// leave ends the reading of a shard that is not there any more.
func (p *puller) leave() {
	p.gone = true
	at := p.at
	if at.kind == nowhere {
		at = p.kept.place
	}
	if at.kind != nowhere && !at.over() {
		p.n.src.log.Warn("the shard was deleted before it was read to its end", "stream", p.lease.Topic, "shard", p.lease.Shard)
	}
}

// giveUp ends the session, or the lease alone if the shard is another's.
func (p *puller) giveUp(err error) {
	if p.ctx.Err() != nil {
		return
	}
	if !isFenced(err) {
		p.n.fail(fmt.Errorf("shard %d: %w", p.lease.Shard, p.n.src.explain(err)))
		return
	}
	p.n.src.log.Info("shard is another's", "stream", p.lease.Topic, "shard", p.lease.Shard, "epoch", p.lease.Epoch)
	p.n.host.Lost(p.lease)
}

// slowed notes whether the service wants fewer requests.
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

// step does one thing: it finds the place, or asks for records.
func (p *puller) step() error {
	if p.hears() {
		return p.hear()
	}
	if !p.mayAsk() {
		return nil
	}
	if p.iterator == "" {
		if err := p.locate(); err != nil || p.gone {
			return err
		}
	}
	p.asked = time.Now()
	got, err := p.n.api.records(p.ctx, p.iterator, p.most())
	p.quiet = time.Second / time.Duration(p.n.src.cfg.RequestsPerSecond)
	switch {
	case amazon.Is(err, "ExpiredIteratorException"):
		p.iterator = ""
		return nil
	case amazon.Is(err, absent):
		return p.missing(err)
	case err != nil:
		return err
	}
	if got.MillisBehindLatest == 0 {
		p.quiet = max(p.quiet, p.n.src.cfg.PollingPeriod.Std())
	}
	return p.pass(got)
}

// most is how many records are asked for at once.
func (p *puller) most() int {
	most := p.n.src.cfg.RecordsPerRequest
	if p.n.want.Records > 0 {
		most = min(most, p.n.want.Records)
	}
	return most
}

// mayAsk waits until the engine has room and the shard may be asked again; false when
// the lease is over.
func (p *puller) mayAsk() bool {
	p.mu.Lock()
	flow := p.flow
	p.mu.Unlock()
	select {
	case <-flow:
	case <-p.ctx.Done():
		return false
	}
	return delivery.Sleep(p.ctx, time.Until(p.asked.Add(p.quiet)))
}

// locate finds the place.
func (p *puller) locate() (err error) {
	if p.tip {
		p.iterator, err = p.n.api.tip(p.ctx, p.lease.Shard)
		if err == nil {
			p.tip = false
		}
	} else {
		p.iterator, err = p.n.api.iterator(p.ctx, p.lease.Shard, p.at)
	}
	return p.unlocated(err)
}

// unlocated is what a refusal of the place means: where it is not there any more,
// outOfRange says what then. It returns any other error.
func (p *puller) unlocated(err error) error {
	deleted := amazon.Is(err, absent, "InvalidArgumentException")
	switch {
	case !deleted:
		return err
	case p.at.kind != after && p.at.kind != within:
		return p.missing(err)
	}
	if e := p.missing(err); p.gone || !errors.Is(e, err) {
		return e
	}
	if p.n.src.cfg.OutOfRange == toStop {
		return fmt.Errorf("what comes after the checkpoint was deleted, and outOfRange says stop: %w", err)
	}
	p.n.src.log.Warn("what comes after the checkpoint was deleted", "stream", p.lease.Topic, "shard", p.lease.Shard, "checkpoint", p.at, "outOfRange", p.n.src.cfg.OutOfRange)
	p.at = place{kind: atHorizon}
	if p.n.src.cfg.OutOfRange == toLatest {
		p.at, p.tip = now(), true
	}
	return nil
}

// missing looks whether the shard is still there: if it is not, its reading ends. It
// returns err if the shard is there.
func (p *puller) missing(err error) error {
	if e := p.n.describe(p.ctx); e != nil {
		return e
	}
	if _, listed, _, _ := p.n.src.look(p.lease.Shard); listed {
		return err
	}
	p.leave()
	return nil
}

// pass hands on what came, and the end of the shard as something behind it.
func (p *puller) pass(got *answer) error {
	rs := &records{shard: p.lease.Shard}
	b := stream.Batch{Lease: p.lease, Records: rs}
	at, next := p.at, p.next
	var marks []mark
	for i := range got.Records {
		r := &got.Records[i]
		if (at.kind == after || at.kind == within) && less(r.SequenceNumber, at.sequence) {
			return fmt.Errorf("GetRecords: a record with the sequence number %s came after %s", r.SequenceNumber, at.sequence)
		}
		done := -1
		if at.kind == within && at.sequence == r.SequenceNumber {
			done = at.sub
		}
		parts := r.parts()
		for k := done + 1; k < len(parts); k++ {
			at = place{kind: within, sequence: r.SequenceNumber, sub: k}
			if k == len(parts)-1 {
				at = place{kind: after, sequence: r.SequenceNumber}
			}
			rs.all = append(rs.all, part{number: next, of: r, sub: k, several: len(parts) > 1, key: parts[k].key, data: parts[k].data})
			b.Bytes += len(parts[k].data) + len(parts[k].key) + 100
			marks = append(marks, mark{next, at})
			next++
		}
	}
	if p.iterator = got.NextShardIterator; p.iterator == "" {
		marks = append(marks, mark{next, place{kind: atEnd}})
		next++
		b.Through = next
	}
	if len(marks) == 0 {
		return nil
	}
	p.mu.Lock()
	p.marks = append(p.marks, marks...)
	p.mu.Unlock()
	select {
	case p.n.came <- b:
		p.at, p.next, p.gone = at, next, b.Through > 0
	case <-p.ctx.Done():
		rs.Release()
	}
	if p.gone {
		p.n.look() // it has children
	}
	return nil
}

// reached is the place that a position stands for; false if it is kept already.
func (p *puller) reached(next int64) (place, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.marks {
		if m.number == next-1 {
			return m.place, true
		}
	}
	return place{}, false
}

// saved forgets the marks of what is kept.
func (p *puller) saved(next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := 0
	for i < len(p.marks) && p.marks[i].number < next {
		i++
	}
	p.marks = append(p.marks[:0], p.marks[i:]...)
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
