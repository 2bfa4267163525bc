// Package kube is the store whose disk is the API server of a Kubernetes cluster. It
// is a log: each commit is one object that never changes, made under the name that is
// the next number, and so the cluster decides which of several writers is next, what
// was committed together is seen together, and a writer that dies leaves nothing half
// done. All entries are kept in memory and follow one watch. It knows nothing of what
// is stored.
package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/myelin-run/myelin/control/kubeapi"
	"github.com/myelin-run/myelin/control/store"
)

// Options say where a store is.
type Options struct {
	Client *kubeapi.Client
	// Name tells the store from others in the client's namespace: a DNS label of at
	// most 30. Default "myelin".
	Name string
	// Wrapping is how many bytes a value may have beyond the contract's limit, for what
	// stands before the store and adds something to each.
	Wrapping int
	Log      *slog.Logger // default: none

	// keep is for how long a commit is kept of which nothing is left. A writer that
	// believes its number to be free has to be heard of in that time. Default 10 min.
	keep time.Duration
	// heap is how much there has to be to be removed before something is. Default 64.
	heap int
}

const (
	maxValue    = 1 << 20
	maxName     = 30
	defaultKeep = 10 * time.Minute
	defaultHeap = 64
)

// Store is an open store. Close it last.
type Store struct {
	o      Options
	client *kubeapi.Client
	turn   chan struct{}   // one commit at a time
	closed context.Context // ends the watches
	close  context.CancelFunc
	all    sync.WaitGroup

	mu      sync.RWMutex
	entries map[string]store.Entry
	head    store.Revision
	parts   map[string][]byte // by name, of commits that are yet to come
	heard   time.Time         // when the watch last said something
	books   books
	past    past
	moved   chan struct{} // closed when head has grown or the past was lost
}

var (
	_ store.Store    = (*Store)(nil)
	_ store.Getter   = (*Store)(nil)
	_ store.Follower = (*Store)(nil)
)

var word = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// Open has the cluster know the store's kind, and reads the store. ctx bounds that.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Name == "" {
		o.Name = "myelin"
	}
	if len(o.Name) > maxName || !word.MatchString(o.Name) {
		return nil, fmt.Errorf("open store: the name %q is not a DNS label of at most %d", o.Name, maxName)
	}
	if o.keep == 0 {
		o.keep = defaultKeep
	}
	if o.heap == 0 {
		o.heap = defaultHeap
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{o: o, client: o.Client, turn: make(chan struct{}, 1), moved: make(chan struct{})}
	kind, err := Definition()
	if err == nil {
		err = s.client.Establish(ctx, kind)
	}
	if err != nil {
		return nil, fmt.Errorf("open store in the cluster at %s: %w", s.client.Host(), err)
	}
	version, err := s.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("open store in the cluster at %s: %w", s.client.Host(), err)
	}
	s.closed, s.close = context.WithCancel(context.Background())
	s.all.Go(func() { s.follow(s.closed, version) })
	return s, nil
}

// Close closes the store; watches end.
func (s *Store) Close() error {
	s.close()
	s.all.Wait()
	return nil
}

// List implements [store.Store].
func (s *Store) List(_ context.Context, prefix string) ([]store.Entry, store.Revision, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := []store.Entry{}
	for key, e := range s.entries {
		if strings.HasPrefix(key, prefix) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b store.Entry) int { return strings.Compare(a.Key, b.Key) })
	return out, s.head, nil
}

// Get implements [store.Getter].
func (s *Store) Get(_ context.Context, key string) (store.Entry, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e, ok := s.entries[key]
	if !ok {
		return e, store.ErrNotFound
	}
	return e, nil
}

// load reads all records, in place of what was known, and returns the version of the
// list.
func (s *Store) load(ctx context.Context) (version string, err error) {
	var commits []record
	parts := map[string][]byte{}
	for n := 0; ; n++ {
		commits, parts = nil, map[string][]byte{}
		version, err = s.client.List(ctx, s.at(""), s.label(), func(raw json.RawMessage) error {
			r, err := parse(raw)
			switch {
			case err != nil:
				return err
			case r.Commit != nil:
				commits = append(commits, r)
			default:
				parts[r.Metadata.Name] = r.Part.Value
			}
			return nil
		})
		if err == nil || !passing(err) {
			break
		}
		if perr := kubeapi.Pause(ctx, n); perr != nil {
			return "", errors.Join(err, perr)
		}
	}
	if err != nil {
		return "", err
	}
	slices.SortFunc(commits, func(a, b record) int { return int(a.Commit.Number - b.Commit.Number) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.catchUp(commits, parts) {
		return version, nil
	}
	if s.head > 0 && (len(commits) == 0 || commits[len(commits)-1].Commit.Number < s.head) {
		return "", fmt.Errorf("records of the store up to commit %d were removed from namespace %s by somebody else: put them back, or start anew", s.head, s.client.Namespace())
	}
	s.entries, s.head, s.parts, s.books, s.past = map[string]store.Entry{}, 0, parts, newBooks(), past{}
	for _, r := range commits {
		s.take(r)
	}
	for _, e := range s.entries {
		if e.Value == nil {
			return "", fmt.Errorf("the value of %q is missing: its record was removed", e.Key)
		}
	}
	s.books.strays(s.parts)
	s.past, s.heard = past{from: s.head}, time.Now()
	s.wake()
	return version, nil
}

// catchUp takes the commits after the last known one, if none of them is missing, so that
// nobody who follows has to begin anew. The caller holds mu.
func (s *Store) catchUp(commits []record, parts map[string][]byte) bool {
	at, _ := slices.BinarySearchFunc(commits, s.head+1, func(r record, n store.Revision) int { return int(r.Commit.Number - n) })
	fresh := commits[at:]
	if s.head == 0 || at == 0 || commits[at-1].Commit.Number != s.head {
		return false
	}
	for i, r := range fresh {
		if r.Commit.Number != s.head+store.Revision(i)+1 {
			return false
		}
	}
	for name, value := range parts {
		if !s.books.knows(name) {
			s.parts[name] = value
		}
	}
	s.books.strays(s.parts)
	for _, r := range fresh {
		if !s.whole(r) {
			return false
		}
		s.take(r)
	}
	there := map[string]bool{}
	for _, r := range commits {
		there[r.Metadata.Name] = true
	}
	s.books.only(func(name string) bool { _, is := parts[name]; return is || there[name] })
	s.heard = time.Now()
	return true
}

// take makes a commit's changes. The caller holds mu.
func (s *Store) take(r record) {
	c := r.Commit
	changes := make([]store.Change, len(c.Ops))
	for i, op := range c.Ops {
		changes[i] = store.Change{Key: op.Key, Revision: c.Number}
		switch {
		case op.Value != nil:
			changes[i].Value = slices.Clip(*op.Value)
			if *op.Value == nil {
				changes[i].Value = []byte{}
			}
		case op.Part != "":
			changes[i].Value = s.parts[op.Part]
			delete(s.parts, op.Part)
		}
		if op.deletes() {
			delete(s.entries, op.Key)
		} else {
			s.entries[op.Key] = changes[i]
		}
	}
	s.head = c.Number
	s.books.add(r.Metadata.Name, c)
	s.past.add(changes)
	s.wake()
}

// wake tells who waits. The caller holds mu.
func (s *Store) wake() {
	close(s.moved)
	s.moved = make(chan struct{})
}
