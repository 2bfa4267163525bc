package v3io

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/trigger/stream"
)

// session reads shards, each with a puller, and keeps their checkpoints.
type session struct {
	src    *source
	api    *api
	want   stream.Want
	host   stream.Shards
	came   chan stream.Batch
	broken chan error // why a puller gave up

	ctx    context.Context // of the pullers
	cancel context.CancelFunc
	ends   sync.WaitGroup
	slowed atomic.Int32 // pullers that were told to ask less

	mu  sync.Mutex
	has map[int32]*puller
}

var (
	_ stream.Session    = (*session)(nil)
	_ stream.Keeper     = (*session)(nil)
	_ stream.Pauser     = (*session)(nil)
	_ stream.Complainer = (*session)(nil)
)

func newSession(s *source, a *api, w stream.Want, host stream.Shards) *session {
	n := &session{src: s, api: a, want: w, host: host, came: make(chan stream.Batch), broken: make(chan error, 1), has: map[int32]*puller{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// describe asks how many shards there are.
func (n *session) describe(ctx context.Context) error {
	count, err := n.api.describe(ctx)
	if err != nil {
		return n.src.explain(err)
	}
	n.src.sees(count)
	return nil
}

// watch asks for the number of shards again and again: more may be added.
func (n *session) watch() {
	tick := time.NewTicker(n.src.cfg.DescribeInterval.Std())
	defer tick.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		}
		if err := n.describe(n.ctx); err != nil && !errors.Is(err, errThrottled) {
			n.fail(err)
		}
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
		return errThrottled.Error()
	}
	return ""
}

// pull begins to read a shard at a sequence; 0: it is not claimed yet, for it has
// no object.
func (n *session) pull(l stream.Lease, next int64) {
	p := &puller{n: n, lease: l, next: next, flow: make(chan struct{})}
	close(p.flow)
	p.ctx, p.cancel = context.WithCancel(n.ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx.Err() != nil {
		return
	}
	n.has[l.Shard] = p
	n.ends.Go(p.run)
}

// puller returns the one of a lease; nil if there is none any more.
func (n *session) puller(l stream.Lease) *puller {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.has[l.Shard]; p != nil && p.lease.Epoch == l.Epoch {
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
		if p := n.puller(l); p != nil {
			p.pause()
		}
	}
}

// Resume implements [stream.Pauser].
func (n *session) Resume(ls ...stream.Lease) {
	for _, l := range ls {
		if p := n.puller(l); p != nil {
			p.resume()
		}
	}
}

// Close implements [stream.Session].
func (n *session) Close(context.Context) error {
	n.mu.Lock()
	n.cancel()
	n.mu.Unlock()
	n.ends.Wait()
	n.api.client.CloseIdleConnections()
	return nil
}
