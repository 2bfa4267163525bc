package soak

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"

	"github.com/myelin-run/myelin/event"
)

const (
	largest = 1 << 20
	roomy   = 128 << 10 // what a request keeps for the next one
)

// ordinary is what bodies are cut from.
var ordinary = func() []byte {
	b := make([]byte, 2*largest)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}()

// path is one thing that a function is asked to do, and how often.
type path struct {
	name  string
	share int // of 100,000 events
}

// request is one event and what is known of its answer.
type request struct {
	n    int
	id   []byte
	path string
	body []byte
	ev   event.Event
	loan event.Loan
}

func size(r *rand.Rand) int {
	switch p := r.IntN(10_000); {
	case p < 1000:
		return 0
	case p < 9500:
		return r.IntN(2 << 10)
	case p < 9998:
		return r.IntN(64 << 10)
	default:
		return r.IntN(largest + 1)
	}
}

// fill makes event n, mostly ordinary. lender, if there is one, lends the
// memory of the body.
func (q *request) fill(r *rand.Rand, n int, paths []path, lender event.Lender) {
	size := size(r)
	q.n, q.id = n, strconv.AppendInt(q.id[:0], int64(n), 10)
	q.body = q.room(size, lender)
	copy(q.body, ordinary[r.IntN(largest):])
	if size >= 8 { // its own number at both ends, so that no two are alike
		binary.LittleEndian.PutUint64(q.body, uint64(n))
		binary.LittleEndian.PutUint64(q.body[size-8:], uint64(n))
	}
	q.path = "/sum"
	p := r.IntN(100_000)
	for _, kind := range paths {
		if p -= kind.share; p < 0 {
			q.path = kind.name
			break
		}
	}
	q.ev = event.Event{ID: q.id, Method: []byte("POST"), Path: []byte(q.path), URL: []byte(q.path), Body: q.body, Source: &source, Loan: q.loan}
}

func (q *request) room(n int, lender event.Lender) []byte {
	if lender != nil && n > 0 {
		if q.loan = lender.Lend(n); q.loan != nil {
			return q.loan.Bytes()
		}
	}
	if n <= cap(q.body) && cap(q.body) <= roomy {
		return q.body[:n]
	}
	return make([]byte, n)
}

// done gives back what was lent for the event.
func (q *request) done() {
	if q.loan != nil {
		q.loan.Release()
		q.loan, q.body = nil, nil
	}
}

var source = event.Source{Kind: "http", Class: "sync", Name: "soak"}

// fails tells whether the function fails this event.
func (q *request) fails() bool {
	return q.path == "/raise" || q.path == "/panic" || q.path == "/permanent"
}

func (q *request) answer() string {
	switch q.path {
	case "/echo", "/view", "/call", "/stream":
		return string(q.body)
	}
	return fmt.Sprintf("%d %d", q.n, crc32.ChecksumIEEE(q.body))
}
