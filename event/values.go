package event

import (
	"bytes"
	"iter"
	"strings"
)

// Pairs is a [Values] that owns its memory: alternating keys and values.
type Pairs []Pair

// Pair is one key and its value.
type Pair struct {
	Key   string
	Value []byte
}

// Get returns the first value of key, without regard to case.
func (p Pairs) Get(key string) []byte {
	for i := range p {
		if strings.EqualFold(p[i].Key, key) {
			return p[i].Value
		}
	}
	return nil
}

// All yields the pairs in order.
func (p Pairs) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for i := range p {
			if !yield([]byte(p[i].Key), p[i].Value) {
				return
			}
		}
	}
}

// CloneValues returns a copy of v that may be kept; nil for nil.
func CloneValues(v Values) Values {
	if v == nil {
		return nil
	}
	var p Pairs
	for k, val := range v.All() {
		p = append(p, Pair{string(k), bytes.Clone(val)})
	}
	return p
}
