package worker

// line is the waiting events of one trigger, first come first served.
type line struct {
	first, last *ticket
	inRing      bool
	nextLine    *handler
}

// turns holds the lines of all triggers that wait, and serves one of each in
// turn, so that a trigger with many events does not starve one with few.
type turns struct {
	head, tail *handler // ring of handlers with a line, as a queue
	waiting    int
}

func (q *turns) join(h *handler, t *ticket) {
	l := &h.line
	t.next, t.prev, t.inLine = nil, l.last, true
	if l.last == nil {
		l.first = t
	} else {
		l.last.next = t
	}
	l.last = t
	q.waiting++
	q.enqueue(h)
}

// leave takes t out of its line; false if its turn has come.
func (q *turns) leave(h *handler, t *ticket) bool {
	if !t.inLine {
		return false
	}
	q.unlink(&h.line, t)
	return true
}

// next takes the first event of the trigger whose turn it is. There is one.
func (q *turns) next() *ticket {
	for {
		h := q.head
		q.head, h.line.nextLine, h.line.inRing = h.line.nextLine, nil, false
		if q.head == nil {
			q.tail = nil
		}
		t := h.line.first
		if t == nil { // all of its events gave up
			continue
		}
		q.unlink(&h.line, t)
		if h.line.first != nil {
			q.enqueue(h)
		}
		return t
	}
}

func (q *turns) enqueue(h *handler) {
	if h.line.inRing {
		return
	}
	h.line.inRing = true
	if q.tail == nil {
		q.head = h
	} else {
		q.tail.line.nextLine = h
	}
	q.tail = h
}

func (q *turns) unlink(l *line, t *ticket) {
	if t.prev == nil {
		l.first = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		l.last = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.next, t.prev, t.inLine = nil, nil, false
	q.waiting--
}
