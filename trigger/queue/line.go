package queue

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/myelin-run/myelin/trigger/delivery"
)

// slot is the engine's part of a Message.
type slot struct {
	item  delivery.Item
	sess  *session
	seq   int64
	fresh bool      // not looked at yet
	came  time.Time // here
	due   time.Time // of a held one
	here  bool      // received and not settled
	ran   bool      // its handler has returned, and it waits for its token to be settled
	early *error    // how the token was settled before the handler returned
	// worker is closed when who ran it has gone; nil if that cannot be.
	worker <-chan struct{}
	id     [40]byte
}

// line is where the messages of a run are, but for those in workers. All are
// made at the beginning: their number is the prefetch.
type line struct {
	size   int // of a batch
	window time.Duration

	mu      sync.Mutex
	work    sync.Cond  // ready changed, for workers
	room    sync.Cond  // free or running changed, for the receiver and who waits for the end
	all     []*Message // the whole prefetch
	free    []*Message // reset, for Receive
	ready   ring       // to be run
	held    holding    // to be run when they are due
	open    map[int64]*Message
	running int
	seq     int64
	rush    bool // nothing is held back: what is here is run now
	ended   bool
	kick    chan struct{} // the keeper has to look again
}

func newLine(n, size int, window time.Duration) *line {
	l := &line{size: size, window: window, ready: ring{buf: make([]*Message, n)}, open: map[int64]*Message{}, kick: make(chan struct{}, 1)}
	l.work.L, l.room.L = &l.mu, &l.mu
	for range n {
		l.free = append(l.free, new(Message))
	}
	l.all = slices.Clone(l.free)
	return l
}

// ring is a queue of fixed size.
type ring struct {
	buf     []*Message
	head, n int
}

func (r *ring) push(m *Message) {
	r.buf[(r.head+r.n)%len(r.buf)] = m
	r.n++
}

func (r *ring) pop() *Message {
	m := r.buf[r.head]
	r.buf[r.head] = nil
	r.head = (r.head + 1) % len(r.buf)
	r.n--
	return m
}

func (r *ring) first() *Message { return r.buf[r.head] }

// holding is a heap of messages, the one that is due first on top.
type holding []*Message

func (h holding) Len() int           { return len(h) }
func (h holding) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h holding) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *holding) Push(x any)        { *h = append(*h, x.(*Message)) }
func (h *holding) Pop() any {
	old := *h
	m := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return m
}

// empty waits for room and fills ms with Messages to receive into; 0 once ctx
// is done.
func (l *line) empty(ctx context.Context, ms []*Message) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.free) == 0 {
		stop := context.AfterFunc(ctx, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.room.Broadcast()
		})
		defer stop()
		for len(l.free) == 0 && ctx.Err() == nil {
			l.room.Wait()
		}
	}
	n := min(len(l.free), len(ms))
	copy(ms, l.free[len(l.free)-n:])
	clear(l.free[len(l.free)-n:])
	l.free = l.free[:len(l.free)-n]
	return n
}

// arrive takes what a session received, and the Messages it left unused.
func (l *line) arrive(s *session, got, unused []*Message) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = append(l.free, unused...)
	for _, m := range got {
		l.seq++
		m.sess, m.seq, m.fresh, m.came, m.here = s, l.seq, true, now, true
		l.ready.push(m)
		if l.size == 1 {
			l.work.Signal()
		}
	}
	if len(got) > 0 {
		l.gathered()
	}
}

// gathered wakes workers for batches: as many as are full, and the keeper for
// the one that is not.
func (l *line) gathered() {
	if l.size == 1 {
		return
	}
	for n := l.ready.n; n >= l.size; n -= l.size {
		l.work.Signal()
	}
	if l.ready.n%l.size != 0 {
		l.poke()
	}
}

func (l *line) poke() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// take waits for a batch and moves it to ms, which has room for one; none when
// the line has ended.
func (l *line) take(ms []*Message) []*Message {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.full() {
		if l.ended {
			return nil
		}
		l.work.Wait()
	}
	for len(ms) < l.size && l.ready.n > 0 {
		ms = append(ms, l.ready.pop())
	}
	l.running += len(ms)
	if l.size > 1 && l.ready.n > 0 {
		l.gathered()
	}
	return ms
}

// full reports whether there is a batch to run now.
func (l *line) full() bool {
	switch {
	case l.ready.n == 0:
		return false
	case l.ready.n >= l.size || l.rush:
		return true
	}
	return time.Since(l.ready.first().came) >= l.window
}

// hold puts a message that a worker has aside until it is due.
func (l *line) hold(m *Message, pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(1)
	if l.rush {
		l.ready.push(m)
		l.work.Signal()
		return
	}
	m.due = time.Now().Add(pause)
	heap.Push(&l.held, m)
	if l.held[0] == m {
		l.poke()
	}
}

// leave notes that workers have n messages less.
func (l *line) leave(n int) {
	l.running -= n
	if l.running == 0 {
		l.room.Broadcast()
	}
}

// recycle gives back a Message that a worker had.
func (l *line) recycle(m *Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(1)
	l.put(m)
}

// put makes a Message free. One that a function still reads is left to it.
func (l *line) put(m *Message) {
	if m.item.Held {
		i := slices.Index(l.all, m)
		m = new(Message)
		l.all[i] = m
	}
	m.reset()
	l.free = append(l.free, m)
	if len(l.free) == 1 {
		l.room.Broadcast()
	}
}

func (m *Message) reset() {
	m.item.Reset()
	*m = Message{Buffer: m.Buffer[:0], slot: slot{item: m.item}}
}
