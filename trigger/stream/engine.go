package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/delivery"
)

const (
	defaultRecords    = 10_000
	defaultBytes      = 16 << 20
	defaultCheckpoint = time.Second
	defaultDrain      = 10 * time.Second // of shards that are revoked
	closeTime         = 5 * time.Second
	lagEvery          = 10 * time.Second
	steady            = 10 * time.Second // after which the loss of a session is a first failure
)

// Engine is a trigger made of a Source. It implements [trigger.Trigger],
// [trigger.Readier], [trigger.Settler], [trigger.PlaceSettler],
// [trigger.Positioner], [trigger.Pauser], [trigger.Seeker] and
// [trigger.Reporter]; a trigger's factory returns it as it is.
type Engine struct {
	o      Options
	src    Source
	policy *delivery.Policy
	log    *slog.Logger
	source *event.Source
	keep   trigger.Checkpoints // nil: the source's own
	name   string

	lanes     int
	every     time.Duration // between checkpoints
	drainTime time.Duration // of shards that are revoked
	laterWait time.Duration // for open tokens, when a shard goes
	exactly   bool
	outTopic  string

	ready  chan struct{}
	opened sync.Once
	counts delivery.Counts
	cond   delivery.Condition
	gate   *delivery.Gate

	mu   sync.Mutex
	run  *run    // the running one
	sess Session // the open one
}

// New makes the engine of one trigger. It opens nothing. An error is about the
// fields of the spec that all kinds share.
func New(s trigger.Settings, o Options, src Source) (*Engine, error) {
	d := s.Spec.Delivery
	host := delivery.Host{Kind: o.Kind, Class: trigger.Stream, Without: delivery.Stop, Exactly: d.Guarantee == "exactlyOnce"}
	if t, ok := src.(Topics); ok {
		host.Topic = t.Topic
	}
	p, err := delivery.New(s, host)
	if err != nil {
		return nil, err
	}
	e := &Engine{o: o, src: src, policy: p, log: s.Log, keep: s.Checkpoints, name: s.Name, exactly: host.Exactly,
		source: &event.Source{Kind: o.Kind, Class: string(trigger.Stream), Name: s.Name}, ready: make(chan struct{}),
		lanes: max(d.WorkersPerShard, 1), every: d.CheckpointInterval.Std(), drainTime: s.Spec.WorkerTerminationTimeout.Std(),
		laterWait: s.Spec.WaitExplicitAckDuringRebalanceTimeout.Std()}
	if o.Class != "" {
		e.source.Class = string(o.Class)
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if err := e.guarantee(s); err != nil {
		return nil, &trigger.SpecError{Err: err}
	}
	e.defaults()
	e.gate = delivery.NewGate(&e.cond)
	if d.Paused {
		e.Pause()
	}
	e.cond.Set(trigger.Connecting, "not started")
	return e, nil
}

// guarantee checks what exactlyOnce asks for.
func (e *Engine) guarantee(s trigger.Settings) error {
	if e.keep != nil && !e.o.Restores {
		return fmt.Errorf("a %s trigger cannot begin at a checkpoint that a sink keeps", e.o.Kind)
	}
	if s.Sink != nil && e.keep == nil {
		return errors.New("exactlyOnce: the binding keeps no checkpoints")
	}
	if !e.exactly {
		return nil
	}
	if d := s.Spec.OnSuccess; d == nil || d.Kind != delivery.Topic {
		return errors.New("onSuccess: the guarantee exactlyOnce needs a topic, which answers are sent to with the checkpoint")
	}
	if !e.o.Transacts {
		return fmt.Errorf("guarantee: a %s trigger has no exactlyOnce", e.o.Kind)
	}
	e.outTopic = s.Spec.OnSuccess.Topic
	return nil
}

func (e *Engine) defaults() {
	for _, d := range []struct{ v, def *time.Duration }{
		{&e.every, new(defaultCheckpoint)}, {&e.drainTime, new(defaultDrain)}, {&e.laterWait, new(100 * time.Millisecond)},
	} {
		if *d.v <= 0 {
			*d.v = *d.def
		}
	}
	if e.o.Records <= 0 {
		e.o.Records = defaultRecords
	}
	if e.o.Bytes <= 0 {
		e.o.Bytes = defaultBytes
	}
}

// Ready is closed when the first session is open.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// run is one Run of an engine.
type run struct {
	*Engine
	ctx  context.Context // of Run: its end says to take no more
	base context.Context // of events and checkpoints: not done by a drain
	h    trigger.Handler
	ends sync.WaitGroup // goroutines of lanes, also of shards that are gone

	shards   shards
	assigned *assigned // nil if the source says itself which shards are the processor's
	watch    *delivery.Watch
	room     chan struct{} // signalled when a full shard is no longer, and when one has run dry
}

func (r *run) hasRoom() {
	select {
	case r.room <- struct{}{}:
	default:
	}
}

// Run implements [trigger.Trigger].
func (e *Engine) Run(ctx context.Context, h trigger.Handler) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &run{Engine: e, ctx: ctx, base: context.WithoutCancel(ctx), h: h, room: make(chan struct{}, 1)}
	r.shards.init()
	r.watch = delivery.NewWatch(r.orphaned)
	e.setRun(r)
	free := r.assign(stop)
	err := r.sessions()
	if free(); err == nil && event.IsPermanent(context.Cause(ctx)) {
		err = context.Cause(ctx)
	}
	r.watch.Close()
	r.ends.Wait()
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
		if err == nil {
			begun := time.Now()
			if err = r.serve(s); err == nil { // a stop, or a seek
				fails = 0
				continue
			}
			if time.Since(begun) > steady {
				fails = 0
			}
			r.counts.Reconnects.Add(1)
		}
		r.loseAll()
		if r.ctx.Err() != nil {
			return nil
		}
		if event.IsPermanent(err) {
			return err
		}
		fails++
		r.log.Warn("source lost or not there; connecting again", "error", err, "failures", fails)
		r.cond.Set(trigger.Connecting, err.Error())
		delivery.Sleep(r.ctx, delivery.Reconnect(fails))
	}
	return nil
}

// connect opens a session.
func (r *run) connect() (*session, error) {
	want := Want{Start: r.policy.Start, Records: r.o.Records, Bytes: r.o.Bytes, Transactions: r.exactly, Keeps: r.keep != nil}
	start, met, seek := r.gate.Wish()
	if seek {
		want.Start, want.Seek = start, true
	}
	q := newSession(r)
	q.seek = seek
	s, err := r.src.Connect(r.ctx, want, q)
	if err != nil {
		q.lose(err)
		return nil, err
	}
	q.opened(s)
	if r.exactly && q.transactor == nil {
		q.lose(nil)
		return nil, event.Permanent(errors.Join(errors.New("the session has no transactions"), s.Close(r.base)))
	}
	if err := r.enter(q); err != nil {
		q.lose(err)
		ctx, cancel := context.WithTimeout(r.base, closeTime)
		defer cancel()
		return nil, errors.Join(err, s.Close(ctx))
	}
	met()
	r.setSession(s)
	r.opened.Do(func() { close(r.ready) })
	r.cond.Set(trigger.Running, "")
	return q, nil
}

func (e *Engine) setSession(s Session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sess = s
}
