package poll

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// session is a Session as the stream engine sees it.
type session struct {
	o    Options
	in   Session
	want stream.Want
	host stream.Shards

	due  *time.Timer   // of the next look; of the goroutine that fetches
	wake chan struct{} // there is a shard to be read, or one no longer paused

	mu     sync.Mutex
	read   *reading // nil: the shard is not ours
	paused bool
}

// reading is the shard under a lease.
type reading struct {
	lease    stream.Lease
	after    string // the cursor up to which it was fetched
	next     int64  // number of the item behind it
	revision string // of the place
	marks    []mark // of what was fetched and is not committed
}

// mark says which cursor stands before an offset.
type mark struct {
	next   int64
	cursor string
}

var (
	_ stream.Session    = (*session)(nil)
	_ stream.Keeper     = (*session)(nil)
	_ stream.Pauser     = (*session)(nil)
	_ stream.Ender      = (*session)(nil)
	_ stream.Complainer = (*session)(nil)
)

func newSession(o Options, in Session, w stream.Want, host stream.Shards) *session {
	return &session{o: o, in: in, want: w, host: host, due: time.NewTimer(0), wake: make(chan struct{}, 1)}
}

// Fetch implements [stream.Session]: it waits until it is time, and asks once.
func (s *session) Fetch(ctx context.Context, take func(stream.Batch)) error {
	r, after, err := s.turn(ctx)
	if err != nil || r == nil {
		return err
	}
	page, err := s.in.Poll(ctx, after, s.o.PageSize)
	if ctx.Err() != nil {
		return ctx.Err() // nothing was taken: it is found again
	}
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	if b, any := s.batch(r, after, page); any {
		take(b)
	}
	s.due.Reset(s.pause(page))
	return nil
}

// pause is how long to wait after a page.
func (s *session) pause(page Page) time.Duration {
	if page.More {
		return 0
	}
	d := s.o.Pause()
	if page.Again > 0 {
		d = min(d, page.Again)
	}
	return d
}

// turn waits until the shard is to be read, and says from where; nil if there
// is none, which is only known now.
func (s *session) turn(ctx context.Context) (*reading, string, error) {
	var changed <-chan struct{}
	if c, ok := s.in.(Changer); ok {
		changed = c.Changed()
	}
	due := s.due.C
	for {
		select {
		case <-ctx.Done():
			return nil, "", ctx.Err()
		case <-s.wake:
			s.due.Reset(0)
		case <-changed:
			s.due.Reset(0)
		case <-due:
			s.mu.Lock()
			r, paused := s.read, s.paused
			after := ""
			if r != nil {
				after = r.after
			}
			s.mu.Unlock()
			if r != nil && !paused {
				return r, after, nil
			}
		}
	}
}

// batch numbers the items of a page, and notes which cursors stand behind them.
func (s *session) batch(r *reading, after string, page Page) (b stream.Batch, any bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read != r || r.after != after {
		return b, false // it went meanwhile
	}
	items := &records{first: r.next, items: page.Items}
	for i := range page.Items {
		it := &page.Items[i]
		r.next++
		r.after = it.Cursor
		r.marks = append(r.marks, mark{r.next, it.Cursor})
		b.Bytes += len(it.Event.Body) + len(it.Event.ID) + len(it.Event.Key) + overhead
	}
	b.Lease, b.Records = r.lease, items
	if page.Next != "" && page.Next != r.after { // what was passed takes a number, too
		r.next++
		r.after = page.Next
		r.marks = append(r.marks, mark{r.next, page.Next})
		b.Through = r.next
	}
	return b, len(page.Items) > 0 || b.Through > 0
}

// overhead is what an item takes besides its bytes.
const overhead = 256

// Pause implements [stream.Pauser].
func (s *session) Pause(...stream.Lease) { s.setPaused(true) }

// Resume implements [stream.Pauser].
func (s *session) Resume(...stream.Lease) { s.setPaused(false) }

func (s *session) setPaused(on bool) {
	s.mu.Lock()
	s.paused = on
	s.mu.Unlock()
	if !on {
		s.rouse()
	}
}

func (s *session) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Ends implements [stream.Ender]: what is behind the last item that was fetched.
func (s *session) Ends(ctx context.Context, ls []stream.Lease) ([]int64, error) {
	ends := make([]int64, len(ls))
	l, ok := s.in.(Lagger)
	if !ok {
		return ends, nil
	}
	s.mu.Lock()
	r := s.read
	var after string
	var next int64
	if r != nil {
		after, next = r.after, r.next
	}
	s.mu.Unlock()
	if r == nil {
		return ends, nil
	}
	n, err := l.Lag(ctx, after)
	if err != nil {
		return nil, fmt.Errorf("ask for the lag: %w", err)
	}
	for i := range ls {
		if ls[i].Epoch == r.lease.Epoch {
			ends[i] = next + n
		}
	}
	return ends, nil
}

// Complaint implements [stream.Complainer].
func (s *session) Complaint() string {
	if c, ok := s.in.(Complainer); ok {
		return c.Complaint()
	}
	return ""
}

// Close implements [stream.Session].
func (s *session) Close(ctx context.Context) error {
	s.due.Stop()
	return s.in.Close(ctx)
}

// begin is where a shard without a place begins.
func (s *session) begin(ctx context.Context) (string, error) {
	c, err := s.in.Begin(ctx, s.want.Start)
	if err != nil {
		return "", fmt.Errorf("find where to begin: %w", err)
	}
	return c, nil
}

var _ trigger.Seeker = (*Engine)(nil)
