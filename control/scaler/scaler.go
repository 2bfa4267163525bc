// Package scaler has the number of replicas of deployments follow their load:
// it looks at what processors say, has the pure policy of package scale decide,
// and remembers how many are wanted, for the reconciler to ask. It keeps nothing
// in a store: what runs, and what the status says, is where it goes on from. It
// starts and stops no replica itself.
package scaler

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/scale"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
)

// Options of a scaler.
type Options struct {
	// Processors are asked for their loads.
	Processors platform.Processors
	// Changed is called when another number of replicas is wanted than before.
	Changed func(name string)
	// Watches knows the sources that say by themselves when there is something to
	// do, so that a deployment which they feed may sleep. May be nil.
	Watches Watches
	Log     *slog.Logger
	// Every is how often a deployment is looked at; default 500 ms.
	Every time.Duration
}

const (
	every = 500 * time.Millisecond
	// askTime bounds one look.
	askTime = 5 * time.Second
	// kept is how many moves are remembered.
	kept = 8
)

// Scaler follows loads. Its life: New, Run once; the rest from any goroutine.
type Scaler struct {
	o      Options
	mu     sync.Mutex
	by     map[string]*follow
	starts startTable

	watching sync.WaitGroup
	ended    bool
}

// follow is one deployment whose number of replicas follows its load.
type follow struct {
	name        string
	spec        function.Spec
	fingerprint string
	wanted      int
	workers     int // of one replica, as far as is known
	kept        string
	moves       []function.ScaleMove
	history     scale.History
	looking     bool
	seen        map[process]seen
	each        time.Duration
	start       *function.ScaleStart
	noted       map[process]bool // whose start was counted
	watch       *watch           // nil: no source is to be watched
}

// New returns a scaler; it does nothing yet.
func New(o Options) *Scaler {
	if o.Every <= 0 {
		o.Every = every
	}
	return &Scaler{o: o, by: map[string]*follow{}, starts: startTable{}}
}

// Wanted says how many replicas a deployment shall have, and what its status is
// to say; nil: the number does not follow the load.
func (s *Scaler) Wanted(a plan.ToScale) (int, *function.Scaling) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, follows := plan.Scaling(a.Spec, 0)
	if !follows {
		s.drop(a.Name)
		return p.Min, nil
	}
	f := s.by[a.Name]
	begin := max(1, p.Min)
	switch {
	case f == nil:
		f = &follow{name: a.Name, seen: map[process]seen{}}
		s.by[a.Name] = f
		switch {
		case a.Running > 0:
			f.wanted = a.Running
		case !a.Asleep:
			f.wanted = begin
		}
	case f.fingerprint != a.Fingerprint: // another program is to show that it starts
		f.wanted = max(f.wanted, begin)
		f.history = scale.History{}
	}
	f.spec, f.fingerprint = a.Spec, a.Fingerprint
	s.rewatch(f, a.Fed)
	least := p.Min
	if f.kept != "" {
		least = max(1, least)
	}
	f.wanted = min(max(f.wanted, least), p.Max)
	return f.wanted, f.status()
}

func (f *follow) status() *function.Scaling {
	return &function.Scaling{Replicas: f.wanted, Kept: f.kept, Moves: append([]function.ScaleMove(nil), f.moves...), Start: f.start}
}

// Forget is called when a deployment is not to run any more.
func (s *Scaler) Forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(name)
}

func (s *Scaler) drop(name string) {
	if f := s.by[name]; f != nil {
		f.watch.end()
		delete(s.by, name)
	}
}

// Wake is called when there is something to do for a deployment that may sleep.
// The platform starts the first replica by itself.
func (s *Scaler) Wake(name, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.by[name]
	if f == nil {
		return
	}
	f.history.Wake(time.Now())
	if f.wanted == 0 {
		s.move(f, 1, why, time.Now())
	}
}

// move changes the wanted number. The caller holds mu.
func (s *Scaler) move(f *follow, to int, why string, at time.Time) {
	m := function.ScaleMove{At: at.UTC().Round(time.Millisecond), From: f.wanted, To: to, Why: why}
	f.moves = append([]function.ScaleMove{m}, f.moves[:min(len(f.moves), kept-1)]...)
	f.wanted = to
	s.o.Log.Debug("scale", "function", f.name, "from", m.From, "to", m.To, "why", why)
	if s.o.Changed != nil {
		s.o.Changed(f.name)
	}
}

// Run looks at all deployments now and then until ctx is done.
func (s *Scaler) Run(ctx context.Context) error {
	var looks sync.WaitGroup
	defer looks.Wait()
	defer s.endWatches()
	tick := time.NewTicker(s.o.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, f := range s.idle() {
			looks.Go(func() { s.look(ctx, f) })
		}
	}
}

// idle returns the deployments that nobody looks at, to be looked at.
func (s *Scaler) idle() (out []*follow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.by {
		if !f.looking {
			f.looking = true
			out = append(out, f)
		}
	}
	return out
}

// look sees how a deployment does, and decides.
func (s *Scaler) look(ctx context.Context, f *follow) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	s.mu.Lock()
	asks := f.wanted > 0
	s.mu.Unlock()
	var loads []load
	if asks {
		loads = ask(ctx, s.o.Processors, f.name)
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	f.looking = false
	if ctx.Err() != nil || s.by[f.name] != f || asks != (f.wanted > 0) {
		return
	}
	sample := f.sample(loads, now)
	s.note(f, loads)
	f.watch.add(&sample)
	p, _ := plan.Scaling(f.spec, f.workers)
	if f.kept != "" {
		p.Min = max(1, p.Min)
	}
	if d := f.history.Decide(p, sample); d.Replicas != f.wanted {
		s.move(f, d.Replicas, d.Why, now)
	}
}
