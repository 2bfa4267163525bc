// Package history remembers for a while what functions did: it asks their
// processors now and then, more often while somebody looks, and keeps a point
// for each look. It stores nothing, starts and stops nothing, and does not know
// who looks.
package history

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/platform"
)

// Observer says what runs.
type Observer interface {
	Observe(ctx context.Context, name string) ([]platform.Observed, error)
}

// Options of a history.
type Options struct {
	Platform   Observer
	Processors platform.Processors
	// Every is how often a function is asked while somebody looks at it; default
	// 2 s. Quiet is how often else; default 15 s. Both are stretched when there are
	// many functions, so that the asking costs no more than it may.
	Every, Quiet time.Duration
}

const (
	every = 2 * time.Second
	quiet = 15 * time.Second
	// attention is how long after a question somebody still looks.
	attention = 15 * time.Second
	// watchedEach and quietEach are the least time for each function there is.
	watchedEach = 20 * time.Millisecond
	quietEach   = 125 * time.Millisecond
	// askTime bounds one look.
	askTime = 5 * time.Second
	// atOnce is how many looks are under way at once.
	atOnce = 25
	// fewest and most points are kept of a function, budget of all together.
	fewest, most, budget = 60, 450, 100_000
	// mostTimes bounds the buckets that are kept of a point.
	mostTimes = 24
)

// Point is what a function did in a span of time, all its versions and
// processors together. What is not there is zero.
type Point struct {
	// The end of the span.
	At time.Time `json:"at"`
	// How long the span was.
	Seconds float64 `json:"seconds"`
	// Events that the function ran, whatever the outcome.
	Events float64 `json:"events,omitempty"`
	// Those of them that failed: by an error, out of time, or in a crash.
	Errors float64 `json:"errors,omitempty"`
	// Events that were not run, as no worker was free or the processor stopped.
	Refused float64 `json:"refused,omitempty"`
	// The median of how long events ran, in seconds, as far as that was measured.
	P50 float64 `json:"p50,omitempty"`
	// The time in which 99 of 100 ran.
	P99 float64 `json:"p99,omitempty"`
	// The time in which 99 of 100 of those that had to wait got a worker.
	Wait float64 `json:"wait,omitempty"`
	// Workers at the end of the span.
	Workers float64 `json:"workers,omitempty"`
	// Those of them that ran something.
	Busy float64 `json:"busy,omitempty"`
	// Events that waited for a worker at the end of the span.
	Waiting float64 `json:"waiting,omitempty"`
	// Events at the sources that were not done at the end of the span.
	Lag float64 `json:"lag,omitempty"`
	// Workers that were replaced because they broke.
	Restarts float64 `json:"restarts,omitempty"`
	// Processors that answered.
	Processors int `json:"processors,omitempty"`
	// Processors that gave their first answer.
	Started int `json:"started,omitempty"`
	// With times=true: what their starts took, of the first 20.
	Starts []Start `json:"starts,omitempty"`
	// With times=true: how many events, of those that were measured, ran how long, the shortest first.
	Times []Took `json:"times,omitempty"`
}

// Took counts events that ran longer than those before it, and no longer than
// upTo.
type Took struct {
	// In seconds; without it, longer than all that is told apart.
	UpTo float32 `json:"upTo,omitempty"`
	// How many.
	Events float32 `json:"events"`
}

// Source is what came to a version of a function by one trigger, in the span of
// the last point.
type Source struct {
	Trigger string `json:"trigger"`
	// Version of the function; without it, the working copy.
	Version string `json:"version,omitempty"`
	// Events a second that were run.
	Rate float64 `json:"rate"`
	// Those of them that failed.
	Errors float64 `json:"errors,omitempty"`
}

// mostSources are told of a function.
const mostSources = 200

// History is what functions did lately. Its life: New, Run once; the rest from
// any goroutine.
type History struct {
	o Options

	mu       sync.Mutex
	by       map[catalog.Name]*series
	began    time.Time
	observed time.Time
	all      time.Time // until when somebody looks at all
	looks    int       // under way
}

// series is what is known of one function.
type series struct {
	deployments []string
	looking     bool
	looked      time.Time
	until       time.Time // until when somebody looks
	seen        map[string]counted
	points      []Point
	sources     []Source
}

// New returns a history; it does nothing yet.
func New(o Options) *History {
	if o.Every <= 0 {
		o.Every = every
	}
	if o.Quiet <= 0 {
		o.Quiet = quiet
	}
	return &History{o: o, by: map[catalog.Name]*series{}}
}

// Of returns the points of a function after since, of which most the newest,
// and has it asked more often for a while.
func (h *History) Of(n catalog.Name, since time.Time, most int) []Point {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.by[n]
	if s == nil {
		return nil
	}
	s.until = time.Now().Add(attention)
	return s.after(since, most)
}

