package redis

import (
	"errors"
	"fmt"
)

// entry is one entry of a stream as Redis tells it. id and the members of
// fields are the texts of the answer, in the boxes that they came in.
type entry struct {
	stream int
	id     any
	fields []any // names and values in turn; nil: the entry is no longer in the stream
	before int   // how often it was delivered
}

var errShape = errors.New("redis answered in an unknown form")

// entries reads the list of entries in an answer to XREADGROUP, XAUTOCLAIM or
// XCLAIM, which is not there if it is nil.
func entries(to []entry, stream int, list any) ([]entry, error) {
	all, ok := list.([]any)
	if !ok {
		return to, fmt.Errorf("%w: %T for entries", errShape, list)
	}
	for _, x := range all {
		if x == nil { // Redis 6.2: pending, and no longer in the stream
			continue
		}
		pair, ok := x.([]any)
		if !ok || len(pair) != 2 {
			return to, fmt.Errorf("%w: %T for an entry", errShape, x)
		}
		if _, ok := pair[0].(string); !ok {
			return to, fmt.Errorf("%w: %T for an id", errShape, pair[0])
		}
		e := entry{stream: stream, id: pair[0]}
		if pair[1] != nil {
			if e.fields, ok = pair[1].([]any); !ok || len(e.fields)%2 != 0 {
				return to, fmt.Errorf("%w: %T for fields", errShape, pair[1])
			}
		}
		to = append(to, e)
	}
	return to, nil
}

// streams reads the answer to XREADGROUP: pairs of a stream's name and its
// entries. nil is an answer, too.
func streams(to []entry, names []string, answer any) ([]entry, error) {
	if answer == nil {
		return to, nil
	}
	all, ok := answer.([]any)
	if !ok {
		return to, fmt.Errorf("%w: %T for streams", errShape, answer)
	}
	for _, x := range all {
		pair, ok := x.([]any)
		if !ok || len(pair) != 2 {
			return to, fmt.Errorf("%w: %T for a stream", errShape, x)
		}
		at := -1
		for i, n := range names {
			if n == pair[0] {
				at = i
			}
		}
		if at < 0 {
			return to, fmt.Errorf("%w: stream %v", errShape, pair[0])
		}
		var err error
		if to, err = entries(to, at, pair[1]); err != nil {
			return to, err
		}
	}
	return to, nil
}

// claimed reads the answer to XAUTOCLAIM: where to go on, entries, and the ids
// of those that are no longer in the stream, which Redis 7 has taken out of the
// pending ones by itself.
func claimed(to []entry, stream int, answer any) (next string, out []entry, gone []any, err error) {
	all, ok := answer.([]any)
	if !ok || len(all) < 2 {
		return "", to, nil, fmt.Errorf("%w: %T for claims", errShape, answer)
	}
	if next, ok = all[0].(string); !ok {
		return "", to, nil, fmt.Errorf("%w: %T for a place", errShape, all[0])
	}
	if len(all) > 2 {
		gone, _ = all[2].([]any)
	}
	out, err = entries(to, stream, all[1])
	return next, out, gone, err
}
