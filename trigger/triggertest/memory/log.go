package memory

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

// Log is a log in shards, and the one group that reads it.
type Log struct {
	Options stream.Options
	Defect  string // plants a mistake, for tests of the suite
	Page    int    // most records of one shard in a Fetch
	// Out is what transactions have sent, in order.
	Out []stream.Output

	deal    sync.Mutex // one move of shards at a time
	mu      sync.Mutex
	changed chan struct{}
	shards  []*logShard
	members []*logSession
	away    bool
	absent  bool
	epochs  uint32
	pauses  int
}

type logShard struct {
	records []triggertest.Record
	times   []time.Time
	kept    int64 // checkpoint; -1: none
	owner   *logSession
	lease   stream.Lease
	next    int64 // to be fetched by the owner
	paused  bool
}

// NewLog makes a log of n shards.
func NewLog(n int) *Log {
	l := &Log{Options: stream.Options{Kind: "memory", Transacts: true}, Page: 20, changed: make(chan struct{})}
	for range n {
		l.shards = append(l.shards, &logShard{kept: -1})
	}
	return l
}

func (l *Log) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Produce implements triggertest.Broker.
func (l *Log) Produce(_ testing.TB, rs ...triggertest.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range rs {
		h := fnv.New32a()
		_, _ = h.Write([]byte(r.Key))
		sh := l.shards[h.Sum32()%uint32(len(l.shards))]
		sh.records = append(sh.records, r)
		sh.times = append(sh.times, time.Now())
	}
	l.wake()
}

// Trigger implements triggertest.Broker.
func (l *Log) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	e, err := stream.New(s, l.Options, (*logSource)(l))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Cut implements triggertest.Cutter.
func (l *Log) Cut(testing.TB) {
	l.deal.Lock()
	defer l.deal.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.members {
		m.lost = errors.New("connection reset")
	}
	l.members = nil
	for _, sh := range l.shards {
		sh.owner = nil
	}
	l.wake()
}

// Away implements triggertest.Switch.
func (l *Log) Away(t testing.TB) {
	l.mu.Lock()
	l.away = true
	l.mu.Unlock()
	l.Cut(t)
}

// Back implements triggertest.Switch.
func (l *Log) Back(testing.TB) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = false
}

// Broken implements triggertest.Breaker.
func (l *Log) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	l.absent = true
	return map[string]triggertest.Broken{"absent": {Trigger: l.Trigger(t, s), Says: "no topic", Mend: func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.absent = false
	}}}
}

// Pauses says how often a shard was paused.
func (l *Log) Pauses() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pauses
}

// Committed says how far the checkpoints of all shards are, together.
func (l *Log) Committed() (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, sh := range l.shards {
		n += max(sh.kept, 0)
	}
	return n
}

// logSource is the log as the engine sees it.
type logSource Log

// Connect implements stream.Source.
func (ls *logSource) Connect(_ context.Context, w stream.Want, s stream.Shards) (stream.Session, error) {
	l := (*Log)(ls)
	l.deal.Lock()
	defer l.deal.Unlock()
	l.mu.Lock()
	if l.away || l.absent {
		defer l.mu.Unlock()
		if l.away {
			return nil, errAway
		}
		return nil, errors.New("no topic of that name")
	}
	m := &logSession{log: l, host: s, want: w, seek: w.Seek}
	l.members = append(l.members, m)
	l.mu.Unlock()
	l.rebalance()
	return m, nil
}

// rebalance gives each member its part: a shard is taken from its old owner in
// an orderly way before the new one has it.
func (l *Log) rebalance() {
	for i, sh := range l.shards {
		l.mu.Lock()
		var to *logSession
		if len(l.members) > 0 {
			to = l.members[i%len(l.members)]
		}
		from, lease := sh.owner, sh.lease
		l.mu.Unlock()
		if from == to {
			continue
		}
		if from != nil && from.lost == nil && l.Defect != "does not revoke" {
			from.host.Revoked(context.Background(), lease)
		}
		if to != nil {
			l.assign(sh, int32(i), to)
		}
	}
}

func (l *Log) assign(sh *logShard, number int32, to *logSession) {
	l.mu.Lock()
	l.epochs++
	sh.owner, sh.paused = nil, false // nothing is fetched of it before Assigned
	sh.lease = stream.Lease{Topic: "memory", Shard: number, Epoch: l.epochs, Shards: int32(len(l.shards))}
	sh.next = max(sh.kept, 0)
	if l.Defect == "loses at moves" {
		sh.next = int64(len(sh.records))
	}
	if to.seek {
		sh.kept, sh.next = 0, 0
		if to.want.Start.Where == trigger.AtOffset {
			sh.next = to.want.Start.Offset
		}
	}
	lease := sh.lease
	l.mu.Unlock()
	if l.Options.Restores {
		if next, ok, err := to.host.From(context.Background(), lease); err == nil && ok {
			l.mu.Lock()
			sh.next = next
			l.mu.Unlock()
		}
	}
	to.host.Assigned(lease)
	l.mu.Lock()
	sh.owner = to
	l.wake()
	l.mu.Unlock()
}

