package dev

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/logline"
	"github.com/myelin-run/myelin/processor/tap"
	"github.com/myelin-run/myelin/trigger/letter"
)

// loop holds the processor that serves and replaces it.
type loop struct {
	o        Options
	observer Observer
	dir      string // run directories are below it
	sockets  sockets
	count    int // run directories made
	current  *generation
	old      sync.WaitGroup // processors that drain
	pause    time.Duration  // before the last start of a processor that ended
	recent   []tap.Event    // that processors before the current one had
}

// A processor that ends by itself is started again: at once if it had served
// for steady, else after a pause, which doubles up to maxPause.
const (
	steady   = time.Second
	maxPause = 30 * time.Second
)

func (l *loop) run(ctx context.Context, w *watch) error {
	changed, saved := []string(nil), time.Now()
	for {
		l.observer.Building(changed)
		more, at, err := l.reload(ctx, w, saved)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if more == nil {
			if more, at, err = l.await(ctx, w); err != nil || ctx.Err() != nil {
				return err
			}
		}
		changed, saved = more, at
	}
}

// reload makes what is on the disk serve. If the sources change meanwhile it
// gives up and returns the change.
func (l *loop) reload(ctx context.Context, w *watch, saved time.Time) ([]string, time.Time, error) {
	attempt, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.attempt(attempt, saved)
	}()
	select {
	case <-done:
		return nil, time.Time{}, nil
	case <-ctx.Done():
		<-done
		return nil, time.Time{}, nil
	case c, ok := <-w.changes:
		cancel()
		<-done
		if !ok {
			return nil, time.Time{}, w.err
		}
		return c.files, c.at, nil
	}
}

// attempt builds and starts, and tells what came of it.
func (l *loop) attempt(ctx context.Context, saved time.Time) {
	s, err := l.replace(ctx)
	switch {
	case err == nil: // even if the next change has come: this one serves
		s.Total = time.Since(saved)
		l.observer.Serving(s)
		if l.o.Replay && !s.First && !s.Same {
			l.replay(ctx, 1)
		}
	case ctx.Err() != nil: // nobody waits for it any more
	default:
		l.observer.Failed(err, l.current != nil && l.current.running())
	}
}

func (l *loop) replace(ctx context.Context) (s Serving, err error) {
	begun := time.Now()
	a, err := l.o.Build(ctx)
	if err != nil {
		return s, err
	}
	s.Digest, s.Build, s.First = a.Digest, time.Since(begun), l.current == nil
	if l.current != nil && l.current.running() && same(l.current.artefact, a) {
		s.Same = true
		return s, nil
	}
	begun = time.Now()
	next, err := l.start(ctx, a)
	if err != nil {
		return s, err
	}
	s.Start = time.Since(begun)
	if l.current != nil {
		l.recent = l.recalled(ctx)
		l.retire(l.current)
	}
	l.current = next
	return s, nil
}

// retire lets a processor finish what it has, beside the one that serves.
func (l *loop) retire(g *generation) {
	l.old.Go(func() { _ = g.drain() })
}

// await waits for a change of the sources, or for the time to start a
// processor again that ended by itself.
func (l *loop) await(ctx context.Context, w *watch) ([]string, time.Time, error) {
	var again <-chan time.Time
	for {
		var gone <-chan struct{}
		if l.current != nil && !l.current.told {
			gone = l.current.gone
		}
		select {
		case <-ctx.Done():
			return nil, time.Time{}, nil
		case c, ok := <-w.changes:
			if !ok {
				return nil, time.Time{}, w.err
			}
			l.pause = 0
			return c.files, c.at, nil
		case <-gone:
			l.observer.Failed(&StartError{Reason: "it ended: " + l.current.end(), Log: l.current.tail()}, false)
			l.current.told = true
			l.pause = nextPause(l.pause, time.Since(l.current.began))
			again = time.After(l.pause)
		case w := <-l.o.Wishes:
			l.wish(ctx, w)
		case now := <-again:
			return []string{}, now, nil
		}
	}
}

// nextPause follows a pause, given how long the processor lived.
func nextPause(before, lived time.Duration) time.Duration {
	if lived >= steady {
		return 0
	}
	return min(max(steady, 2*before), maxPause)
}

// end drains the last processor and waits for those before it.
func (l *loop) end() error {
	var err error
	if l.current != nil && l.current.running() {
		l.observer.Draining()
		err = l.current.drain()
	}
	l.old.Wait()
	return err
}

var errCutOff = errors.New("the function did not finish in time; what it was doing was cut off")

func same(a, b build.Artefact) bool { return a.Digest != "" && a.Digest == b.Digest && samePlan(a, b) }

// serial lets one call through at a time.
type serial struct {
	mu sync.Mutex
	o  Observer
}

func (s *serial) do(f func(Observer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.o)
}

func (s *serial) Listening(trigger, address string) {
	s.do(func(o Observer) { o.Listening(trigger, address) })
}
func (s *serial) Building(changed []string)  { s.do(func(o Observer) { o.Building(changed) }) }
func (s *serial) Serving(v Serving)          { s.do(func(o Observer) { o.Serving(v) }) }
func (s *serial) Failed(err error, old bool) { s.do(func(o Observer) { o.Failed(err, old) }) }
func (s *serial) Log(l logline.Line)         { s.do(func(o Observer) { o.Log(l) }) }
func (s *serial) Recalled(es []tap.Event)    { s.do(func(o Observer) { o.Recalled(es) }) }
func (s *serial) Replayed(e tap.Event, out letter.Outcome, err error) {
	s.do(func(o Observer) { o.Replayed(e, out, err) })
}
func (s *serial) Draining() { s.do(func(o Observer) { o.Draining() }) }
