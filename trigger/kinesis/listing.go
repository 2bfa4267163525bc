package kinesis

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// shard is one of a stream, as the service lists it. A shard that was split or
// merged is closed: nothing comes to it any more, and its children have what comes
// next.
type shard struct {
	n       int32
	parents []int32 // one, or two of a merge; they may not be listed any more
	closed  bool
}

// listing is what shards a stream has. It is not changed.
type listing struct {
	created int64 // when the stream was made: another of the same name was made at another time
	shards  map[int32]shard
}

// shardPrefix is how the service calls shards, which it numbers.
const shardPrefix = "shardId-"

func idOf(n int32) string { return fmt.Sprintf("%s%012d", shardPrefix, n) }

func numberOf(id string) (int32, error) {
	digits, ok := strings.CutPrefix(id, shardPrefix)
	n, err := strconv.ParseUint(digits, 10, 31)
	if !ok || err != nil || idOf(int32(n)) != id {
		return 0, fmt.Errorf("a shard is called %.60q, expected %s", id, idOf(0))
	}
	return int32(n), nil
}

// numbers are those of the shards, from the oldest on.
func (l *listing) numbers() (out []int32) {
	for n := range l.shards {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// orphaned reports whether the parents of a shard are read to their end, or not there
// any more.
func (l *listing) orphaned(n int32, ended map[int32]bool) bool {
	for _, p := range l.shards[n].parents {
		if _, listed := l.shards[p]; listed && !ended[p] {
			return false
		}
	}
	return true
}
