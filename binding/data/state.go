package data

import (
	"context"
	"fmt"
)

// StateStore keeps what a function remembers. Keys have been checked.
type StateStore interface {
	// Get of a key that is not there is [NotFound].
	Get(ctx context.Context, key string) ([]byte, error)
	Put(ctx context.Context, key string, value []byte) error
	Delete(ctx context.Context, key string) error
}

// State is what a function remembers from event to event, by key, in the
// binding that spec.state names. What a handler writes counts once, though its
// event is run again. Any goroutine may use it, with the handler's context.
type State struct{ store StateStore }

// NewState makes the handle of a store.
func NewState(s StateStore) *State { return &State{s} }

// Get returns what is remembered under key; [NotFound] if nothing is.
func (s *State) Get(ctx context.Context, key string) (value []byte, err error) {
	err = s.do("state.get", key, func() error {
		value, err = s.store.Get(ctx, key)
		return err
	})
	return value, err
}

// Put remembers value under key.
func (s *State) Put(ctx context.Context, key string, value []byte) error {
	return s.do("state.put", key, func() error { return s.store.Put(ctx, key, value) })
}

// Delete forgets key, which need not be there.
func (s *State) Delete(ctx context.Context, key string) error {
	return s.do("state.delete", key, func() error { return s.store.Delete(ctx, key) })
}

func (s *State) do(what, key string, f func() error) error {
	if s == nil {
		return Errorf(Misuse, "the function has no state: name a binding under spec.state")
	}
	err := checkKey(key)
	if err == nil {
		err = f()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