// All returns the points of all functions of a namespace, "" for all, and has
// them asked more often for a while.
func (h *History) All(namespace string, since time.Time, most int) map[catalog.Name][]Point {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = time.Now().Add(attention)
	out := make(map[catalog.Name][]Point, len(h.by))
	for n, s := range h.by {
		if namespace == "" || namespace == n.Namespace {
			out[n] = s.after(since, most)
		}
	}
	return out
}

// Sources returns what came to a function by each of its triggers lately.
func (h *History) Sources(n catalog.Name) []Source {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.by[n]; s != nil {
		return s.sources // made anew by each look
	}
	return nil
}

func (s *series) after(since time.Time, most int) []Point {
	i := len(s.points)
	for i > 0 && s.points[i-1].At.After(since) && len(s.points)-i < most {
		i--
	}
	return slices.Clone(s.points[i:])
}

// Run looks at functions until ctx is done.
func (h *History) Run(ctx context.Context) error {
	var looks sync.WaitGroup
	defer looks.Wait()
	h.mu.Lock()
	h.began = time.Now()
	h.mu.Unlock()
	tick := time.NewTicker(max(h.o.Every/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		h.observe(ctx)
		for _, s := range h.due() {
			looks.Go(func() { h.look(ctx, s) })
		}
	}
}

// observe learns which functions there are.
func (h *History) observe(ctx context.Context) {
	now := time.Now()
	h.mu.Lock()
	wait := h.o.Quiet
	if h.all.After(now) {
		wait = h.o.Every
	}
	early := now.Sub(h.observed) < wait
	h.mu.Unlock()
	if early {
		return
	}
	found, err := h.o.Platform.Observe(ctx, "")
	if err != nil {
		return // what is known stays until it can be seen again
	}
	names := map[catalog.Name][]string{}
	for _, o := range found {
		if d, ok := catalog.ParseDeployment(o.Name); ok {
			names[d.Name] = append(names[d.Name], o.Name)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.observed = now
	for n, deployments := range names {
		if h.by[n] == nil {
			h.by[n] = &series{seen: map[string]counted{}}
		}
		h.by[n].deployments = deployments
	}
	for n := range h.by {
		if names[n] == nil {
			delete(h.by, n)
		}
	}
}

// due returns functions that are to be looked at, not too many at once.
func (h *History) due() []*series {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	count := time.Duration(len(h.by))
	wait := max(h.o.Quiet, count*quietEach)
	if h.all.After(now) {
		wait = max(h.o.Every, count*watchedEach)
	}
	var out, others []*series
	for _, s := range h.by {
		switch since := now.Sub(s.looked); {
		case s.looking:
		case s.until.After(now) && since >= h.o.Every:
			out = append(out, s)
		case since >= wait:
			others = append(others, s)
		}
	}
	out = append(out, others...) // those that somebody looks at come first
	out = out[:min(len(out), max(0, atOnce-h.looks))]
	for _, s := range out {
		s.looking = true
	}
	h.looks += len(out)
	return out
}

// look asks the processors of a function and adds a point.
func (h *History) look(ctx context.Context, s *series) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	h.mu.Lock()
	deployments := s.deployments
	h.mu.Unlock()
	next := map[string]counted{}
	for _, d := range deployments {
		for _, reply := range h.o.Processors.Ask(ctx, d, http.MethodGet, "/metrics", nil) {
			if reply.Err() != nil {
				continue // one that starts or is down does nothing now
			}
			if who, c, err := read(reply); err == nil {
				c.deployment = d
				next[d+" "+who] = c
			}
		}
	}
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looks--
	s.looking = false
	if ctx.Err() != nil && len(next) == 0 {
		return
	}
	s.add(next, now, h.began)
	if keep := min(max(budget/max(len(h.by), 1), fewest), most); len(s.points) > keep {
		s.points = slices.Delete(s.points, 0, len(s.points)-keep)
	}
}

// add makes a point of what processors counted by now. Of one that is not known
// all counts if it is younger than the look before.
func (s *series) add(next map[string]counted, now, began time.Time) {
	from := s.looked
	if from.IsZero() {
		from = began
	}
	sum := counted{}
	by := map[origin]tally{}
	p := Point{At: now.UTC().Truncate(time.Millisecond), Seconds: round(now.Sub(from).Seconds()), Processors: len(next)}
	for who, c := range next {
		was, known := s.seen[who]
		// Of a start that was before anybody looked it is not known when it was.
		if c.start != nil && (known && was.start == nil || !known && (!s.looked.IsZero() || !c.started.Before(from))) {
			p.started(c.start)
		}
		switch {
		case known:
			c = c.since(was)
		case c.started.Before(from):
			c = c.since(c)
		}
		sum.plus(c)
		c.share(by)
	}
	sum.tell(&p)
	s.sources = rates(by, p.Seconds)
	s.seen, s.looked = next, now
	s.points = append(s.points, p)
}
