// Package mirror keeps all entries of a store in memory, so that reading costs
// no disk and a page of keys no more than the page. It stands before any store
// whose changes can be followed, and follows them: what it holds is what that
// store said, one whole commit after the other. It knows nothing of what is
// stored, and stands below a seal, so that what is sealed is sealed here too.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/myelin-run/myelin/control/store"
)

// Inner is a store that can be mirrored.
type Inner interface {
	store.Store
	store.Follower
}

// Store is a store with a mirror. Its life: Open, which reads everything, and
// Close, before the inner store is closed.
//
// Who has seen a revision, by a commit's answer, a change or a list, reads
// nothing older afterwards, whoever of its users that was: a read waits until
// the mirror has come that far, and if that takes long, asks the inner store.
type Store struct {
	inner  Inner
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.RWMutex
	sheet sheet
	rev   store.Revision // what the sheet shows
	seen  store.Revision // the newest that anybody has seen
	moved chan struct{}  // closed when rev has grown
}

var (
	_ store.Store  = (*Store)(nil)
	_ store.Getter = (*Store)(nil)
	_ store.Ranger = (*Store)(nil)
)

const (
	// patience is how long a read waits for the mirror before it goes round it.
	patience = time.Second
	// pause is between attempts to read everything anew.
	pause = 100 * time.Millisecond
)

// Open reads all of inner and follows it from there.
func Open(ctx context.Context, inner Inner) (*Store, error) {
	run, cancel := context.WithCancel(context.Background())
	s := &Store{inner: inner, cancel: cancel, done: make(chan struct{}), moved: make(chan struct{})}
	if err := s.load(ctx); err != nil {
		cancel()
		return nil, fmt.Errorf("mirror store: %w", err)
	}
	go s.run(run)
	return s, nil
}

// Close ends the following and waits for it. The inner store stays open.
func (s *Store) Close() {
	s.cancel()
	<-s.done
}

// load makes the sheet what the inner store is now.
func (s *Store) load(ctx context.Context) error {
	all, rev, err := s.inner.List(ctx, "")
	if err != nil {
		return err
	}
	fresh := newSheet(all)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sheet = fresh
	s.reach(rev)
	return nil
}

// run follows the inner store until ctx is done. When changes are missed it
// reads everything anew; meanwhile readers find the mirror behind.
func (s *Store) run(ctx context.Context) {
	defer close(s.done)
	for {
		for changes := range s.inner.Follow(ctx, s.rev) { // only this goroutine writes rev now
			s.apply(changes)
		}
		for failed := true; failed; {
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			failed = s.load(ctx) != nil
		}
	}
}

// apply shows whole commits, at once.
func (s *Store) apply(changes []store.Change) {
	if len(changes) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		if c.Value == nil {
			s.sheet.drop(c.Key)
		} else {
			s.sheet.put(c)
		}
	}
	s.reach(changes[len(changes)-1].Revision)
}

// reach says that the sheet shows rev. The caller holds mu.
func (s *Store) reach(rev store.Revision) {
	s.rev = rev
	s.seen = max(s.seen, rev)
	close(s.moved)
	s.moved = make(chan struct{})
}

// note says that somebody has seen rev.
func (s *Store) note(rev store.Revision) {
	s.mu.Lock()
	s.seen = max(s.seen, rev)
	s.mu.Unlock()
}

// read calls look with the sheet once it shows all that was seen until now. It
// returns false if that took too long.
func (s *Store) read(ctx context.Context, look func(*sheet, store.Revision)) (bool, error) {
	s.mu.RLock()
	want := s.seen
	if s.rev >= want {
		look(&s.sheet, s.rev)
		s.mu.RUnlock()
		return true, nil
	}
	s.mu.RUnlock()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		s.mu.RLock()
		if s.rev >= want {
			look(&s.sheet, s.rev)
			s.mu.RUnlock()
			return true, nil
		}
		moved := s.moved
		s.mu.RUnlock()
		select {
		case <-moved:
		case <-late.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, prefix string) ([]store.Entry, store.Revision, error) {
	p, err := s.Range(ctx, store.Span{Prefix: prefix})
	return p.Entries, p.Revision, err
}

// Get implements [store.Getter].
func (s *Store) Get(ctx context.Context, key string) (out store.Entry, err error) {
	found := false
	ok, err := s.read(ctx, func(sh *sheet, _ store.Revision) { out, found = sh.get(key) })
	switch {
	case err != nil:
		return out, fmt.Errorf("get %q: %w", key, err)
	case ok && found:
		return out, nil
	case ok:
		return out, store.ErrNotFound
	}
	out, err = store.Get(ctx, s.inner, key)
	s.note(out.Revision)
	return out, err
}

// Range implements [store.Ranger].
func (s *Store) Range(ctx context.Context, span store.Span) (p store.Page, err error) {
	ok, err := s.read(ctx, func(sh *sheet, rev store.Revision) {
		p.Entries, p.More = sh.span(span)
		p.Revision = rev
	})
	if err != nil {
		return p, fmt.Errorf("list %q: %w", span.Prefix, err)
	}
	if !ok {
		p, err = store.Range(ctx, s.inner, span)
		s.note(p.Revision)
	}
	return p, err
}

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	rev, err := s.inner.Commit(ctx, ops...)
	if err == nil {
		s.note(rev)
		return rev, nil
	}
	if errors.Is(err, store.ErrConflict) {
		if cerr := s.catchUp(ctx); cerr != nil {
			return rev, cerr
		}
	}
	return rev, err
}

// catchUp has reads after a conflict see what it was about, or those who read
// and then write would only meet it again.
func (s *Store) catchUp(ctx context.Context) error {
	p, err := store.Range(ctx, s.inner, store.Span{Prefix: nothing})
	if err == nil {
		s.note(p.Revision)
	}
	return err
}

// nothing is a prefix that no key has.
const nothing = "\x00nothing"

// Watch implements [store.Store]. Who hears of a change finds it in the mirror.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Revision) <-chan store.Change {
	ctx, cancel := context.WithCancel(ctx)
	in, out := s.inner.Watch(ctx, prefix, from), make(chan store.Change)
	go func() {
		defer close(out)
		defer cancel()
		for c := range in {
			s.note(c.Revision)
			select {
			case out <- c:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
