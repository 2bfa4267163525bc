// Package cache keeps what was read from a binding, for some time and up to
// some bytes: values, objects and answers of one row, and that there is none. A
// value that many want at once is read once. It knows no service; that a value
// has changed it learns from the function's own writes, and from stores that tell.
package cache

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/binding/data"
)

// Options say what is kept.
type Options struct {
	Size     int64         // most bytes
	TTL      time.Duration // of what is there
	Negative time.Duration // of what is not; 0: not kept
	// Changed hears of each key that is forgotten since it may have changed, "" for
	// all, once it is; nil: nobody does.
	Changed func(key string)
}

// Stats count what was asked for.
type Stats struct {
	Hits     uint64 `json:"hits"`
	Negative uint64 `json:"negative"` // of the hits, those that say that there is nothing
	Misses   uint64 `json:"misses"`
	Shared   uint64 `json:"shared"` // had what another was reading
	Entries  int    `json:"entries"`
	Bytes    int64  `json:"bytes"`
}

// overhead is what an entry takes besides its key and value, about.
const overhead = 160

// kept keeps values of one kind, the one used last first.
type kept[T any] struct {
	o    Options
	size func(T) int

	mu      sync.Mutex
	entries map[string]*entry[T]
	first   entry[T] // of the ring of entries; itself none
	bytes   int64
	flights map[string]*flight[T]

	hits, negative, misses, shared atomic.Uint64
}

type entry[T any] struct {
	key        string
	value      T
	err        error
	size       int64
	until      time.Time
	next, prev *entry[T]
}

// flight is a value that is being read.
type flight[T any] struct {
	done  chan struct{}
	value T
	err   error
	alone bool // its reader gave up, which says nothing to others
}

func newKept[T any](o Options, size func(T) int) *kept[T] {
	k := &kept[T]{o: o, size: size, entries: map[string]*entry[T]{}, flights: map[string]*flight[T]{}}
	k.first.next, k.first.prev = &k.first, &k.first
	return k
}

// Stats returns what was counted.
func (k *kept[T]) Stats() Stats {
	k.mu.Lock()
	defer k.mu.Unlock()
	return Stats{Hits: k.hits.Load(), Negative: k.negative.Load(), Misses: k.misses.Load(), Shared: k.shared.Load(), Entries: len(k.entries), Bytes: k.bytes}
}

// peek returns what is kept under key.
func (k *kept[T]) peek(key string) (v T, ok bool, err error) {
	k.mu.Lock()
	e, ok := k.entries[key]
	if !ok {
		k.mu.Unlock()
		return v, false, nil
	}
	if !time.Now().Before(e.until) {
		k.remove(e)
		k.mu.Unlock()
		return v, false, nil
	}
	k.unlink(e)
	k.link(e)
	v, err = e.value, e.err
	k.mu.Unlock()
	k.hits.Add(1)
	if err != nil {
		k.negative.Add(1)
	}
	return v, true, err
}

// get returns what is kept under key, or reads it; what another reads it waits
// for.
func (k *kept[T]) get(ctx context.Context, key string, read func() (T, error)) (T, error) {
	for {
		if v, ok, err := k.peek(key); ok {
			return v, err
		}
		k.mu.Lock()
		f, busy := k.flights[key]
		if !busy {
			f = &flight[T]{done: make(chan struct{}), alone: true}
			k.flights[key] = f
		}
		k.mu.Unlock()
		if !busy {
			k.misses.Add(1)
			k.fly(ctx, key, f, read)
			return f.value, f.err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			var none T
			return none, data.As(data.Timeout, ctx.Err())
		}
		if !f.alone {
			k.shared.Add(1)
			return f.value, f.err
		}
	}
}

// fly reads a value for all who wait for it.
func (k *kept[T]) fly(ctx context.Context, key string, f *flight[T], read func() (T, error)) {
	defer func() { // also if read panics
		k.mu.Lock()
		if k.flights[key] == f { // else it was written meanwhile
			delete(k.flights, key)
			k.keep(key, f)
		}
		k.mu.Unlock()
		close(f.done)
	}()
	f.value, f.err = read()
	f.alone = f.err != nil && ctx.Err() != nil
}

// keep keeps what was read, if it is to be kept. mu is held.
func (k *kept[T]) keep(key string, f *flight[T]) {
	ttl := k.o.TTL
	switch {
	case f.err == nil && !f.alone:
	case errors.Is(f.err, data.NotFound):
		ttl = k.o.Negative
	default:
		return
	}
	e := &entry[T]{key: key, value: f.value, err: f.err, until: time.Now().Add(ttl)}
	e.size = int64(len(key)) + overhead
	if f.err == nil {
		e.size += int64(k.size(f.value))
	}
	if ttl <= 0 || e.size > k.o.Size {
		return
	}
	if old, ok := k.entries[key]; ok {
		k.remove(old)
	}
	k.entries[key] = e
	k.link(e)
	for k.bytes += e.size; k.bytes > k.o.Size; {
		k.remove(k.first.prev)
	}
}

// forget forgets a key: what is being read of it, too, is not kept, and not
// given to who asks from now on.
func (k *kept[T]) forget(key string) {
	k.mu.Lock()
	if e, ok := k.entries[key]; ok {
		k.remove(e)
	}
	delete(k.flights, key)
	k.mu.Unlock()
	if k.o.Changed != nil {
		k.o.Changed(key)
	}
}

// until says until when the value of a key is kept; the zero time: it is not.
func (k *kept[T]) until(key string) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, ok := k.entries[key]; ok && e.err == nil {
		return e.until
	}
	return time.Time{}
}

// clear forgets everything.
func (k *kept[T]) clear() {
	k.mu.Lock()
	clear(k.entries)
	clear(k.flights)
	k.first.next, k.first.prev, k.bytes = &k.first, &k.first, 0
	k.mu.Unlock()
	if k.o.Changed != nil {
		k.o.Changed("")
	}
}

func (k *kept[T]) link(e *entry[T]) {
	e.next, e.prev = k.first.next, &k.first
	e.next.prev, k.first.next = e, e
}

func (k *kept[T]) unlink(e *entry[T]) { e.prev.next, e.next.prev = e.next, e.prev }

func (k *kept[T]) remove(e *entry[T]) {
	k.unlink(e)
	delete(k.entries, e.key)
	k.bytes -= e.size
}
