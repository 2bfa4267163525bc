package kinesis

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/amazon"
	"github.com/myelin-run/myelin/trigger/stream"
)

// source opens sessions, and says which shards there are to be read.
type source struct {
	cfg     Config
	log     *slog.Logger
	at      *amazon.Place
	tableAt *amazon.Place
	start   trigger.Start // as the spec says it
	reader  string        // names the trigger in keys of checkpoints

	mu      sync.Mutex
	now     *listing       // nil: not known yet
	ended   map[int32]bool // of the stream that now is of: shards of which nothing is left to be read
	told    []trigger.Shard
	changed chan struct{} // closed and made anew when any of them changes
}

var _ stream.Source = (*source)(nil)

// connectTime bounds a connecting, in which a table may have to be made.
const connectTime = time.Minute

// Connect implements [stream.Source].
func (s *source) Connect(ctx context.Context, w stream.Want, host stream.Shards) (stream.Session, error) {
	a, t, err := s.open()
	if err != nil {
		return nil, err
	}
	n := newSession(s, a, t, w, host)
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	if err := n.begin(ctx); err != nil {
		n.close()
		return nil, err
	}
	n.ends.Go(n.watch)
	return n, nil
}

// open makes the ways to the stream and to its checkpoints, which connect when they
// are used.
func (s *source) open() (*api, *table, error) {
	c, err := s.at.Open(service)
	if err != nil {
		return nil, nil, err
	}
	d, err := s.tableAt.Open(database)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return &api{Client: c, stream: s.cfg.StreamName}, &table{Client: d, name: s.cfg.CheckpointTable}, nil
}

// keys is what the keys of a stream's checkpoints begin with. One that is made anew
// under the same name has others.
func (s *source) keys(created int64) string {
	return fmt.Sprintf("%s/%s/%d/", s.reader, s.cfg.StreamName, created)
}

// busy is what the report says while the service wants fewer requests.
const busy = "the service wants fewer requests"

// explain says what a refusal of the service means.
func (s *source) explain(err error) error {
	why := amazon.Denied(err)
	switch {
	case err == nil:
		return nil
	case why != "":
		return fmt.Errorf("read stream %q: %s: %w", s.cfg.StreamName, why, err)
	case amazon.Is(err, absent):
		return fmt.Errorf("stream %q is not there: %w", s.cfg.StreamName, err)
	case amazon.Busy(err):
		return fmt.Errorf("read stream %q: %s: %w", s.cfg.StreamName, busy, err)
	}
	return fmt.Errorf("read stream %q: %w", s.cfg.StreamName, err)
}

// kept says what a refusal of the table of checkpoints means.
func (s *source) kept(err error) error {
	if why := amazon.Denied(err); why != "" {
		return fmt.Errorf("keep checkpoints in table %q: %s: %w", s.cfg.CheckpointTable, why, err)
	}
	return fmt.Errorf("keep checkpoints in table %q: %w", s.cfg.CheckpointTable, err)
}

// sees notes which shards the stream has.
func (s *source) sees(l *listing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil || s.now.created != l.created {
		if s.now != nil {
			s.log.Warn("the stream was made anew", "stream", s.cfg.StreamName)
		}
		s.ended = map[int32]bool{}
	}
	s.now = l
	s.wake()
}

// finished notes shards of which nothing is left to be read.
func (s *source) finished(created int64, ns ...int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil || s.now.created != created {
		return
	}
	for _, n := range ns {
		s.ended[n] = true
	}
	s.wake()
}

// wake is called with mu held.
func (s *source) wake() {
	if next := s.unread(); s.tells(next) {
		s.told = next
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// unread are the shards that are to be read, or will be once their parents are.
func (s *source) unread() (out []trigger.Shard) {
	for _, n := range s.now.numbers() {
		if !s.ended[n] {
			out = append(out, trigger.Shard{Topic: s.cfg.StreamName, N: n})
		}
	}
	return out
}

// tells reports whether shards are to be dealt anew. Those that come are dealt at
// once. Those that have ended are left out when the last of them has: to deal anew
// has all of them change hands.
func (s *source) tells(next []trigger.Shard) bool {
	draining := false
	for _, x := range next {
		if !slices.Contains(s.told, x) {
			return true
		}
		draining = draining || s.now.shards[x.N].closed
	}
	return len(next) > 0 && len(next) != len(s.told) && !draining
}

// find waits until there are other shards than known: it is the assignment's Find.
func (s *source) find(ctx context.Context, known []trigger.Shard) ([]trigger.Shard, error) {
	for {
		s.mu.Lock()
		told, changed := s.told, s.changed
		s.mu.Unlock()
		if len(told) > 0 && !slices.Equal(told, known) {
			s.log.Info("shards are to be read", "stream", s.cfg.StreamName, "shards", names(told))
			return slices.Clone(told), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// names are those of shards, for the log.
func names(all []trigger.Shard) string {
	const most = 20
	var b strings.Builder
	for i, s := range all {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(all)-most)
			break
		}
		fmt.Fprintf(&b, " %d", s.N)
	}
	return strings.TrimPrefix(b.String(), " ")
}

// look returns a shard if it is listed, whether its parents are read to their end or
// gone, and what is closed when that may have changed.
func (s *source) look(n int32) (sh shard, listed, orphaned bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return shard{}, false, false, s.changed
	}
	sh, listed = s.now.shards[n]
	return sh, listed, s.now.orphaned(n, s.ended), s.changed
}

// unfinished are the shards that are closed, and not known to be read to their end.
func (s *source) unfinished() (out []int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.now.numbers() {
		if s.now.shards[n].closed && !s.ended[n] {
			out = append(out, n)
		}
	}
	return out
}
