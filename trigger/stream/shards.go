package stream

import (
	"sync"

	"github.com/myelin-run/myelin/event"
)

// place names a shard.
type place struct {
	topic string
	shard int32
}

// shards are those that the processor has.
type shards struct {
	mu      sync.Mutex
	byPlace map[place]*shard
	byToken map[uint32]*shard
	ending  map[place]*shard // the last one that had this place; its lanes may still run
	tokens  uint32
}

func (s *shards) init() {
	s.byPlace, s.byToken, s.ending = map[place]*shard{}, map[uint32]*shard{}, map[place]*shard{}
}

// add begins a lease. Its lanes wait for those of the lease before it.
func (s *shards) add(q *session, l Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := place{l.Topic, l.Shard}
	if old := s.byPlace[p]; old != nil {
		if old.lease.Epoch == l.Epoch {
			return
		}
		s.dropLocked(p, old)
		old.fence()
	}
	s.tokens++
	sh := newShard(q, l, s.tokens)
	if before := s.ending[p]; before != nil {
		sh.before = before.done
	}
	s.byPlace[p], s.byToken[sh.token] = sh, sh
	sh.start()
}

func (s *shards) dropLocked(p place, sh *shard) {
	delete(s.byPlace, p)
	delete(s.byToken, sh.token)
	s.ending[p] = sh
}

// find returns the shard of a lease, nil if it is not held.
func (s *shards) find(l Lease) *shard {
	s.mu.Lock()
	defer s.mu.Unlock()
	sh := s.byPlace[place{l.Topic, l.Shard}]
	if sh == nil || sh.lease.Epoch != l.Epoch {
		return nil
	}
	return sh
}

// ofToken returns the shard that a token was made for.
func (s *shards) ofToken(t event.Token) *shard {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byToken[t.Epoch]
}

// remove takes out those of the leases that are held.
func (s *shards) remove(ls []Lease) (out []*shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range ls {
		p := place{l.Topic, l.Shard}
		if sh := s.byPlace[p]; sh != nil && sh.lease.Epoch == l.Epoch {
			s.dropLocked(p, sh)
			out = append(out, sh)
		}
	}
	return out
}

func (s *shards) removeAll() (out []*shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, sh := range s.byPlace {
		s.dropLocked(p, sh)
		out = append(out, sh)
	}
	return out
}

func (s *shards) all() (out []*shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.byPlace {
		out = append(out, sh)
	}
	return out
}

// anyDry reports whether some shard has nothing to run.
func (s *shards) anyDry() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.byPlace {
		if sh.isDry() {
			return true
		}
	}
	return false
}
