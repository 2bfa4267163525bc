package scaler

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/control/scale"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

// Watches tells when there is something to do for a deployment that sleeps.
type Watches interface {
	// Watch returns who watches the source of a trigger of a deployment, before
	// anything is opened; an error says why that cannot be.
	Watch(name, trigger string, t function.Trigger) (trigger.Waiter, error)
}

// watch is the watching of the sources of one deployment.
type watch struct {
	of      map[string]function.Trigger
	sources map[string]trigger.Waiter
	stop    context.CancelFunc
}

const (
	watchEvery = 500 * time.Millisecond
	watchTime  = 10 * time.Second
	watchPause = 5 * time.Second // after an error
)

// rewatch watches what a deployment now has to be watched for, or says why it
// cannot sleep. The caller holds mu.
func (s *Scaler) rewatch(f *follow, fed map[string]function.Trigger) {
	of := map[string]function.Trigger{}
	if least, _, _ := f.spec.Follows(); least == 0 {
		for name, t := range fed {
			if t.Kind != "http" && !t.Disabled {
				of[name] = t
			}
		}
	}
	if f.watch != nil && reflect.DeepEqual(f.watch.of, of) {
		return
	}
	f.watch.end()
	f.watch, f.kept = &watch{of: of, sources: map[string]trigger.Waiter{}, stop: func() {}}, ""
	var why []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		source, err := s.source(f.name, name, of[name])
		if err != nil {
			why = append(why, fmt.Sprintf("trigger %s: %v", name, err))
			continue
		}
		f.watch.sources[name] = source
	}
	if f.kept = strings.Join(why, "; "); f.kept != "" || len(f.watch.sources) == 0 || s.ended {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.watch.stop = cancel
	for name, source := range f.watch.sources {
		s.watching.Go(func() { s.follow(ctx, f.name, name, source) })
	}
}

func (s *Scaler) source(name, of string, t function.Trigger) (trigger.Waiter, error) {
	if s.o.Watches == nil {
		return nil, fmt.Errorf("the kind %s cannot wake a function that sleeps, so one replica stays", t.Kind)
	}
	return s.o.Watches.Watch(name, of, t)
}

// follow asks a source whether there is something to do while its deployment
// sleeps, until ctx is done.
func (s *Scaler) follow(ctx context.Context, name, of string, source trigger.Waiter) {
	defer source.Close()
	told := ""
	for wait := watchEvery; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if wait = watchEvery; !s.sleeps(name) {
			source.Close() // its processors look after it now
			continue
		}
		once, cancel := context.WithTimeout(ctx, watchTime)
		n, err := source.Waiting(once)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if wait = watchPause; told != err.Error() {
				told = err.Error()
				s.o.Log.Warn("watch the source of a function that sleeps", "function", name, "trigger", of, "error", err)
			}
		case n > 0:
			told = ""
			s.Wake(name, fmt.Sprintf("%d events wait for trigger %s", n, of))
		}
	}
}

func (s *Scaler) sleeps(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.by[name]
	return f != nil && f.wanted == 0
}

// add adds what the sources know of the present to a sample: nothing yet for
// those that the processors report themselves.
func (w *watch) add(s *scale.Sample) {
	if w == nil {
		return
	}
	for _, source := range w.sources {
		if soon, ok := source.(trigger.Soon); ok && soon.Soon(s.At) {
			s.Waiting = max(s.Waiting, 1)
		}
	}
}

// end ends the watching. It does not wait: whoever watches may be waiting for
// the scaler.
func (w *watch) end() {
	if w != nil {
		w.stop()
	}
}

func (s *Scaler) endWatches() {
	s.mu.Lock()
	for _, f := range s.by {
		f.watch.end()
	}
	s.ended = true
	s.mu.Unlock()
	s.watching.Wait()
}
