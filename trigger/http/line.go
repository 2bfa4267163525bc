package http

// line is a queue of connections.
type line struct {
	conns []*looped
	head  int
}

func (q *line) empty() bool { return q.head == len(q.conns) }

func (q *line) first() *looped { return q.conns[q.head] }

func (q *line) push(c *looped) {
	if q.head > 0 && len(q.conns) == cap(q.conns) {
		n := copy(q.conns, q.conns[q.head:])
		clear(q.conns[n:])
		q.conns, q.head = q.conns[:n], 0
	}
	q.conns = append(q.conns, c)
}

func (q *line) pop() *looped {
	c := q.conns[q.head]
	q.conns[q.head] = nil
	if q.head++; q.empty() {
		q.conns, q.head = q.conns[:0], 0
	}
	return c
}
