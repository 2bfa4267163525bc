package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/dealer"
)

// table is a dealer's table and what was seen of it. It is its Watcher.
type table struct {
	*dealer.Table
	s       *Server
	name    string
	edition uint64
	counts  Counts
	moves   []LeaseMove // the last ones, a ring
	oldest  int
}

// Counts are since this server began to deal.
type Counts struct {
	Moves    uint64        `json:"moves"`   // leases given to another than before
	Given    uint64        `json:"given"`   // all leases given
	Taken    uint64        `json:"taken"`   // leases whose processor was heard to work
	Without  time.Duration `json:"without"` // sum of the times in which nobody did, over those
	Longest  time.Duration `json:"longest"` // the longest of them
	Overdue  uint64        `json:"overdue"` // of those, longer than a ttl and a second
	Restored time.Time     `json:"since"`
}

// LeaseMove is a lease that was given, and why.
type LeaseMove struct {
	At       time.Time    `json:"at"`
	Resource string       `json:"resource"`
	From     string       `json:"from,omitempty"`
	To       string       `json:"to"`
	Epoch    dealer.Epoch `json:"epoch"`
	Why      string       `json:"why"`
}

const keptMoves = 1000

func (s *Server) newTable(name string) *table {
	t := &table{s: s, name: name, counts: Counts{Restored: time.Now()}}
	s.tables[name] = t
	return t
}

func (t *table) options() dealer.Options {
	return dealer.Options{TTL: millis(t.s.o.TTL), Patience: millis(t.s.o.Patience)}
}

// Moved implements [dealer.Watcher].
func (t *table) Moved(m dealer.Move) {
	t.counts.Given++
	if m.From != m.To {
		t.counts.Moves++
	}
	e := LeaseMove{time.Now(), m.Resource, m.From, m.To, m.Epoch, m.Why}
	if len(t.moves) < keptMoves {
		t.moves = append(t.moves, e)
	} else {
		t.moves[t.oldest] = e
		t.oldest = (t.oldest + 1) % keptMoves
	}
	t.s.o.Log.Debug("lease given", "table", t.name, "resource", m.Resource, "from", m.From, "to", m.To, "epoch", m.Epoch, "why", m.Why)
}

// Taken implements [dealer.Watcher].
func (t *table) Taken(_, _ string, without dealer.Time) {
	d := time.Duration(without) * time.Millisecond
	t.counts.Taken++
	t.counts.Without += d
	t.counts.Longest = max(t.counts.Longest, d)
	if d > t.s.o.TTL+time.Second {
		t.counts.Overdue++
	}
}

// lastMoves are those that are remembered, the last first.
func (t *table) lastMoves() []LeaseMove {
	out := slices.Concat(t.moves[t.oldest:], t.moves[:t.oldest])
	slices.Reverse(out)
	return out
}

// load reads all tables from the store.
func (s *Server) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.Reign)
	defer cancel()
	pages, rev, err := s.o.Store.Load(ctx, tablePrefix)
	if err != nil {
		return fmt.Errorf("load tables: %w", err)
	}
	if rev != s.rev {
		return ErrConflict
	}
	saved := map[string]map[string][]byte{}
	for key, b := range pages {
		key = strings.TrimPrefix(key, tablePrefix)
		i := strings.LastIndexByte(key, '/')
		if i < 0 {
			return fmt.Errorf("load tables: no table has a page %q", key)
		}
		if saved[key[:i]] == nil {
			saved[key[:i]] = map[string][]byte{}
		}
		saved[key[:i]][key[i+1:]] = b
	}
	s.tables = map[string]*table{}
	for name, pages := range saved {
		t := s.newTable(name)
		if t.Table, err = dealer.Restore(t.options(), t, s.now(), s.reign.Term(), pages); err != nil {
			s.tables = nil
			return fmt.Errorf("table %s: %w", name, err)
		}
	}
	s.o.Log.Info("deals", "term", s.reign.Term(), "tables", len(s.tables))
	return nil
}
