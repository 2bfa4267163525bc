package mirror

import (
	"cmp"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/control/store"
)

// sheet is entries by key, in order, in pieces that are small enough to move
// what lies behind a new one.
type sheet struct {
	pieces []piece // none is empty; the keys of one lie before those of the next
	by     map[string]store.Entry
}

type piece []string

// most is the size at which a piece is halved.
const most = 1024

// newSheet takes entries that are in order.
func newSheet(all []store.Entry) sheet {
	s := sheet{by: make(map[string]store.Entry, len(all))}
	for chunk := range slices.Chunk(all, most/2) {
		p := make(piece, len(chunk), most)
		for i, e := range chunk {
			p[i] = e.Key
			s.by[e.Key] = e
		}
		s.pieces = append(s.pieces, p)
	}
	return s
}

// at finds the piece in which key is or would be, and its place there.
func (s *sheet) at(key string) (in, place int, there bool) {
	in, there = slices.BinarySearchFunc(s.pieces, key, func(p piece, key string) int { return cmp.Compare(p[0], key) })
	if there {
		return in, 0, true
	}
	if in > 0 {
		in--
	}
	if in < len(s.pieces) {
		place, there = slices.BinarySearch(s.pieces[in], key)
	}
	return in, place, there
}

func (s *sheet) get(key string) (store.Entry, bool) {
	e, ok := s.by[key]
	return e, ok
}

func (s *sheet) put(e store.Entry) {
	_, had := s.by[e.Key]
	s.by[e.Key] = e
	if had {
		return
	}
	if len(s.pieces) == 0 {
		s.pieces = append(s.pieces, piece{e.Key})
		return
	}
	i, place, _ := s.at(e.Key)
	p := slices.Insert(s.pieces[i], place, e.Key)
	s.pieces[i] = p
	if len(p) >= most {
		half := slices.Clone(p[most/2:])
		s.pieces[i] = slices.Clone(p[:most/2])
		s.pieces = slices.Insert(s.pieces, i+1, half)
	}
}

func (s *sheet) drop(key string) {
	if _, had := s.by[key]; !had {
		return
	}
	delete(s.by, key)
	i, place, _ := s.at(key)
	if s.pieces[i] = slices.Delete(s.pieces[i], place, place+1); len(s.pieces[i]) == 0 {
		s.pieces = slices.Delete(s.pieces, i, i+1)
	}
}

// span returns the entries of a span, and how many more there are.
func (s *sheet) span(want store.Span) (out []store.Entry, more int) {
	from := max(want.Prefix, want.After)
	first, place, there := s.at(from)
	if there && want.After == from && want.After != "" {
		place++
	}
	out = []store.Entry{}
	for i := first; i < len(s.pieces); i++ {
		keys := s.pieces[i][place:]
		place = 0
		end := len(keys)
		if last := len(keys) - 1; last >= 0 && !strings.HasPrefix(keys[last], want.Prefix) {
			end, _ = slices.BinarySearchFunc(keys, want.Prefix, func(key, prefix string) int {
				if key < prefix || strings.HasPrefix(key, prefix) {
					return -1
				}
				return 1
			})
		}
		take := end
		if want.Limit > 0 {
			take = min(end, want.Limit-len(out))
		}
		for _, key := range keys[:take] {
			out = append(out, s.by[key])
		}
		more += end - take
		if end < len(keys) {
			break
		}
	}
	return out, more
}
