package reconcile

import (
	"context"
	"sync"
	"time"
)

const (
	firstDelay = time.Second
	lastDelay  = time.Minute
)

// queue hands out names, each to one worker at a time. A name that is added
// while it is worked on is handed out again afterwards.
type queue struct {
	mu    sync.Mutex
	items map[string]*item
	ready chan string // has room for every name, once
	// timers are for names that are to be looked at later, though all is well.
	timers map[string]*dueTimer
	closed bool
}

type item struct {
	queued   bool
	again    bool // added while running
	urgent   bool // and what is wanted had changed
	stop     context.CancelFunc
	running  bool
	failures int
	later    *time.Timer // set while it waits after a failure
}

// maxNames bounds how many names wait at once; more are added when they are
// reconciled next.
const maxNames = 1 << 16

func newQueue() *queue {
	return &queue{items: map[string]*item{}, timers: map[string]*dueTimer{}, ready: make(chan string, maxNames)}
}

func (q *queue) item(name string) *item {
	it := q.items[name]
	if it == nil {
		it = &item{}
		q.items[name] = it
	}
	return it
}

// add asks for a name to be worked on. urgent: what is wanted has changed, so
// work on what was wanted before is stopped, and nothing is waited for. If not
// urgent, a name that waits after a failure goes on waiting.
func (q *queue) add(name string, urgent bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.item(name)
	if urgent {
		it.failures = 0
		if it.later != nil {
			it.later.Stop()
			it.later = nil
		}
		if it.stop != nil {
			it.stop()
		}
	}
	switch {
	case it.later != nil:
	case it.running:
		it.again, it.urgent = true, it.urgent || urgent
	default:
		q.push(name, it)
	}
}

func (q *queue) push(name string, it *item) {
	if it.queued {
		return
	}
	select {
	case q.ready <- name:
		it.queued = true
	default:
	}
}

// begin notes that a worker has taken a name; the context ends when the work
// has become pointless.
func (q *queue) begin(ctx context.Context, name string) context.Context {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.item(name)
	it.queued, it.running = false, true
	ctx, it.stop = context.WithCancel(ctx)
	return ctx
}

// end notes the outcome. After a failure the name waits, longer each time,
// unless what is wanted has changed meanwhile.
func (q *queue) end(name string, failed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.item(name)
	it.stop()
	it.running, it.stop = false, nil
	again, urgent := it.again, it.urgent
	it.again, it.urgent = false, false
	if !failed {
		it.failures = 0
	}
	switch {
	case failed && !urgent:
		delay := min(lastDelay, firstDelay<<min(it.failures, 10))
		it.failures++
		it.later = time.AfterFunc(delay, func() { q.retry(name) })
	case again:
		q.push(name, it)
	default:
		delete(q.items, name)
	}
}

// addAfter has a name worked on when d has passed, unless the queue is closed
// before. One that was asked for earlier and is due sooner counts too.
func (q *queue) addAfter(name string, d time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	due := time.Now().Add(d)
	if t := q.timers[name]; t != nil && !t.due.After(due) {
		return
	} else if t != nil {
		t.Stop()
	}
	t := &dueTimer{due: due}
	t.Timer = time.AfterFunc(d, func() {
		q.mu.Lock()
		if q.timers[name] == t {
			delete(q.timers, name)
		}
		q.mu.Unlock()
		q.add(name, false)
	})
	q.timers[name] = t
}

type dueTimer struct {
	*time.Timer
	due time.Time
}

func (q *queue) retry(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.item(name)
	if it.later != nil {
		it.later = nil
		q.push(name, it)
	}
}

// close stops the timers.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, it := range q.items {
		if it.later != nil {
			it.later.Stop()
			it.later = nil
		}
	}
	for _, t := range q.timers {
		t.Stop()
	}
}