type logSession struct {
	log  *Log
	host stream.Shards
	want stream.Want
	seek bool
	lost error
}

// Fetch implements stream.Session.
func (s *logSession) Fetch(ctx context.Context, take func(stream.Batch)) error {
	l := s.log
	for {
		l.mu.Lock()
		var bs []stream.Batch
		for _, sh := range l.shards {
			if sh.owner == s && !sh.paused && sh.next < int64(len(sh.records)) && s.lost == nil {
				bs = append(bs, s.page(sh))
			}
		}
		changed, lost := l.changed, s.lost
		l.mu.Unlock()
		if lost != nil {
			return lost
		}
		for _, b := range bs {
			take(b)
		}
		if len(bs) > 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *logSession) page(sh *logShard) stream.Batch {
	end := min(sh.next+int64(s.log.Page), int64(len(sh.records)))
	p := &page{from: sh.next, times: sh.times[sh.next:end]}
	for _, r := range sh.records[sh.next:end] {
		p.bytes += len(r.Body)
		p.bodies = append(p.bodies, []byte(r.Body))
		p.keys = append(p.keys, nil)
		if r.Key != "" {
			p.keys[len(p.keys)-1] = []byte(r.Key)
		}
		var h event.Pairs
		for k, v := range r.Headers {
			h = append(h, event.Pair{Key: k, Value: []byte(v)})
		}
		p.headers = append(p.headers, h)
	}
	sh.next = end
	return stream.Batch{Lease: sh.lease, Records: p, Bytes: p.bytes, End: int64(len(sh.records))}
}

// page is a run of records in memory that is spoilt when it is released.
type page struct {
	from         int64
	bytes        int
	bodies, keys [][]byte
	headers      []event.Pairs
	times        []time.Time
	released     bool
}

func (p *page) Len() int { return len(p.bodies) }

func (p *page) At(i int) (int64, []byte) { return p.from + int64(i), p.keys[i] }

func (p *page) Read(i int, ev *event.Event) {
	ev.Body, ev.Time, ev.Headers = p.bodies[i], p.times[i], p.headers[i]
}

func (p *page) Release() {
	if p.released {
		panic("a page was released twice")
	}
	p.released = true
	for i := range p.bodies {
		for k := range p.bodies[i] {
			p.bodies[i][k] = '#'
		}
		for _, h := range p.headers[i] {
			for k := range h.Value {
				h.Value[k] = '#'
			}
		}
	}
}

var errOldLease = errors.New("the lease is an older one")

// Commit implements stream.Session.
func (s *logSession) Commit(_ context.Context, ps []trigger.Position) error {
	l := s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.lost != nil {
		return s.lost
	}
	for _, p := range ps {
		if sh := l.shards[p.Shard]; sh.owner == s && sh.lease.Epoch == p.Epoch {
			if sh.kept > p.Next {
				panic(fmt.Sprintf("shard %d: checkpoint %d after %d", p.Shard, p.Next, sh.kept))
			}
			sh.kept = p.Next
		}
	}
	return nil
}

// Transact implements stream.Transactor.
func (s *logSession) Transact(ctx context.Context, outs []stream.Output, ps []trigger.Position) error {
	l := s.log
	l.mu.Lock()
	for _, p := range ps {
		if sh := l.shards[p.Shard]; sh.owner != s || sh.lease.Epoch != p.Epoch {
			l.mu.Unlock()
			return errOldLease
		}
	}
	if s.lost == nil {
		l.Out = append(l.Out, outs...)
	}
	l.mu.Unlock()
	return s.Commit(ctx, ps)
}

// Pause implements stream.Pauser.
func (s *logSession) Pause(ls ...stream.Lease) { s.pause(true, ls) }

// Resume implements stream.Pauser.
func (s *logSession) Resume(ls ...stream.Lease) { s.pause(false, ls) }

func (s *logSession) pause(on bool, ls []stream.Lease) {
	l := s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range ls {
		if sh := l.shards[x.Shard]; sh.lease.Epoch == x.Epoch {
			sh.paused = on
			if on {
				l.pauses++
			}
		}
	}
	l.wake()
}

// Close implements stream.Session.
func (s *logSession) Close(context.Context) error {
	l := s.log
	l.deal.Lock()
	defer l.deal.Unlock()
	l.mu.Lock()
	if s.lost == nil {
		s.lost = errors.New("closed")
		l.members = slices.DeleteFunc(l.members, func(m *logSession) bool { return m == s })
	}
	for _, sh := range l.shards {
		if sh.owner == s {
			sh.owner = nil
		}
	}
	l.mu.Unlock()
	l.rebalance()
	return nil
}
