package kinesis

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/trigger/amazon"
	"github.com/myelin-run/myelin/trigger/stream"
)

// session reads shards, each with a puller, and keeps their checkpoints.
type session struct {
	src     *source
	api     *api
	table   *table
	created int64 // when the stream was made that it reads
	want    stream.Want
	host    stream.Shards
	came    chan stream.Batch
	broken  chan error    // why a puller gave up
	ask     chan struct{} // that the list of shards is wanted now

	consumer string // that subscribes to shards; "": they are asked again and again

	ctx    context.Context // of the pullers
	cancel context.CancelFunc
	ends   sync.WaitGroup
	slowed atomic.Int32 // pullers that were told to ask less
	waits  atomic.Int32 // pullers that wait for the parents of their shards

	mu  sync.Mutex
	has map[int32]*puller
}

var (
	_ stream.Session    = (*session)(nil)
	_ stream.Keeper     = (*session)(nil)
	_ stream.Pauser     = (*session)(nil)
	_ stream.Complainer = (*session)(nil)
)

func newSession(s *source, a *api, t *table, w stream.Want, host stream.Shards) *session {
	n := &session{src: s, api: a, table: t, want: w, host: host, came: make(chan stream.Batch), broken: make(chan error, 1), ask: make(chan struct{}, 1), has: map[int32]*puller{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// begin asks which shards there are, and which of them are read to their end.
func (n *session) begin(ctx context.Context) error {
	l, err := n.api.list(ctx)
	if err != nil {
		return n.src.explain(err)
	}
	if err := n.table.make(ctx); err != nil {
		return n.src.kept(err)
	}
	if name := n.src.cfg.ConsumerName; name != "" {
		if n.consumer, err = n.api.consumer(ctx, name); err != nil {
			return n.src.explain(err)
		}
	}
	n.created, n.table.prefix = l.created, n.src.keys(l.created)
	n.src.sees(l)
	return n.sift(ctx)
}

// describe asks anew which shards there are.
func (n *session) describe(ctx context.Context) error {
	l, err := n.api.list(ctx)
	if err != nil {
		return n.src.explain(err)
	}
	if l.created != n.created {
		return fmt.Errorf("stream %q was made anew", n.src.cfg.StreamName)
	}
	n.src.sees(l)
	return n.sift(ctx)
}

// sift asks which of the shards that are closed have been read to their end, here or
// elsewhere.
func (n *session) sift(ctx context.Context) error {
	var done []int32
	for _, s := range n.src.unfinished() {
		c, _, err := n.table.get(ctx, s)
		if err != nil {
			return n.src.kept(err)
		}
		if c.place.over() {
			done = append(done, s)
		}
	}
	if len(done) > 0 {
		n.src.finished(n.created, done...)
	}
	return nil
}

// parentsInterval is how often it is asked whether the parents of a shard have been
// read elsewhere.
const parentsInterval = time.Second

// watch asks for the shards again and again.
func (n *session) watch() {
	every := n.src.cfg.DescribeInterval.Std()
	tick := time.NewTicker(min(every, parentsInterval))
	defer tick.Stop()
	for last := time.Now(); ; {
		asked := false
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		case <-n.ask:
			asked = true
		}
		var err error
		switch {
		case asked || time.Since(last) >= every:
			err, last = n.describe(n.ctx), time.Now()
		case n.waits.Load() > 0:
			err = n.sift(n.ctx)
		}
		if err != nil && !amazon.Busy(err) {
			n.fail(err)
		}
	}
}

// look has the list of shards asked for soon.
func (n *session) look() {
	select {
	case n.ask <- struct{}{}:
	default:
	}
}

// Fetch implements [stream.Session].
func (n *session) Fetch(ctx context.Context, take func(stream.Batch)) error {
	select {
	case b := <-n.came:
		take(b)
		return nil
	case err := <-n.broken:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fail has Fetch say why the session is lost, unless it is closed.
func (n *session) fail(err error) {
	if n.ctx.Err() != nil {
		return
	}
	select {
	case n.broken <- err:
	default:
	}
}

// Complaint implements [stream.Complainer].
func (n *session) Complaint() string {
	if n.slowed.Load() > 0 {
		return busy
	}
	return ""
}

// pull begins to read a shard.
func (n *session) pull(p *puller) {
	close(p.flow)
	p.ctx, p.cancel = context.WithCancel(n.ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx.Err() != nil {
		p.cancel()
		return
	}
	n.has[p.lease.Shard] = p
	n.ends.Go(p.run)
}

// puller returns the one of a lease; nil if there is none any more.
func (n *session) puller(shard int32, epoch uint32) *puller {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.has[shard]; p != nil && p.lease.Epoch == epoch {
		return p
	}
	return nil
}

// Drop implements [stream.Keeper].
func (n *session) Drop(l stream.Lease) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.has[l.Shard]; p != nil && p.lease.Epoch == l.Epoch {
		p.cancel()
		delete(n.has, l.Shard)
	}
}

// Pause implements [stream.Pauser].
func (n *session) Pause(ls ...stream.Lease) {
	for _, l := range ls {
		if p := n.puller(l.Shard, l.Epoch); p != nil {
			p.pause()
		}
	}
}

// Resume implements [stream.Pauser].
func (n *session) Resume(ls ...stream.Lease) {
	for _, l := range ls {
		if p := n.puller(l.Shard, l.Epoch); p != nil {
			p.resume()
		}
	}
}

// Close implements [stream.Session].
func (n *session) Close(context.Context) error {
	n.close()
	return nil
}

func (n *session) close() {
	n.mu.Lock()
	n.cancel()
	n.mu.Unlock()
	n.ends.Wait()
	n.api.Close()
	n.table.Close()
}
