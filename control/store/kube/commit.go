package kube

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/myelin-run/myelin/control/kubeapi"
	"github.com/myelin-run/myelin/control/store"
)

// A commit and what it holds are one object, which an API server takes of a bit less
// than 1.5 MiB. A value that is alone in its commit is in it.
const (
	inlineValue = 32 << 10
	inlineAll   = 700 << 10
	// patience is how long a commit is tried for while the API server does not answer.
	patience = 45 * time.Second
)

// Commit implements [store.Store]. An error that is neither a conflict nor a refusal
// says that the API server did not answer: what was asked may have happened, which
// watches tell then.
func (s *Store) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	if err := s.check(ops); err != nil {
		return 0, fmt.Errorf("commit: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return 0, fmt.Errorf("commit: %w", ctx.Err())
	}
	rev, err := s.commit(ctx, ops)
	if err != nil && !errors.Is(err, store.ErrConflict) {
		err = fmt.Errorf("commit: %w", err)
	}
	if err == nil {
		s.tidy()
	}
	return rev, err
}

func (s *Store) check(ops []store.Op) error {
	seen := map[string]bool{}
	for _, op := range ops {
		switch largest := maxValue + s.o.Wrapping; {
		case op.Key == "":
			return errors.New("empty key")
		case seen[op.Key]:
			return fmt.Errorf("key %q is there twice", op.Key)
		case len(op.Value) > largest:
			return fmt.Errorf("value of %q has %d bytes, at most %d fit", op.Key, len(op.Value), largest)
		}
		seen[op.Key] = true
	}
	return nil
}

// commit makes the next commit of ops, whichever number that is.
func (s *Store) commit(ctx context.Context, ops []store.Op) (store.Revision, error) {
	if err := s.fresh(ctx); err != nil {
		return 0, err
	}
	by := rand.Text()
	var made map[string]string // parts by key
	for {
		next, left, err := s.next(ops)
		if err != nil || len(left) == 0 {
			return next - 1, err
		}
		if made == nil {
			if made, err = s.makeParts(ctx, by, left); err != nil {
				return 0, err
			}
		}
		r := s.newRecord(s.nameOf(next))
		r.Commit = &commit{Number: next, By: by}
		for _, op := range left {
			c := change{Key: op.Key, Part: made[op.Key]}
			if op.Value != nil && c.Part == "" {
				c.Value = &op.Value
			}
			r.Commit.Ops = append(r.Commit.Ops, c)
		}
		if r, err = s.make(ctx, r); err != nil {
			return 0, err
		}
		if r.Commit.Number != next {
			return 0, fmt.Errorf("%s is not the commit that its name says", r.Metadata.Name)
		}
		if err := s.reach(ctx, r, by, made, ops); err != nil {
			return 0, err
		}
		if r.Commit.By == by {
			return next, nil
		}
	}
}

// fresh reads everything anew if the watch has said nothing for so long that numbers
// which seem to be free may have been used, and what was under them removed.
func (s *Store) fresh(ctx context.Context) error {
	s.mu.RLock()
	silent := time.Since(s.heard)
	s.mu.RUnlock()
	if silent < s.o.keep/2 {
		return nil
	}
	_, err := s.load(ctx)
	return err
}

// next says which number is next, and what is to be done then: to delete what is not
// there is nothing.
func (s *Store) next(ops []store.Op) (store.Revision, []store.Op, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var left []store.Op
	for _, op := range ops {
		e, there := s.entries[op.Key]
		if op.Check && e.Revision != op.If {
			return 1, nil, store.ErrConflict
		}
		if there || op.Value != nil {
			left = append(left, op)
		}
	}
	return s.head + 1, left, nil
}

// makeParts stores what is too large to be with others, before the commit that says so.
func (s *Store) makeParts(ctx context.Context, by string, ops []store.Op) (map[string]string, error) {
	made := map[string]string{}
	inline := 0
	for i, op := range ops {
		if len(op.Value) <= inlineValue && inline+len(op.Value) <= inlineAll || len(ops) == 1 {
			inline += len(op.Value)
			continue
		}
		r := s.newRecord(fmt.Sprintf("%s-p%s-%d", s.o.Name, strings.ToLower(by), i))
		r.Part = &part{op.Value}
		if _, err := s.make(ctx, r); err != nil {
			return nil, err
		}
		made[op.Key] = r.Metadata.Name
	}
	return made, nil
}

// make creates a record, and returns the one that then has its name, if that is another.
// While the API server does not answer it asks again: what it asked before may have
// been done, and is found then.
func (s *Store) make(ctx context.Context, r record) (record, error) {
	at := s.at(r.Metadata.Name)
	for n := 0; ; n++ {
		_, err := s.client.Create(ctx, at, r)
		if apierrors.IsAlreadyExists(err) {
			var raw []byte
			if raw, err = s.client.Get(ctx, at); err == nil {
				return parse(raw)
			}
			if apierrors.IsNotFound(err) { // removed, and so long passed by
				return r, errGap
			}
		}
		switch {
		case err == nil:
			return r, nil
		case full(err):
			return r, fmt.Errorf("%w: %w", store.ErrFull, err)
		case !passing(err) && !apierrors.IsNotFound(err):
			return r, err
		case apierrors.IsNotFound(err) && n > 3: // no such kind or namespace
			return r, err
		}
		if perr := kubeapi.Pause(ctx, n); perr != nil {
			return r, fmt.Errorf("the cluster at %s does not answer: %w", s.client.Host(), err)
		}
	}
}

// full says whether the cluster's store has no room.
func full(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "database space exceeded") || apierrors.ReasonForError(err) == "InsufficientStorage" ||
		apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"))
}

// passing says whether an error may be over soon.
func passing(err error) bool {
	var said apierrors.APIStatus
	if errors.As(err, &said) && said.Status().Code == http.StatusInternalServerError && full(err) {
		return false
	}
	return kubeapi.Passing(err)
}

// reach takes a commit that is there, unless the watch has brought it already. One of
// others may have parts, which the watch brings.
func (s *Store) reach(ctx context.Context, r record, by string, made map[string]string, ops []store.Op) error {
	s.mu.Lock()
	if r.Commit.By == by {
		for _, op := range ops {
			if name := made[op.Key]; name != "" {
				s.parts[name] = op.Value
			}
		}
	}
	for s.head < r.Commit.Number {
		if r.Commit.Number == s.head+1 && s.whole(r) {
			s.take(r)
			break
		}
		moved := s.moved
		s.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("wait for commit %d: %w", r.Commit.Number, ctx.Err())
		}
		s.mu.Lock()
	}
	for _, name := range made {
		delete(s.parts, name)
	}
	s.mu.Unlock()
	return nil
}

// whole says whether the parts of a commit are there. The caller holds mu.
func (s *Store) whole(r record) bool {
	for _, op := range r.Commit.Ops {
		if _, there := s.parts[op.Part]; op.Part != "" && !there {
			return false
		}
	}
	return true
}
