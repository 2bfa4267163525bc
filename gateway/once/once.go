// Package once keeps answers by keys, so that a request that is sent again is
// not done again: in memory, and in a log that outlives the process. It is
// bounded and knows no requests.
package once

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"
)

// State is what is known of a key.
type State int

// The states.
const (
	Run      State = iota // nothing: do it, then Finish
	Stored                // it was answered
	Running               // it is under way
	Mismatch              // it was another request
	Full                  // too much is under way
)

// Sum tells requests apart.
type Sum = [sha256.Size]byte

// Store keeps answers of type T. It may be used from any goroutine.
type Store[T any] struct {
	mostKeys, mostBytes int

	mu    sync.Mutex
	by    map[string]*list.Element
	order list.List // of *entry[T]: the oldest first
	bytes int
}

type entry[T any] struct {
	key    string
	sum    Sum
	done   chan struct{} // closed when it is no longer under way
	ended  bool
	answer T
	size   int
	until  time.Time
}

// New returns a store of at most so many keys and bytes.
func New[T any](keys, bytes int) *Store[T] {
	return &Store[T]{mostKeys: keys, mostBytes: bytes, by: map[string]*list.Element{}}
}

// Begin looks a key up. Who is told to Run must call Finish. Of one that is
// under way, done is closed when it ends: then ask again.
func (s *Store[T]) Begin(key string, sum Sum, now time.Time) (state State, answer T, done <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.find(key, now); e != nil {
		switch {
		case e.sum != sum:
			return Mismatch, answer, nil
		case e.ended:
			return Stored, e.answer, nil
		}
		return Running, answer, e.done
	}
	if !s.room(now) {
		return Full, answer, nil
	}
	s.by[key] = s.order.PushBack(&entry[T]{key: key, sum: sum, done: make(chan struct{})})
	return Run, answer, nil
}

func (s *Store[T]) find(key string, now time.Time) *entry[T] {
	el := s.by[key]
	if el == nil {
		return nil
	}
	e := el.Value.(*entry[T])
	if e.ended && now.After(e.until) {
		s.drop(el)
		return nil
	}
	return e
}

func (s *Store[T]) drop(el *list.Element) {
	e := el.Value.(*entry[T])
	s.order.Remove(el)
	delete(s.by, e.key)
	s.bytes -= e.size
}

// room makes place for one more, at the cost of what is over and then of the
// oldest that was answered.
func (s *Store[T]) room(now time.Time) bool {
	for el := s.order.Front(); el != nil; {
		next := el.Next()
		e := el.Value.(*entry[T])
		full := len(s.by) >= s.mostKeys || s.bytes > s.mostBytes
		switch {
		case e.ended && (full || now.After(e.until)):
			s.drop(el)
		case !full:
			return true
		}
		el = next
	}
	return len(s.by) < s.mostKeys && s.bytes <= s.mostBytes
}

// Finish ends what Begin said to Run: with its answer, or without, so that it
// can be tried again.
func (s *Store[T]) Finish(key string, answer T, size int, until time.Time, keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	el := s.by[key]
	if el == nil {
		return
	}
	e := el.Value.(*entry[T])
	close(e.done)
	if !keep {
		s.drop(el)
		return
	}
	e.ended, e.answer, e.size, e.until = true, answer, size, until
	s.bytes += size
}

// Add puts in an answer that was kept elsewhere, unless the key is known.
func (s *Store[T]) Add(key string, sum Sum, answer T, size int, until, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.After(until) || s.find(key, now) != nil || !s.room(now) {
		return
	}
	done := make(chan struct{})
	close(done)
	s.by[key] = s.order.PushBack(&entry[T]{key: key, sum: sum, done: done, ended: true, answer: answer, size: size, until: until})
	s.bytes += size
}
