package replication

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// session is the way to one database: a pool for questions, and the slot's reader
// while there is a lease.
type session struct {
	src    *source
	db     *sql.DB
	places *places
	want   stream.Want
	host   stream.Shards
	every  time.Duration // the server is told how far all is done
	came   chan stream.Batch
	broken chan error // why the reader gave up
	spare  chan *batch

	mu        sync.Mutex
	read      *reader // nil: the slot is not ours
	complaint string
}

var (
	_ stream.Session    = (*session)(nil)
	_ stream.Keeper     = (*session)(nil)
	_ stream.Complainer = (*session)(nil)
)

// spareBatches is how many batches are kept to be used again.
const spareBatches = 32

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

// fail has Fetch say why the session is lost.
func (n *session) fail(err error) {
	select {
	case n.broken <- err:
	default:
	}
}

// Claim implements [stream.Keeper].
func (n *session) Claim(ctx context.Context, l stream.Lease, seek bool) error {
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	from, epoch, had, err := n.places.load(ctx)
	if err != nil {
		return err
	}
	if epoch > l.Epoch {
		return &stream.Fenced{Seen: epoch}
	}
	at, anew, err := n.src.ensure(ctx, n.db, from, had)
	if err != nil {
		return err
	}
	if !had || seek || anew {
		from = place{next: from.next}
		if from.lsn, err = n.begin(ctx, at); err != nil {
			return err
		}
	}
	if err := n.places.save(ctx, from, l.Epoch); err != nil {
		return err
	}
	if err := n.src.free(ctx, n.db); err != nil {
		return err
	}
	w, err := openWire(ctx, n.src.at, &n.src.cfg, from.lsn)
	if err != nil {
		return err
	}
	n.host.Assigned(l)
	n.start(l, w, from)
	return nil
}

// start begins to read.
func (n *session) start(l stream.Lease, w *wire, from place) {
	r := newReader(n, l, w, from)
	n.mu.Lock()
	n.read, n.complaint = r, ""
	n.mu.Unlock()
	r.start()
}

// reader returns that of a lease; nil if there is none any more.
func (n *session) reader(epoch uint32) *reader {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.read != nil && n.read.lease.Epoch == epoch {
		return n.read
	}
	return nil
}

// Drop implements [stream.Keeper]. The slot is free when it returns, or the server
// was not heard of any more.
func (n *session) Drop(l stream.Lease) {
	n.mu.Lock()
	r := n.read
	if r == nil || r.lease != l {
		n.mu.Unlock()
		return
	}
	n.read = nil
	n.mu.Unlock()
	r.stop()
}

// Commit implements [stream.Session].
func (n *session) Commit(ctx context.Context, ps []trigger.Position) error {
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	for _, p := range ps {
		r := n.reader(p.Epoch)
		if r == nil {
			continue
		}
		err := n.places.save(ctx, r.far.place(p.Next), p.Epoch)
		if _, ok := errors.AsType[*stream.Fenced](err); ok {
			n.host.Lost(r.lease)
			continue
		}
		if err != nil {
			return err
		}
		r.kept(p.Next)
	}
	return nil
}

// Complaint implements [stream.Complainer].
func (n *session) Complaint() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.complaint
}

// watch sees whether the server still keeps what the slot needs.
func (n *session) watch(ctx context.Context) {
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	at, err := n.src.look(ctx, n.db)
	if err != nil {
		return // the reader finds out
	}
	what := ""
	if at.status == "unreserved" {
		what = "slot " + n.src.cfg.Slot + " is so far behind that the server will soon remove the log that it needs (see max_slot_wal_keep_size)"
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if what != "" && what != n.complaint {
		n.src.settings.Log.Warn("slot is far behind", "slot", n.src.cfg.Slot)
	}
	n.complaint = what
}

func (n *session) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, n.src.cfg.Timeout.Std())
}

// Close implements [stream.Session].
func (n *session) Close(context.Context) error {
	n.mu.Lock()
	r := n.read
	n.read = nil
	n.mu.Unlock()
	if r != nil {
		r.stop()
	}
	return n.db.Close()
}
