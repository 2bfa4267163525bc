package tap

import (
	"crypto/rand"
	"sync"
	"sync/atomic"
	"time"
)

// Silence is how long a processor keeps a capture of which nobody asks: whoever
// wanted it has gone.
const Silence = 15 * time.Second

// Hub is where a processor's events can be looked at. There is one capture at a
// time. Its life: New; the rest from any goroutine; Close once no more events
// come.
type Hub struct {
	on atomic.Pointer[session] // that takes events now

	mu     sync.Mutex
	now    *session // that is told of, also when it takes no more
	closed bool
	silent time.Duration
	wg     sync.WaitGroup
}

// New returns a hub in which nothing is captured.
func New() *Hub { return &Hub{silent: Silence} }

// Want has a capture be under way, in place of any other, and returns what came
// since what the request says to have.
func (h *Hub) Want(r Request) (Report, error) {
	if err := r.Spec.Complete(); err != nil {
		return Report{}, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return Report{Events: []Event{}}, nil
	}
	if h.now == nil || h.now.id != r.ID {
		h.drop()
		h.begin(newSession(r.ID, r.Spec))
	}
	s := h.now
	left := min(time.Duration(r.Left)*time.Millisecond, MostTime)
	s.until.Reset(max(left, 0))
	s.alone.Reset(h.silent)
	return s.report(r.Have[s.instance]), nil
}

// Recall keeps the last n events from now on, with nothing taken out, until
// Close: for who runs a function of their own while they write it.
func (h *Hub) Recall(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := newSession("", Spec{Count: n, Fraction: 1, EventSize: MostEventSize, Size: MostSize})
	s.last, s.red = true, nil
	h.begin(s)
	s.until.Stop()
	s.alone.Stop()
}

// Recalled are the last events; none without Recall.
func (h *Hub) Recalled() []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now == nil || !h.now.last {
		return []Event{}
	}
	h.now.mu.Lock()
	defer h.now.mu.Unlock()
	return append([]Event{}, h.now.events...)
}

// End ends the capture of that id and forgets its events.
func (h *Hub) End(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now != nil && h.now.id == id {
		h.drop()
	}
}

// Close ends what is under way and waits until it has ended.
func (h *Hub) Close() {
	h.mu.Lock()
	h.drop()
	h.closed = true
	h.mu.Unlock()
	h.wg.Wait()
}

// begin has s take events. The caller holds mu.
func (h *Hub) begin(s *session) {
	s.stop = func() { h.on.CompareAndSwap(s, nil) }
	s.until = time.AfterFunc(MostTime, s.stop)
	s.alone = time.AfterFunc(h.silent, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.now == s {
			h.drop()
		}
	})
	h.now = s
	h.wg.Go(s.keep)
	h.on.Store(s)
}

// drop forgets what is under way. The caller holds mu.
func (h *Hub) drop() {
	if s := h.now; s != nil {
		s.stop()
		s.until.Stop()
		s.alone.Stop()
		close(s.quit)
		h.now = nil
	}
}

func newSession(id string, spec Spec) *session {
	return &session{id: id, spec: spec, instance: rand.Text()[:16], red: newRedactor(spec),
		in: make(chan *Event, max(spec.Count, 64)), quit: make(chan struct{})}
}
