package kube

import (
	"context"
	"slices"
	"time"

	"github.com/myelin-run/myelin/control/store"
)

// books say which records are still needed. A commit is while it is the newest, or the
// last word about one of its keys; a deletion is the last word while an older record
// of the key is there.
type books struct {
	commits map[store.Revision]*kept
	said    map[string][]store.Revision // commits that are there, by key, in order
	loose   map[string]time.Time        // parts that no commit names yet, since when
	names   map[string]store.Revision   // commits by name of their record, and of their parts
	waste   int                         // ops that are not needed any more, about
	clock   func() time.Time
}

// kept is a commit whose record is there.
type kept struct {
	name string
	ops  []change // without values
	seen time.Time
}

func newBooks() books {
	return books{commits: map[store.Revision]*kept{}, said: map[string][]store.Revision{}, loose: map[string]time.Time{}, names: map[string]store.Revision{}, clock: time.Now}
}

func (b *books) knows(part string) bool { _, ok := b.names[part]; return ok }

// add notes the newest commit.
func (b *books) add(name string, c *commit) {
	k := &kept{name: name, seen: b.clock()}
	b.names[name] = c.Number
	for _, op := range c.Ops {
		k.ops = append(k.ops, change{Key: op.Key, Part: op.Part, Value: map[bool]*[]byte{true: {}}[op.Value != nil]})
		if len(b.said[op.Key]) > 0 {
			b.waste++
		}
		b.said[op.Key] = append(b.said[op.Key], c.Number)
		if op.Part != "" {
			b.names[op.Part] = c.Number
			delete(b.loose, op.Part)
		}
	}
	b.commits[c.Number] = k
}

// strays notes parts that no commit names.
func (b *books) strays(parts map[string][]byte) {
	for name := range parts {
		if _, known := b.loose[name]; !known {
			b.loose[name] = b.clock()
		}
	}
}

// only notes that no other records are there than those.
func (b *books) only(there func(name string) bool) {
	for name := range b.names {
		if !there(name) {
			b.gone(name)
		}
	}
}

// gone notes that a record is not there any more, and says whether it was needed.
func (b *books) gone(name string) (missed bool) {
	delete(b.loose, name)
	n, known := b.names[name]
	if !known {
		return false
	}
	delete(b.names, name)
	k := b.commits[n]
	if k == nil {
		return false
	}
	for _, op := range k.ops {
		missed = missed || b.needed(n, op) && (op.Part == name || k.name == name)
	}
	if k.name != name {
		return missed
	}
	delete(b.commits, n)
	for _, op := range k.ops {
		left := slices.DeleteFunc(b.said[op.Key], func(x store.Revision) bool { return x == n })
		if len(left) == 0 {
			delete(b.said, op.Key)
		} else {
			b.said[op.Key] = left
		}
	}
	return missed
}

// needed says whether an op of commit n is.
func (b *books) needed(n store.Revision, op change) bool {
	said := b.said[op.Key]
	last := len(said) - 1
	return last >= 0 && said[last] == n && (!op.deletes() || last > 0)
}

// spare are the names of records that nobody needs and that are older than keep.
func (b *books) spare(head store.Revision, keep time.Duration) (names []string) {
	old := b.clock().Add(-keep)
	for name, since := range b.loose {
		if !since.After(old) {
			names = append(names, name)
		}
	}
	for n, k := range b.commits {
		if n == head || k.seen.After(old) {
			continue
		}
		left := false
		for _, op := range k.ops {
			if b.needed(n, op) {
				left = true
			} else if b.knows(op.Part) {
				names = append(names, op.Part)
			}
		}
		if !left {
			names = append(names, k.name)
		}
	}
	return names
}

// tidy removes records that nobody needs, if there may be enough of them. Nothing is
// removed but after a commit, and so a store at rest asks for nothing.
func (s *Store) tidy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.books.waste < s.o.heap {
		return
	}
	s.books.waste = 0
	names := s.books.spare(s.head, s.o.keep)
	s.all.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, name := range names {
			if s.closed.Err() != nil {
				return
			}
			if err := s.client.Delete(ctx, s.at(name)); err != nil {
				s.o.Log.Debug("remove an old record of the store", "error", err) // the next time
				return
			}
			s.mu.Lock()
			s.books.gone(name)
			delete(s.parts, name)
			s.mu.Unlock()
		}
	})
}
