package sealed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/myelin-run/myelin/control/store"
)

// Store seals the values of another store. Values that were written before
// there was a seal are read as they are, until they are sealed.
type Store struct {
	inner store.Store
	keys  *Keys
	turn  sync.Mutex // one rotation at a time
}

var _ store.Store = (*Store)(nil)

// A sealed value is mark, the key's id, a nonce, and the text with its tag. What
// the control plane writes is JSON and never begins with a zero byte.
const (
	mark       = "\x00MS1"
	nonceBytes = 12
	headBytes  = len(mark) + len(keyID{}) + nonceBytes
)

// Wrapping is how many bytes a seal adds to a value; maxValue is the contract's
// limit of what is sealed.
const (
	Wrapping = headBytes + 16
	maxValue = 1 << 20
)

// state is an entry of this package's own. It is sealed with the key with which
// all others are, and so tells without reading them whether there is work left.
const state = "sealed/state"

// batch is how many entries are sealed anew in one commit.
const batch = 64

// Open returns inner with its values sealed. What lies there in clear, or under
// an older key, is sealed first.
func Open(ctx context.Context, inner store.Store, keys *Keys) (*Store, error) {
	s := &Store{inner: inner, keys: keys}
	e, err := store.Get(ctx, inner, state)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("open sealed store: %w", err)
	}
	if err == nil {
		if _, err := s.open(e); err != nil {
			return nil, fmt.Errorf("open sealed store: %w", err)
		}
		if id, ok := sealedWith(e.Value); ok && id == keys.first().id {
			return s, nil
		}
	}
	if err := s.reseal(ctx); err != nil {
		return nil, fmt.Errorf("open sealed store: %w", err)
	}
	return s, nil
}

