// Package secret keeps secrets as objects of a project, and puts them where
// configurations refer to them. Whoever wrote a secret is never shown it again:
// only processors get it. It knows no API and no platform; that the store
// encrypts is its owner's to see to.
package secret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

// Secret is what may be known of a secret.
type Secret struct {
	// Namespace that it is in.
	Namespace string `json:"namespace"`
	// Project whose functions may refer to it.
	Project string `json:"project"`
	// Name by which they do.
	Name string `json:"name"`
	// By whom it was written last.
	By string `json:"by"`
	// Created is when it was written first.
	Created time.Time `json:"created"`
	// Changed is when it was written last.
	Changed time.Time `json:"changed"`
}

// kept is a secret in the store.
type kept struct {
	Secret
	Value quantity.Secret `json:"value"`
}

// Secrets are the secrets in a store.
type Secrets struct{ s store.Store }

// New returns the secrets in s.
func New(s store.Store) *Secrets { return &Secrets{s} }

// Keys begin with Prefix, namespace and project.
const Prefix = "secrets/"

// MaxValue is how long a secret may be.
const MaxValue = 256 << 10

var (
	// ErrNotFound says that there is no such secret.
	ErrNotFound = errors.New("no such secret")
	// ErrWrong says that a name or a value cannot be a secret's.
	ErrWrong = errors.New("this cannot be a secret")
)

var name = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

func (x Secret) key() string { return Prefix + x.Namespace + "/" + x.Project + "/" + x.Name }

// Check says what is wrong with the names of a secret.
func (x Secret) Check() error {
	for field, word := range map[string]string{"namespace": x.Namespace, "project": x.Project, "name": x.Name} {
		if !name.MatchString(word) {
			return fmt.Errorf("%w: %s %q: want a-z, 0-9 and -, beginning and ending with a letter or digit, at most 63", ErrWrong, field, word)
		}
	}
	return nil
}

func checkValue(text string) error {
	switch {
	case text == "" || len(text) > MaxValue:
		return fmt.Errorf("%w: it has 1 to %d bytes", ErrWrong, MaxValue)
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return fmt.Errorf("%w: it is text in UTF-8, encode others, in base64 for example", ErrWrong)
	}
	return nil
}

// Set writes a secret, new or not, and tells which.
func (s *Secrets) Set(ctx context.Context, x Secret, value quantity.Secret) (_ Secret, created bool, err error) {
	if err := errors.Join(x.Check(), checkValue(value.Reveal())); err != nil {
		return x, false, err
	}
	x.Changed = time.Now().UTC().Truncate(time.Second)
	x.Created = x.Changed
	old, err := s.get(ctx, x.key())
	if err == nil {
		x.Created = old.Created
	}
	if created = errors.Is(err, ErrNotFound); err != nil && !created {
		return x, false, err
	}
	b, err := document.MarshalRevealed(kept{x, value})
	if err == nil {
		_, err = s.s.Commit(ctx, store.Op{Key: x.key(), Value: b})
	}
	if err != nil {
		return x, false, fmt.Errorf("write secret %s: %w", x.Name, err)
	}
	return x, created, nil
}

func (s *Secrets) get(ctx context.Context, key string) (k kept, err error) {
	e, err := store.Get(ctx, s.s, key)
	if errors.Is(err, store.ErrNotFound) {
		return k, ErrNotFound
	}
	if err == nil {
		err = json.Unmarshal(e.Value, &k)
	}
	if err != nil {
		return k, fmt.Errorf("read secret: %w", err)
	}
	return k, nil
}

// Delete removes a secret. ErrNotFound: there is none.
func (s *Secrets) Delete(ctx context.Context, x Secret) error {
	if err := x.Check(); err != nil {
		return ErrNotFound
	}
	if _, err := s.get(ctx, x.key()); err != nil {
		return err
	}
	if _, err := s.s.Commit(ctx, store.Op{Key: x.key()}); err != nil {
		return fmt.Errorf("delete secret %s: %w", x.Name, err)
	}
	return nil
}

// List returns the secrets of a namespace, "" for all, in the order of projects
// and names, without their values.
func (s *Secrets) List(ctx context.Context, namespace string) ([]Secret, error) {
	prefix := Prefix
	if namespace != "" {
		prefix += namespace + "/"
	}
	entries, _, err := s.s.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list secrets: %w", err)
	}
	out := []Secret{}
	for _, e := range entries {
		var x Secret
		if err := json.Unmarshal(e.Value, &x); err != nil {
			return nil, fmt.Errorf("read secret: %w", err)
		}
		out = append(out, x)
	}
	return out, nil
}

// Resolve returns cfg with the secrets of its project in place of references.
// A reference to a secret that is not there is an error that names it.
func (s *Secrets) Resolve(ctx context.Context, cfg function.Config) (function.Config, error) {
	ns := cfg.Metadata.Namespace
	return function.ResolveSecrets(cfg, func(name string) (string, error) {
		x := Secret{Namespace: ns, Project: cfg.Metadata.Project(), Name: name}
		k, err := s.get(ctx, x.key())
		if errors.Is(err, ErrNotFound) {
			return "", fmt.Errorf("there is no secret %q in project %s of namespace %s: write it with myelin secret set %s", name, x.Project, ns, name)
		}
		return k.Value.Reveal(), err
	})
}

// Change says that a secret of a project was written or deleted.
type Change struct{ Namespace, Project, Name string }

// Watch sends changes from now on until ctx is done or the store cannot go on;
// then the channel is closed.
func (s *Secrets) Watch(ctx context.Context) (<-chan Change, error) {
	_, from, err := s.s.List(ctx, Prefix)
	if err != nil {
		return nil, fmt.Errorf("watch secrets: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	in, out := s.s.Watch(ctx, Prefix, from), make(chan Change)
	go func() {
		defer close(out)
		defer cancel()
		for e := range in {
			part := strings.Split(strings.TrimPrefix(e.Key, Prefix), "/")
			if len(part) != 3 {
				continue
			}
			select {
			case out <- Change{part[0], part[1], part[2]}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}
