package v3io

import (
	"fmt"
	"hash/fnv"
	"maps"
	"time"
)

// stream is one, in shards.
type stream struct {
	shards []*shard
	hours  int
	turn   int // of the shards, for records without a key
}

// shard has records from first on. It has an object, and attributes, from its first
// record on.
type shard struct {
	records    []Record
	first      int64 // sequence of records[0]
	is         bool  // it has an object
	attributes map[string]attribute
}

// attribute is a value with its type: {"N": "7"} or {"S": "text"}.
type attribute map[string]any

// Record is one of a shard.
type Record struct {
	SequenceNumber  int64
	ArrivalTimeSec  int64
	ArrivalTimeNSec int64
	ClientInfo      []byte `json:",omitempty"`
	PartitionKey    string `json:",omitempty"`
	Data            []byte
}

func (h *shard) next() int64 { return h.first + int64(len(h.records)) }

// add appends a record.
func (h *shard) add(r Record) int64 {
	now := time.Now()
	r.SequenceNumber, r.ArrivalTimeSec, r.ArrivalTimeNSec = h.next(), now.Unix(), int64(now.Nanosecond())
	h.records, h.is = append(h.records, r), true
	return r.SequenceNumber
}

// grow gives a stream more shards.
func (st *stream) grow(n int) {
	for len(st.shards) < n {
		st.shards = append(st.shards, &shard{first: 1, attributes: map[string]attribute{}})
	}
}

// of is the shard for a key; "" has them take turns.
func (st *stream) of(key string) int {
	if key == "" {
		st.turn++
		return st.turn % len(st.shards)
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(len(st.shards))) //nolint:gosec // there are not that many
}

// Create makes a stream: container/path.
func (s *Server) Create(name string, shards int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[name] = newStream(shards, 24)
}

func newStream(shards, hours int) *stream {
	st := &stream{hours: hours}
	st.grow(shards)
	return st
}

// Delete takes a stream away, with all that is in it.
func (s *Server) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.streams, name)
}

// Grow gives a stream more shards.
func (s *Server) Grow(name string, shards int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[name].grow(shards)
}

// Trim deletes the records of a shard before a sequence, as retention does.
func (s *Server) Trim(name string, n int, before int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.streams[name].shards[n]
	k := min(max(before-h.first, 0), int64(len(h.records)))
	h.records, h.first = h.records[k:], h.first+k
}

// Put appends records without a request, each to the shard of its key.
func (s *Server) Put(name string, rs ...Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[name]
	for _, r := range rs {
		st.shards[st.of(r.PartitionKey)].add(r)
	}
}

// PutTo appends a record to a shard.
func (s *Server) PutTo(name string, n int, r Record) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[name].shards[n].add(r)
}

// Attributes are those of a shard, as {"name": "7"}.
func (s *Server) Attributes(name string, n int) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]string{}
	for k, v := range s.streams[name].shards[n].attributes {
		for _, x := range v {
			out[k] = fmt.Sprint(x)
		}
	}
	return out
}

// SetAttribute gives a shard an attribute that is a number, and makes its object.
func (s *Server) SetAttribute(name string, n int, key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.streams[name].shards[n]
	h.is = true
	h.attributes = maps.Clone(h.attributes)
	h.attributes[key] = attribute{"N": value}
}