// IsSealed tells whether inner was sealed before, and so cannot be read without
// its key file.
func IsSealed(ctx context.Context, inner store.Store) (bool, error) {
	_, err := store.Get(ctx, inner, state)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Rotate makes a new key, seals everything with it, and returns its id. Every
// entry gets another revision by it.
func (s *Store) Rotate(ctx context.Context) (string, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	// An older rotation may have been cut short: the keys that it left in use
	// must not be dropped by this one.
	err := s.reseal(ctx)
	id := ""
	if err == nil {
		id, err = s.keys.Add()
	}
	if err == nil {
		err = s.reseal(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("rotate key: %w", err)
	}
	return id, nil
}

// reseal seals what is not sealed with the first key, and then says so.
func (s *Store) reseal(ctx context.Context) error {
	entries, _, err := s.inner.List(ctx, "")
	if err != nil {
		return err
	}
	var ops []store.Op
	for _, e := range entries {
		if id, ok := sealedWith(e.Value); ok && id == s.keys.first().id || e.Key == state {
			continue
		}
		text, err := s.open(e)
		if err != nil {
			return err
		}
		op, err := s.seal(store.Op{Key: e.Key, Value: text, Check: true, If: e.Revision})
		if err != nil {
			return err
		}
		if ops = append(ops, op); len(ops) == batch {
			if err := s.write(ctx, ops); err != nil {
				return err
			}
			ops = ops[:0]
		}
	}
	if err := s.write(ctx, ops); err != nil {
		return err
	}
	done, err := s.seal(store.Op{Key: state, Value: []byte("{}")})
	if err == nil {
		_, err = s.inner.Commit(ctx, done)
	}
	return err
}

// write commits ops together, or, if one of them was changed meanwhile and by
// that sealed, each by itself.
func (s *Store) write(ctx context.Context, ops []store.Op) error {
	if len(ops) == 0 {
		return nil
	}
	_, err := s.inner.Commit(ctx, ops...)
	if !errors.Is(err, store.ErrConflict) {
		return err
	}
	for _, op := range ops {
		if _, err := s.inner.Commit(ctx, op); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return nil
}

// List implements [store.Store].
func (s *Store) List(ctx context.Context, prefix string) ([]store.Entry, store.Revision, error) {
	entries, rev, err := s.inner.List(ctx, prefix)
	if err != nil {
		return nil, 0, err
	}
	entries, err = s.opened(entries)
	return entries, rev, err
}

// Get implements [store.Getter].
func (s *Store) Get(ctx context.Context, key string) (store.Entry, error) {
	if key == state {
		return store.Entry{}, store.ErrNotFound
	}
	e, err := store.Get(ctx, s.inner, key)
	if err != nil {
		return e, err
	}
	e.Value, err = s.open(e)
	return e, err
}

// Range implements [store.Ranger]. What is bare is not opened.
func (s *Store) Range(ctx context.Context, span store.Span) (store.Page, error) {
	p, err := store.Range(ctx, s.inner, span)
	if err != nil {
		return p, err
	}
	if span.Bare {
		p.Entries = slices.DeleteFunc(p.Entries, func(e store.Entry) bool { return e.Key == state })
		for i := range p.Entries {
			p.Entries[i].Value = nil
		}
		return p, nil
	}
	p.Entries, err = s.opened(p.Entries)
	return p, err
}

func (s *Store) opened(entries []store.Entry) ([]store.Entry, error) {
	out := entries[:0]
	for _, e := range entries {
		if e.Key == state {
			continue
		}
		text, err := s.open(e)
		if err != nil {
			return nil, err
		}
		e.Value = text
		out = append(out, e)
	}
	return out, nil
}

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	out := make([]store.Op, len(ops))
	for i, op := range ops {
		var err error
		if out[i], err = s.seal(op); err != nil {
			return 0, err
		}
	}
	return s.inner.Commit(ctx, out...)
}

// Watch implements [store.Store]. It ends at a value that no key opens, as if
// the store could not go on from there.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Revision) <-chan store.Change {
	ctx, cancel := context.WithCancel(ctx)
	in, out := s.inner.Watch(ctx, prefix, from), make(chan store.Change)
	go func() {
		defer close(out)
		defer cancel()
		for c := range in {
			if c.Key == state {
				continue
			}
			if c.Value != nil {
				text, err := s.open(c)
				if err != nil {
					return
				}
				c.Value = text
			}
			select {
			case out <- c:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

func sealedWith(value []byte) (id keyID, ok bool) {
	if len(value) < headBytes || !strings.HasPrefix(string(value[:len(mark)]), mark) {
		return id, false
	}
	return keyID(value[len(mark):]), true
}

// seal binds the value to its key in the store: under another one it does not open.
func (s *Store) seal(op store.Op) (store.Op, error) {
	if op.Value == nil {
		return op, nil
	}
	if len(op.Value) > maxValue {
		return op, fmt.Errorf("value of %q has %d bytes, at most %d fit", op.Key, len(op.Value), maxValue)
	}
	k := s.keys.first()
	sealed := make([]byte, headBytes, headBytes+len(op.Value)+k.aead.Overhead())
	copy(sealed, mark)
	copy(sealed[len(mark):], k.id[:])
	nonce := sealed[headBytes-nonceBytes : headBytes]
	if _, err := rand.Read(nonce); err != nil {
		return op, fmt.Errorf("seal %s: %w", op.Key, err)
	}
	op.Value = k.aead.Seal(sealed, nonce, op.Value, []byte(op.Key))
	return op, nil
}

func (s *Store) open(e store.Entry) ([]byte, error) {
	id, ok := sealedWith(e.Value)
	if !ok {
		return e.Value, nil
	}
	k, ok := s.keys.find(id)
	if !ok {
		return nil, fmt.Errorf("%s was sealed with the key %s, which is not in %s", e.Key, id, s.keys.path)
	}
	text, err := k.aead.Open([]byte{}, e.Value[headBytes-nonceBytes:headBytes], e.Value[headBytes:], []byte(e.Key))
	if err != nil {
		return nil, fmt.Errorf("open %s: it was changed, or is another's value: %w", e.Key, err)
	}
	return text, nil
}
