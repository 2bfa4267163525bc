package replication

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/myelin-run/myelin/trigger/stream"
)

// reader reads the slot under one lease. One goroutine reads, and hands over what
// it read; another tells the server that the reader is there, also while nobody
// takes what was read, and how far all is done.
type reader struct {
	n     *session
	lease stream.Lease
	w     *wire
	far   *progress
	dec   *decoder
	sent  int64         // through which was handed over
	more  chan struct{} // something was kept: the server is to be told

	ctx    context.Context
	cancel context.CancelFunc
	ends   sync.WaitGroup
}

const (
	mostRows   = 1000 // of a batch
	mostBytes  = 256 << 10
	watchEvery = 10 * time.Second
	overhead   = 200 // that a change takes besides its bytes
)

func newReader(n *session, l stream.Lease, w *wire, from place) *reader {
	r := &reader{n: n, lease: l, w: w, far: newProgress(from), sent: from.next, more: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.dec = newDecoder(&n.src.cfg, n.src.settings.Log, func(oid uint32) []string { return n.primary(r.ctx, oid) }, r.far)
	return r
}

func (r *reader) start() {
	r.dec.out = r.batch()
	r.ends.Go(r.run)
	r.ends.Go(r.tell)
}

// stop ends reading, and says good-bye to the server.
func (r *reader) stop() {
	r.cancel()
	_ = r.w.conn.SetReadDeadline(time.Unix(1, 0)) // wakes who reads
	r.ends.Wait()
	r.w.part(r.far.confirmed())
}

// kept says that all before a number is done, and its place is kept.
func (r *reader) kept(next int64) {
	r.far.keep(next)
	select {
	case r.more <- struct{}{}:
	default:
	}
}

// run reads until the end.
func (r *reader) run() {
	err := r.awaitMore()
	for err == nil {
		err = r.word()
	}
	if r.ctx.Err() == nil {
		r.n.fail(fmt.Errorf("read slot %s: %w", r.n.src.cfg.Slot, err))
	}
}

// word reads one word of the server. What was read is handed over before there is
// nothing more to be read at once.
func (r *reader) word() error {
	if o := r.dec.out; !r.w.has() || len(o.rows) >= mostRows || len(o.buf) >= mostBytes {
		if err := r.flush(); err != nil {
			return err
		}
	}
	w, err := r.w.next()
	if err != nil {
		return err
	}
	if w.message != nil {
		return r.dec.message(w.at, w.message)
	}
	r.far.idle(w.at)
	if w.asks {
		return r.w.status(r.far.confirmed())
	}
	return nil
}

// flush hands over what was read, and gets ready to wait for more.
func (r *reader) flush() error {
	through, o := r.far.through(), r.dec.out
	if through > r.sent {
		b := stream.Batch{Lease: r.lease, Records: o, Bytes: len(o.buf) + overhead*len(o.rows), Through: through}
		select {
		case r.n.came <- b:
			r.sent, r.dec.out = through, r.batch()
		case <-r.ctx.Done():
			return r.ctx.Err()
		}
	}
	return r.awaitMore()
}

// awaitMore bounds how long the server may be silent: it is asked to answer again
// and again.
func (r *reader) awaitMore() error {
	err := r.w.conn.SetReadDeadline(time.Now().Add(3*r.n.every + r.n.src.cfg.Timeout.Std()))
	if r.ctx.Err() != nil {
		return r.ctx.Err() // it may have been set after the end
	}
	return err
}

func (r *reader) batch() *batch {
	select {
	case b := <-r.n.spare:
		return b.reset()
	default:
		return &batch{free: r.n.spare}
	}
}

// tell tells the server how far all is done: when that changed, and at an interval.
func (r *reader) tell() {
	every, watch := time.NewTicker(r.n.every), time.NewTicker(watchEvery)
	defer every.Stop()
	defer watch.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-watch.C:
			r.n.watch(r.ctx)
			continue
		case <-r.more:
		case <-every.C:
		}
		if err := r.w.status(r.far.confirmed()); err != nil && r.ctx.Err() == nil {
			r.n.fail(fmt.Errorf("tell the server how far slot %s was read: %w", r.n.src.cfg.Slot, err))
			return
		}
	}
}
