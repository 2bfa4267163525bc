package sqs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/trigger/amazon"
	"github.com/myelin-run/myelin/trigger/queue"
)

// atOnce is how many messages the service gives, or takes back, in a request.
const atOnce = 10

// session takes messages from a queue. What becomes of them is sent by two
// senders: deletions beside each other, and changes of visibility one after the
// other, so that a message that was given back is not claimed anew by a sign of life
// of before.
type session struct {
	*remote
	dels, marks *sender
	lost        chan error

	// Of Receive, and of Close behind it.
	pending chan round // nil: no request is under way
	stock   []received // that came, and there was no room for
	full    bool       // there was more than the last requests could bring
	bad     time.Time  // since when no request has succeeded

	mu   sync.Mutex
	open map[uint64]string // handles of what is not settled, by tag
	last uint64

	ctx    context.Context // of requests for messages, and of signs of life
	cancel context.CancelFunc
	ends   sync.WaitGroup

	trouble atomic.Pointer[string]
}

// round is what requests for messages brought.
type round struct {
	got  []received
	full bool // there may be more
	err  error
}

var (
	_ queue.Session    = (*session)(nil)
	_ queue.Lagger     = (*session)(nil)
	_ queue.Complainer = (*session)(nil)
)

func newSession(q *remote) *session {
	n := &session{remote: q, lost: make(chan error, 1), open: map[uint64]string{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.dels = newSender(n, "DeleteMessageBatch", 4)
	n.marks = newSender(n, "ChangeMessageVisibilityBatch", 1)
	n.ends.Go(n.live)
	return n
}

// fail has Receive say why the session is lost.
func (n *session) fail(err error) {
	n.cancel()
	select {
	case n.lost <- err:
	default:
	}
}

// Receive implements [queue.Session]. A request is not broken off when ctx ends:
// the service may just be giving it messages, which would then be nobody's until
// they come back by themselves. What it brings is for the next Receive, or given
// back by Close.
func (n *session) Receive(ctx context.Context, ms []*queue.Message) (int, error) {
	if len(n.stock) == 0 {
		if n.pending == nil {
			n.pending = make(chan round, 1)
			go func(to chan<- round, full bool) { to <- n.ask(n.ctx, len(ms), full) }(n.pending, n.full)
		}
		select {
		case r := <-n.pending:
			n.pending = nil
			if err := n.took(ctx, r); err != nil {
				return 0, err
			}
		case err := <-n.lost:
			return 0, err
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	k := min(len(ms), len(n.stock))
	for i := range k {
		n.fill(ms[i], &n.stock[i])
	}
	n.stock = n.stock[k:]
	return k, nil
}

const (
	grace     = 2 * time.Second // in which a network that fails may mend
	badPause  = 100 * time.Millisecond
	busyPause = time.Second // for which a service that is asked too much is left alone
)

// took looks at what requests brought; an error says that the session is lost.
func (n *session) took(ctx context.Context, r round) error {
	n.stock, n.full = r.got, r.full
	var refusal *amazon.Error
	switch {
	case r.err == nil || len(r.got) > 0: // an error comes again if it lasts
		n.bad = time.Time{}
		n.trouble.Store(nil)
		return nil
	case amazon.Busy(r.err):
		n.wait(ctx, busyPause, r.err)
		return nil
	case errors.As(r.err, &refusal):
		return r.err
	}
	if n.bad.IsZero() {
		n.bad = time.Now()
	}
	if time.Since(n.bad) > grace {
		return r.err
	}
	n.wait(ctx, badPause, r.err)
	return nil
}

func (n *session) wait(ctx context.Context, pause time.Duration, err error) {
	text := err.Error()
	n.trouble.Store(&text)
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Complaint implements [queue.Complainer].
func (n *session) Complaint() string {
	if text := n.trouble.Load(); text != nil {
		return *text
	}
	return ""
}

// ask gets up to room messages: with one request that waits, or, while there are
// many, with several.
func (n *session) ask(ctx context.Context, room int, full bool) (r round) {
	most := min(room, atOnce)
	if isOrdered(n.src.cfg.Queue) {
		most = 1 // the service gives the next of a group when this one is done
	}
	polls, wait := 1, n.src.cfg.Wait.Std()
	if full {
		polls, wait = max(1, min(n.src.cfg.Polls, room/most)), 0
	}
	all, errs := make([][]received, polls), make([]error, polls)
	var wg sync.WaitGroup
	for i := range polls {
		wg.Go(func() { all[i], errs[i] = n.poll(ctx, most, wait) })
	}
	wg.Wait()
	for i := range all {
		r.got = append(r.got, all[i]...)
		if errs[i] != nil {
			r.err = errs[i]
		}
	}
	r.full = len(r.got) >= most*polls
	return r
}

// poll makes one request for messages.
func (n *session) poll(ctx context.Context, most int, wait time.Duration) ([]received, error) {
	in := struct {
		QueueURL                    string `json:"QueueUrl"`
		MaxNumberOfMessages         int
		WaitTimeSeconds             int
		VisibilityTimeout           int
		AttributeNames              []string
		MessageSystemAttributeNames []string
		MessageAttributeNames       []string
	}{n.url, most, int(wait / time.Second), int(n.src.cfg.Visibility.Std() / time.Second), []string{"All"}, []string{"All"}, []string{"All"}}
	var out struct{ Messages []received }
	if err := n.Call(ctx, "ReceiveMessage", wait, in, &out); err != nil {
		return nil, n.src.explain(n.src.cfg.Queue, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range out.Messages {
		n.last++
		out.Messages[i].tag = n.last
		n.open[n.last] = out.Messages[i].ReceiptHandle
	}
	return out.Messages, nil
}

// Settle implements [queue.Session].
func (n *session) Settle(_ context.Context, m *queue.Message, v queue.Verdict) error {
	n.mu.Lock()
	handle, ok := n.open[m.Tag]
	delete(n.open, m.Tag)
	n.mu.Unlock()
	switch {
	case !ok:
		return fmt.Errorf("settle message %s: it is not open", m.Event.ID)
	case v.Action == queue.Requeue:
		n.marks.add(entry{ReceiptHandle: handle, VisibilityTimeout: new(int)})
	default:
		n.dels.add(entry{ReceiptHandle: handle})
	}
	return nil
}

// live claims all messages that are not settled anew, three times in the time in
// which they would come back.
func (n *session) live() {
	visibility := n.src.cfg.Visibility.Std()
	seconds := int(visibility / time.Second)
	t := time.NewTicker(visibility / 3)
	defer t.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-t.C:
		}
		n.mu.Lock()
		for _, handle := range n.open {
			n.marks.add(entry{ReceiptHandle: handle, VisibilityTimeout: &seconds})
		}
		n.mu.Unlock()
	}
}

// Lag implements [queue.Lagger].
func (n *session) Lag(ctx context.Context) (int64, error) {
	b, err := n.waiting(ctx)
	return b.ready, err
}

// Close implements [queue.Session]. What is open still is given back.
func (n *session) Close(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		n.cancel()
		n.dels.cancel()
		n.marks.cancel()
	})
	defer stop()
	if n.pending != nil {
		<-n.pending
	}
	n.cancel()
	n.ends.Wait()
	n.mu.Lock()
	for _, handle := range n.open {
		n.marks.add(entry{ReceiptHandle: handle, VisibilityTimeout: new(int)})
	}
	n.mu.Unlock()
	n.dels.close()
	n.marks.close()
	n.remote.Close()
	select {
	case err := <-n.lost:
		return err
	default:
		return nil
	}
}
