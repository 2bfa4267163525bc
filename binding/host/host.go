// Package host opens the bindings of one function and keeps them: it builds
// them by the spec, tries until their services are there, bounds and counts their
// calls, and closes them. It knows no driver and no processor.
package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/cache"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// Host holds the bindings of a function. Its life: [New], which opens nothing;
// Open once; calls by the handles from any goroutine; Close, when no call runs.
type Host struct {
	bindings []*bound // by name
	changes  *cache.Changes
	handles  map[string]any
	late     sync.WaitGroup     // openings that nobody waits for
	end      context.CancelFunc // of them
}

// bound is one binding.
type bound struct {
	name, class, kind string
	binding           binding.Binding
	required          *bool
	layers            layers
	opened            atomic.Bool
	calls, failed     atomic.Uint64
	tallies           tallies
	changes           *cache.Changes
	away              atomic.Bool // the last call that could say found the service away

	mu      sync.Mutex
	problem string
}

// Call is one call that came to its end.
type Call struct {
	Binding, Class, Kind string
	Operation            string // such as kv.get
	Took                 time.Duration
	Err                  error
}

// Observer hears of calls. It is called from many goroutines.
type Observer func(Call)

const (
	tableRows = 100_000 // most rows of an answer
	hold      = time.Minute
)

// New builds the bindings of specs. What is wrong with one is a
// [document.Errors] whose paths begin at the binding's place in the spec.
func New(set *binding.Set, specs map[string]function.DataBinding, s binding.Settings, observe Observer) (*Host, error) {
	h := &Host{handles: map[string]any{}, end: func() {}, changes: cache.NewChanges()}
	for _, key := range slices.Sorted(maps.Keys(specs)) {
		spec := specs[key]
		b, err := build(set, key, spec, s)
		if err != nil {
			return nil, document.Under(document.Join("spec.dataBindings", key), err)
		}
		name := spec.Name
		if name == "" {
			name = key
		}
		if _, twice := h.handles[name]; twice {
			return nil, document.Errors{{Path: document.Join("spec.dataBindings", key) + ".name", Msg: fmt.Sprintf("%q is another binding's, too", name)}}
		}
		if !nameForm.MatchString(name) {
			return nil, document.Errors{{Path: document.Join("spec.dataBindings", key), Msg: fmt.Sprintf("the name %q is not of 1 to 63 letters, digits, _, - and .", name)}}
		}
		b.name, b.changes = name, h.changes
		if h.handles[name], err = b.handle(spec, observe); err != nil {
			return nil, document.Under(document.Join("spec.dataBindings", key), err)
		}
		h.bindings = append(h.bindings, b)
	}
	return h, nil
}

// nameForm keeps names apart in what workers are told.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$`)

func build(set *binding.Set, key string, spec function.DataBinding, s binding.Settings) (*bound, error) {
	known := []string{}
	if set != nil {
		known = set.Kinds()
	}
	kind, err := binding.Resolve(known, spec)
	if err != nil {
		return nil, err
	}
	factory, err := set.Lookup(kind)
	if err != nil {
		return nil, err
	}
	s.Name, s.Spec, s.Log = key, spec, s.Log.With("binding", key)
	b, err := factory.New(s, spec.Attributes)
	if wrong := (*binding.SpecError)(nil); errors.As(err, &wrong) {
		return nil, wrong.Err
	}
	if err != nil {
		return nil, document.Under("attributes", err)
	}
	class, _, _ := strings.Cut(kind, "/")
	return &bound{class: class, kind: spec.Kind, binding: b, required: spec.Required}, nil
}

func (b *bound) note(err error) {
	b.calls.Add(1)
	switch data.ReasonOf(err) {
	case 0:
		if err != nil {
			b.failed.Add(1)
		}
		b.heard()
	case data.NotFound, data.Conflict:
		b.heard()
	case data.Away:
		b.failed.Add(1)
		b.away.Store(true)
		b.tell(err.Error())
	default:
		b.failed.Add(1)
	}
}

// heard notes that the service answered. Calls on all processors write this word
// only when it changes.
func (b *bound) heard() {
	if b.away.Load() {
		b.away.Store(false)
	}
}

func (b *bound) tell(problem string) {
	b.mu.Lock()
	b.problem = problem
	b.mu.Unlock()
}

// Changes counts what may have changed of that which the caches have.
func (h *Host) Changes() *cache.Changes { return h.changes }

// Handles are what functions use, by name: *data.KV and the like. The map is
// not to be changed.
func (h *Host) Handles() map[string]any { return h.handles }

const (
	firstPause = 50 * time.Millisecond
	maxPause   = 2 * time.Second
	oneTry     = 10 * time.Second
)

// Open opens every binding, and tries again while a service is away, until ctx
// is done. A service that refuses us is not asked again.
func (h *Host) Open(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, len(h.bindings))
	var life context.Context
	life, h.end = context.WithCancel(context.WithoutCancel(ctx))
	for _, b := range h.bindings {
		if b.required != nil && !*b.required {
			h.late.Go(func() {
				if b.open(life) == nil { // what is wrong, the report says
					b.layers.follow(life)
				}
			})
			errs <- nil
			continue
		}
		go func() {
			err := b.open(ctx)
			if err != nil {
				cancel()
			} else {
				h.late.Go(func() { b.layers.follow(life) })
			}
			errs <- err
		}()
	}
	var first error
	for range h.bindings {
		if err := <-errs; err != nil && (first == nil || errors.Is(first, context.Canceled) && !errors.Is(err, context.Canceled)) {
			first = err
		}
	}
	return first
}

func (b *bound) open(ctx context.Context) error {
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		err := b.try(ctx)
		if err == nil {
			b.opened.Store(true)
			b.tell("")
			return nil
		}
		b.tell(err.Error())
		err = fmt.Errorf("open binding %s: %w", b.name, err)
		switch data.ReasonOf(err) {
		case data.Denied, data.Misuse, data.Unsupported, data.NotFound:
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

func (b *bound) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, oneTry)
	defer cancel()
	return data.Classify(b.binding.Open(ctx))
}

// Close closes all bindings.
func (h *Host) Close() error {
	h.end()
	h.late.Wait()
	var errs []error
	for _, b := range h.bindings {
		b.layers.close()
		if err := b.binding.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close binding %s: %w", b.name, err))
		}
	}
	return errors.Join(errs...)
}
