package kube

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/myelin-run/myelin/control/kubeapi"
	"github.com/myelin-run/myelin/control/store"
)

// errGap says that a commit is missing between what is known and what comes.
var errGap = errors.New("commits are missing")

// follow watches the records until ctx is done. When changes are missed it reads
// everything anew.
func (s *Store) follow(ctx context.Context, version string) {
	for n := 0; ctx.Err() == nil; n++ {
		before := version
		var err error
		version, err = s.client.Watch(ctx, s.at(""), s.label(), version, s.see)
		if before != version {
			n = 0
		}
		if errors.Is(err, kubeapi.ErrGone) || errors.Is(err, errGap) {
			var fresh string
			if fresh, err = s.load(ctx); err == nil {
				version, n = fresh, 0
			}
		}
		if err != nil && ctx.Err() == nil {
			s.o.Log.Warn("follow the store in the cluster", "error", err)
		}
		if kubeapi.Pause(ctx, n) != nil {
			return
		}
	}
}

// see takes what the watch brings.
func (s *Store) see(e kubeapi.Event) error {
	if e.Object == nil {
		s.mu.Lock()
		s.heard = time.Now()
		s.mu.Unlock()
		return nil
	}
	r, err := parse(e.Object)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = time.Now()
	switch {
	case e.Gone:
		if s.books.gone(r.Metadata.Name) {
			s.o.Log.Error("a record that the store needs was removed by somebody else: what it held is lost when the control plane ends", "record", r.Metadata.Name)
		}
		delete(s.parts, r.Metadata.Name)
	case r.Part != nil:
		if !s.books.knows(r.Metadata.Name) {
			s.parts[r.Metadata.Name] = r.Part.Value
			s.books.strays(map[string][]byte{r.Metadata.Name: nil})
			s.wake()
		}
	case r.Commit.Number == s.head+1:
		if !s.whole(r) {
			return errGap
		}
		s.take(r)
	case r.Commit.Number > s.head+1:
		return errGap
	}
	return nil
}

// past is the commits of late, for those who follow.
type past struct {
	from    store.Revision // what was before the first of them
	commits [][]store.Change
	bytes   int
}

// How much of the past is kept.
const (
	pastCommits = 4096
	pastBytes   = 16 << 20
)

func size(changes []store.Change) (n int) {
	for _, c := range changes {
		n += len(c.Value)
	}
	return n
}

// add notes the commit after the last one.
func (p *past) add(changes []store.Change) {
	p.commits = append(p.commits, changes)
	p.bytes += size(changes)
	for len(p.commits) > 1 && (len(p.commits) > pastCommits || p.bytes > pastBytes) {
		p.bytes -= size(p.commits[0])
		p.commits[0] = nil
		p.commits = p.commits[1:]
		p.from++
	}
}

// since returns the commits after rev; known is false if they are not all kept.
func (p *past) since(rev store.Revision) (commits [][]store.Change, known bool) {
	if rev < p.from {
		return nil, false
	}
	at := int(rev - p.from)
	if at >= len(p.commits) {
		return nil, true
	}
	return p.commits[at:], true
}

// Follow implements [store.Follower].
func (s *Store) Follow(ctx context.Context, from store.Revision) <-chan []store.Change {
	out := make(chan []store.Change)
	s.all.Go(func() {
		defer close(out)
		s.replay(ctx, from, func(changes []store.Change) bool {
			select {
			case out <- changes:
				return true
			case <-ctx.Done():
				return false
			case <-s.closed.Done():
				return false
			}
		})
	})
	return out
}

// Watch implements [store.Store]. The goroutine that it starts ends with ctx or with the
// store.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Revision) <-chan store.Change {
	out := make(chan store.Change)
	s.all.Go(func() {
		defer close(out)
		s.replay(ctx, from, func(changes []store.Change) bool {
			for _, c := range changes {
				if !strings.HasPrefix(c.Key, prefix) {
					continue
				}
				select {
				case out <- c:
				case <-ctx.Done():
					return false
				case <-s.closed.Done():
					return false
				}
			}
			return true
		})
	})
	return out
}

// replay calls send with each commit after from, until it returns false, the past is
// lost, or ctx or the store ends.
func (s *Store) replay(ctx context.Context, from store.Revision, send func([]store.Change) bool) {
	for {
		s.mu.RLock()
		commits, known := s.past.since(from)
		moved := s.moved
		s.mu.RUnlock()
		if !known {
			return
		}
		for _, c := range commits {
			if ctx.Err() != nil || !send(c) {
				return
			}
			from++
		}
		if len(commits) > 0 {
			continue
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		case <-s.closed.Done():
			return
		}
	}
}
