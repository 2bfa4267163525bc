package http

import (
	"sync"
	"time"

	"github.com/myelin-run/myelin/processor/trunk"
)

const (
	// mostParked is how many hands of a crew wait for work. More are made if
	// functions hold them up, and end when they are not needed.
	mostParked = 128
	// heldBack is how long an answer waits at most for others to be sent with.
	heldBack = 100 * time.Microsecond
	// lasting is how long a function runs whose answer waits for no other.
	lasting = 50 * time.Microsecond
)

// crew is the goroutines that serve the requests on a trunk's lanes, many of
// which come with one read. A hand runs one function after another, and sends
// their answers together. Any function may hold it up for as long as it likes,
// so that, while requests are in line or answers are not sent, there is always
// a free hand: one that is in no function, and will look.
//
// Its life: newCrew; board for each connection that is opened; end when the
// trunk has ended. Its hands end on their own then.
type crew struct {
	s   *server
	t   *trunk.Trunk
	now time.Time // of what is read just now; the reading goroutine's own

	mu          sync.Mutex
	first, last *lane // in line
	free        int
	parked      []*hand
	unsent      bool      // answers were queued
	since       time.Time // the first of them was
	ended       bool
}

// hand is a goroutine of a crew, and what it uses again.
type hand struct {
	clock
	crew   *crew
	call   *call
	out    []byte
	queued bool // an answer that nobody has heard of
	lagged bool // its function took long
	wake   chan struct{}
}

// add puts v in line. The crew is to be rallied then.
func (w *crew) add(v *lane) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == nil {
		w.first = v
	} else {
		w.last.next = v
	}
	w.last = v
}

// pop takes the first out of line, which there is. mu is held.
func (w *crew) pop() *lane {
	v := w.first
	if w.first, v.next = v.next, nil; w.first == nil {
		w.last = nil
	}
	return v
}

// time is that of what is read just now.
func (w *crew) time() time.Time {
	if w.now.IsZero() {
		w.now = time.Now()
	}
	return w.now
}

// settle is called when all that one read brought is in line.
func (w *crew) settle() {
	w.now = time.Time{}
	w.rally()
}

// rally has a hand look at the line if there is something.
func (w *crew) rally() {
	w.mu.Lock()
	var h *hand
	if w.first != nil {
		h = w.summon()
	}
	w.mu.Unlock()
	h.rouse()
}

// summon returns a hand to be roused, which is free from now on; nil: there is a
// free one. mu is held.
func (w *crew) summon() *hand {
	if w.free > 0 {
		return nil
	}
	w.free = 1
	n := len(w.parked) - 1
	if n < 0 {
		return &hand{crew: w}
	}
	h := w.parked[n]
	w.parked[n] = nil
	w.parked = w.parked[:n]
	return h
}

// rouse sets h to work.
func (h *hand) rouse() {
	switch {
	case h == nil:
	case h.wake == nil:
		h.wake = make(chan struct{}, 1)
		h.crew.s.wg.Add(1) // whoever rouses is counted
		go h.run()
	default:
		h.wake <- struct{}{}
	}
}

// run serves requests, as a free hand, until it is not needed.
func (h *hand) run() {
	defer h.crew.s.wg.Done()
	h.call = newCall(h.crew.s.source)
	h.tell(time.Now())
	for v := h.crew.next(h); v != nil; v = h.crew.next(h) {
		began := h.now
		v.serve(h)
		h.lagged = h.now.Sub(began) > lasting
		h.crew.back(h)
	}
}

// back has h be free again.
func (w *crew) back(h *hand) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free++
	if h.queued && !w.unsent {
		w.unsent, w.since = true, h.now
	}
	h.queued = false
}

// next returns what h, which is free, does next; nil: h is not needed any more.
func (w *crew) next(h *hand) *lane {
	w.mu.Lock()
	for {
		switch {
		case w.unsent && (w.first == nil || h.lagged || h.now.Sub(w.since) > heldBack):
			w.unsent = false
			w.mu.Unlock()
			w.t.Flush()
			w.mu.Lock()
		case w.first != nil:
			v := w.pop()
			w.free--
			var other *hand
			if w.first != nil || w.unsent {
				other = w.summon()
			}
			w.mu.Unlock()
			other.rouse()
			return v
		case w.ended || len(w.parked) == mostParked:
			w.free--
			w.mu.Unlock()
			return nil
		default:
			w.free--
			w.parked = append(w.parked, h)
			w.mu.Unlock()
			<-h.wake
			h.lagged = false
			h.tell(time.Now())
			w.mu.Lock()
		}
	}
}

// end lets the hands end that are parked, and all others when nothing is left.
func (w *crew) end() {
	w.mu.Lock()
	idle := w.parked
	w.parked, w.ended = nil, true
	w.free += len(idle)
	w.mu.Unlock()
	for _, h := range idle {
		h.rouse()
	}
}
