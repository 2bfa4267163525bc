package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/delivery"
)

// Engine is a trigger made of a Source. It implements [trigger.Trigger],
// [trigger.Readier], [trigger.Settler], [trigger.PlaceSettler],
// [trigger.Pauser], [trigger.Seeker] and [trigger.Reporter]; a trigger's factory
// returns it as it is.
type Engine struct {
	o      Options
	src    Source
	policy *delivery.Policy
	log    *slog.Logger
	source *event.Source
	nonce  string // of ids

	callers   int           // messages given to the handler at once
	prefetch  int           // messages unsettled at once
	laterWait time.Duration // for open tokens, at a stop

	ready  chan struct{}
	opened sync.Once
	counts delivery.Counts
	cond   delivery.Condition

	gate *delivery.Gate

	mu   sync.Mutex
	run  *run // the running one
	lag  int64
	sess *session // the open one
}

// New makes the engine of one trigger. It opens nothing. An error is about the
// fields of the spec that all kinds share.
func New(s trigger.Settings, o Options, src Source) (*Engine, error) {
	host := delivery.Host{Kind: o.Kind, Class: trigger.Queue, Without: delivery.Drop, Rejects: o.Rejects}
	if o.Rejects {
		host.Without = delivery.Broker
	}
	if t, ok := src.(Topics); ok {
		host.Topic = t.Topic
	}
	p, err := delivery.New(s, host)
	if err != nil {
		return nil, err
	}
	if s.Spec.Guarantee == "exactlyOnce" {
		return nil, &trigger.SpecError{Err: fmt.Errorf("guarantee: a %s trigger has no exactlyOnce; see deduplicate", o.Kind)}
	}
	if s.Sink != nil && !o.Numbers {
		return nil, &trigger.SpecError{Err: fmt.Errorf("exactlyOnce: the messages of a %s trigger have no numbers to know them again by; see deduplicate", o.Kind)}
	}
	e := &Engine{o: o, src: src, policy: p, log: s.Log, source: &event.Source{Kind: o.Kind, Class: string(trigger.Queue), Name: s.Name},
		ready: make(chan struct{}), lag: -1, nonce: fmt.Sprintf("%08x-", rand.Uint32()), laterWait: s.Spec.WaitExplicitAckDuringRebalanceTimeout.Std()}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.limits(s)
	e.gate = delivery.NewGate(&e.cond)
	if s.Spec.Paused {
		e.Pause()
	}
	e.cond.Set(trigger.Connecting, "not started")
	return e, nil
}

// limits says how much runs at once: a little more than there are workers, so
// that none waits for a message, and more again are here already.
func (e *Engine) limits(s trigger.Settings) {
	workers := s.Workers
	if workers <= 0 {
		workers = max(s.Spec.NumWorkers, runtime.GOMAXPROCS(0))
	}
	e.callers = 2 * workers
	if n := s.Spec.MaxInFlight; n > 0 {
		e.callers = n
	}
	if e.policy.BatchSize > 1 && s.Spec.MaxInFlight == 0 {
		e.callers = workers + 1
	}
	e.prefetch = s.Spec.Prefetch
	if e.prefetch <= 0 {
		e.prefetch = max(e.o.Prefetch, 16, 4*e.callers, 2*e.callers*e.policy.BatchSize)
	}
	e.callers = min(e.callers, e.prefetch)
	if part := s.Share.Part; part > 0 && part < 1 {
		e.callers = portion(e.callers, part, 1)
		e.prefetch = portion(e.prefetch, part, e.callers)
	}
	if e.laterWait <= 0 {
		e.laterWait = 100 * time.Millisecond
	}
}

// portion is a part of a limit, and no less than least.
func portion(limit int, part float64, least int) int {
	return max(least, int(math.Round(float64(limit)*part)))
}

// Ready is closed when the first session is open.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// run is one Run of an engine.
type run struct {
	*Engine
	ctx     context.Context // of Run: its end says to take no more
	base    context.Context // of events and settlements: not done by a drain
	h       trigger.Handler
	line    *line
	epoch   uint32
	helpers sync.WaitGroup // goroutines of sessions, and the keeper
	watch   *delivery.Watch
}

// Run implements [trigger.Trigger].
func (e *Engine) Run(ctx context.Context, h trigger.Handler) error {
	l := newLine(e.prefetch, e.policy.BatchSize, e.policy.BatchWindow)
	r := &run{Engine: e, ctx: ctx, base: context.WithoutCancel(ctx), h: h, line: l}
	r.watch = delivery.NewWatch(r.orphaned)
	e.setRun(r)
	var workers sync.WaitGroup
	for range e.callers {
		workers.Go(r.newWorker().loop)
	}
	r.helpers.Go(l.keep)
	err := r.sessions()
	r.watch.Close()
	l.end()
	workers.Wait()
	r.helpers.Wait()
	e.setRun(nil)
	e.cond.Set(trigger.Stopped, "")
	if c, ok := e.src.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}

func (e *Engine) setRun(r *run) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.run = r
}

// sessions connects and serves until ctx is done.
func (r *run) sessions() error {
	for fails := 0; r.ctx.Err() == nil; {
		s, err := r.connect()
		had := err == nil
		if had {
			begun := time.Now()
			if err = r.serve(s); err == nil { // a stop, or a seek
				fails = 0
				continue
			}
			if time.Since(begun) > steady {
				fails = 0
			}
		}
		if r.ctx.Err() != nil {
			return nil
		}
		if event.IsPermanent(err) {
			return err
		}
		fails++
		r.log.Warn("source lost or not there; connecting again", "error", err, "failures", fails)
		r.cond.Set(trigger.Connecting, err.Error())
		if had { // counted when the state says so
			r.counts.Reconnects.Add(1)
		}
		delivery.Sleep(r.ctx, delivery.Reconnect(fails))
	}
	return nil
}

// steady is how long a session must have lived for its loss to be a first
// failure.
const steady = 10 * time.Second

// connect opens a session.
func (r *run) connect() (*session, error) {
	want := Want{Prefetch: r.prefetch, Start: r.policy.Start}
	start, met, seek := r.gate.Wish()
	if seek {
		want.Start, want.Seek = start, true
	}
	s, err := r.src.Connect(r.ctx, want)
	if err != nil {
		return nil, err
	}
	met()
	r.epoch++
	r.opened.Do(func() { close(r.ready) })
	r.cond.Set(trigger.Running, "")
	return newSession(r, s), nil
}
