package s3

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/minio/minio-go/v7"
)

// print is what is remembered of an object: a digest of its key, its tag and when
// it was written.
type print uint64

func printOf(o minio.ObjectInfo) print {
	h := sha256.New()
	_, _ = io.WriteString(h, o.Key+"\x00"+o.ETag+"\x00"+strconv.FormatInt(o.LastModified.UnixMilli(), 10))
	return print(binary.BigEndian.Uint64(h.Sum(nil)))
}

// seen are the objects of the overlap that are done, with when they were written.
type seen struct {
	prints map[print]int64
	floor  int64 // all that were written before are taken for done
}

// with is seen and more, without those that were written before since. If there
// are more than most, the oldest go, and the floor rises above them.
func (s seen) with(more []fetched, since int64, most int) seen {
	out := seen{prints: maps.Clone(s.prints), floor: s.floor}
	if out.prints == nil {
		out.prints = map[print]int64{}
	}
	for _, f := range more {
		out.prints[f.print] = f.written
	}
	maps.DeleteFunc(out.prints, func(_ print, at int64) bool { return at < since })
	if excess := len(out.prints) - most; excess > 0 {
		times := slices.Sorted(maps.Values(out.prints))
		out.floor = max(out.floor, times[excess-1]+1)
		maps.DeleteFunc(out.prints, func(_ print, at int64) bool { return at < out.floor })
	}
	return out
}

// has reports whether an object is remembered.
func (s seen) has(p print) bool {
	_, ok := s.prints[p]
	return ok
}

// oneSize is that of one print and its time, as they are kept.
const oneSize = 16

// bytes writes the prints, in an order that does not depend on chance.
func (s seen) bytes() []byte {
	keys := slices.SortedFunc(maps.Keys(s.prints), func(a, b print) int { return cmp.Or(cmp.Compare(s.prints[a], s.prints[b]), cmp.Compare(a, b)) })
	b := make([]byte, 0, oneSize*len(keys))
	for _, k := range keys {
		b = binary.BigEndian.AppendUint64(b, uint64(k))
		b = binary.BigEndian.AppendUint64(b, uint64(s.prints[k])) //nolint:gosec // a time after 1970
	}
	return b
}

func readSeen(b []byte, floor int64) (s seen, err error) {
	if len(b)%oneSize != 0 {
		return s, errors.New("what is remembered of objects is cut short")
	}
	s = seen{prints: make(map[print]int64, len(b)/oneSize), floor: floor}
	for ; len(b) > 0; b = b[oneSize:] {
		s.prints[print(binary.BigEndian.Uint64(b))] = int64(binary.BigEndian.Uint64(b[8:])) //nolint:gosec // it was one
	}
	return s, nil
}
