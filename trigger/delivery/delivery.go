// Package delivery is what the queue and the stream engine do alike with an
// event: lend a copy of it to the handler, run it alone or in a batch that is
// halved until what fails is alone, and decide by the outcome and the spec
// whether it is done, tried again or given up, and where it goes then. It knows
// neither acks nor checkpoints, and starts no goroutine but those of a [Watch].
package delivery

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

// What is assumed where a spec says nothing.
const (
	DefaultAttempts = 5
	DefaultInitial  = 100 * time.Millisecond
	DefaultMax      = 30 * time.Second
	DefaultFactor   = 2
	DefaultJitter   = 0.2
	DefaultWindow   = 10 * time.Minute // of deduplication
)

// The kinds of destinations that engines know themselves.
const (
	Store  = "store"
	Topic  = "topic"
	Broker = "broker"
	Stop   = "stop"
	Drop   = "drop"
)

// Policy is what the spec of a trigger says about the delivery of its events,
// checked and compiled. It is not changed after New.
type Policy struct {
	Name     string
	Kind     string
	Function string
	Version  string
	class    trigger.Class

	Attempts       int // less than 0: no end
	MaxAge         time.Duration
	initial, most  time.Duration
	factor, jitter float64

	BatchSize   int           // 1: no batches
	BatchWindow time.Duration // how long an event waits for others
	Explicit    string        // "disable", "enable" or "explicitOnly"
	Filter      *Filter       // nil: all events pass
	Start       trigger.Start

	OnFailure string              // the kind: where what is given up goes
	failure   trigger.Destination // nil for the kinds broker, stop and drop
	success   trigger.Destination // nil: nowhere
	letters   trigger.Destination // for what another destination refuses for good; nil: it is sent there again
	seen      trigger.Seen        // nil: no deduplication
	window    time.Duration
	header    string
	sink      trigger.Sink // nil: there is none
	marks     bool         // see [trigger.Settings]
	sending   outgoing     // ids of letters of the sink
	log       *slog.Logger
	now       func() time.Time
}

// Host is what an engine gives a policy besides the settings.
type Host struct {
	Kind  string
	Class trigger.Class
	// Without is the kind of onFailure where the spec says nothing and the
	// host keeps no letters.
	Without string
	Rejects bool // the kind broker is possible
	// Topic opens a destination of the kind topic; nil if there is none.
	Topic func(string) (trigger.Destination, error)
	// Exactly says that answers travel with the checkpoints, and not as letters.
	Exactly bool
}

// New compiles a policy. Its errors are about fields of the trigger's spec.
func New(s trigger.Settings, h Host) (*Policy, error) {
	d := s.Spec.Delivery
	p := &Policy{Name: s.Name, Kind: h.Kind, class: h.Class, Function: s.Function, Version: s.Version, log: s.Log, now: time.Now,
		BatchSize: 1, Explicit: s.Spec.ExplicitAckMode}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.Explicit == "" {
		p.Explicit = "disable"
	}
	if b := s.Spec.Batch; b != nil && b.Mode == "enable" {
		p.BatchSize, p.BatchWindow = b.BatchSize, b.Timeout.Std()
		if p.BatchSize <= 0 {
			p.BatchSize = function.DefaultBatchSize
		}
		if p.BatchWindow <= 0 {
			p.BatchWindow = function.DefaultBatchTimeout
		}
	}
	p.letters, p.sink = s.Letters, s.Sink
	p.marks = s.Attempts && h.Class == trigger.Stream
	p.retry(d.Retry)
	var errs []error
	add := func(field string, err error) {
		if err != nil {
			errs = append(errs, document.Under(field, err))
		}
	}
	var err error
	p.Start, err = trigger.ParseStart(d.StartAt)
	add("startAt", err)
	if d.Filter != "" {
		p.Filter, err = NewFilter(d.Filter)
		add("filter", err)
	}
	add("onFailure", p.onFailure(s, h))
	add("onSuccess", p.onSuccess(s, h))
	add("deduplicate", p.deduplicate(s))
	add("exactlyOnce", p.sinking(d))
	if len(errs) > 0 {
		return nil, &trigger.SpecError{Err: errors.Join(errs...)}
	}
	return p, nil
}

func (p *Policy) retry(r *function.Retry) {
	p.Attempts, p.initial, p.most, p.factor, p.jitter = DefaultAttempts, DefaultInitial, DefaultMax, DefaultFactor, DefaultJitter
	if r == nil {
		return
	}
	if r.Attempts != 0 {
		p.Attempts = r.Attempts
	}
	p.MaxAge = r.MaxAge.Std()
	if b := r.Backoff; b != nil {
		set(&p.initial, b.Initial.Std())
		set(&p.most, b.Max.Std())
		set(&p.factor, b.Factor)
		if b.Jitter != nil {
			p.jitter = *b.Jitter
		}
	}
	p.most = max(p.most, p.initial)
}

func set[T int | time.Duration | float64](to *T, v T) {
	if v != 0 {
		*to = v
	}
}

func (p *Policy) onFailure(s trigger.Settings, h Host) (err error) {
	d := s.Spec.OnFailure
	if d == nil {
		d = &function.Destination{Kind: Store}
		if s.Letters == nil {
			d.Kind = h.Without
		}
	}
	p.OnFailure = d.Kind
	switch {
	case d.Kind == Broker && !h.Rejects:
		return fmt.Errorf("a %s trigger has nowhere to reject to", h.Kind)
	case d.Kind == Broker, d.Kind == Stop, d.Kind == Drop:
		return nil
	}
	p.failure, err = open(d, s, h)
	return err
}

func (p *Policy) onSuccess(s trigger.Settings, h Host) (err error) {
	if d := s.Spec.OnSuccess; d != nil && !h.Exactly {
		p.success, err = open(d, s, h)
	}
	return err
}

func open(d *function.Destination, s trigger.Settings, h Host) (trigger.Destination, error) {
	switch {
	case d.Kind == Store && s.Letters == nil:
		return nil, errors.New("there is no store of dead letters here")
	case d.Kind == Store:
		return s.Letters, nil
	case d.Kind == Topic && h.Topic == nil:
		return nil, fmt.Errorf("a %s trigger cannot send to a topic", h.Kind)
	case d.Kind == Topic:
		return h.Topic(d.Topic)
	case s.Destinations == nil:
		return nil, fmt.Errorf("unknown kind %q", d.Kind)
	}
	return s.Destinations(*d)
}

func (p *Policy) deduplicate(s trigger.Settings) error {
	d := s.Spec.Deduplicate
	if d == nil {
		return nil
	}
	if s.Seen == nil {
		return errors.New("there is nowhere to remember events here")
	}
	p.seen, p.header, p.window = s.Seen, d.Header, d.Window.Std()
	if p.window <= 0 {
		p.window = DefaultWindow
	}
	return nil
}

// sinking refuses what does not go together with a sink.
func (p *Policy) sinking(d function.Delivery) error {
	switch {
	case p.sink == nil:
		return nil
	case p.Explicit != "disable":
		return errors.New("is not together with explicitAckMode: the return of the function stores what it did")
	case d.OnSuccess != nil:
		return errors.New("is not together with onSuccess")
	case d.Guarantee == "exactlyOnce":
		return errors.New("is not together with guarantee: exactlyOnce, which is a transaction of the broker's")
	case d.WorkersPerShard > 1:
		return fmt.Errorf("is not together with workersPerShard: %d: the position of a shard passes one event after another", d.WorkersPerShard)
	}
	return nil
}

// Backoff is the pause after failure number n, counted from 1.
func (p *Policy) Backoff(n int) time.Duration {
	d := float64(p.initial)
	for i := 1; i < n && d < float64(p.most); i++ {
		d *= p.factor
	}
	return p.vary(min(d, float64(p.most)))
}

func (p *Policy) vary(d float64) time.Duration {
	return time.Duration(d * (1 + p.jitter*(2*rand.Float64()-1)))
}

// Reconnect is the pause after failure number n to connect, counted from 1.
func Reconnect(n int) time.Duration {
	d := 100 * time.Millisecond << min(n-1, 8)
	return time.Duration(float64(min(d, 15*time.Second)) * (0.8 + 0.4*rand.Float64()))
}

// busyPause is the pause before an event for which no worker was free is
// offered again.
func busyPause(n int) time.Duration {
	d := 5 * time.Millisecond << min(n, 8)
	return time.Duration(float64(min(d, time.Second)) * (0.5 + rand.Float64()))
}

// Next is what becomes of an event after it ran.
type Next int

// The fates.
const (
	Done  Next = iota // ack it
	Later             // its token will be settled
	Retry             // run it again after a pause
	Busy              // it did not run: offer it again after a pause
	Leave             // it did not run, and shall not here: give it back
	Dead              // give it up
)

// Decide says what becomes of it, and when it is Retry or Busy, after which
// pause. It counts the attempt.
func (p *Policy) Decide(it *Item) (Next, time.Duration) {
	err := it.Err
	switch {
	case err == nil:
		if p.Explicit == "explicitOnly" || p.Explicit == "enable" && it.keepsToken() {
			return Later, 0
		}
		return Done, 0
	case errors.Is(err, event.ErrLater):
		if p.Explicit == "disable" {
			return Done, 0
		}
		return Later, 0
	case errors.Is(err, event.ErrStopping):
		return Leave, 0
	case errors.Is(err, event.ErrBusy), errors.Is(err, event.ErrNotRun):
		it.busies++
		return Busy, busyPause(it.busies)
	}
	it.busies = 0
	it.Attempts++
	it.Last = p.now()
	if it.First.IsZero() {
		it.First = it.Last
	}
	if event.IsPermanent(err) {
		return Dead, 0
	}
	if p.Attempts > 0 && it.Attempts >= p.Attempts {
		return Dead, 0
	}
	pause := p.Backoff(it.Attempts)
	if p.MaxAge > 0 && it.Last.Add(pause).Sub(it.Orig.Time) > p.MaxAge {
		it.old = true
		return Dead, 0
	}
	return Retry, pause
}

// TooOld reports whether no attempt may begin any more.
func (p *Policy) TooOld(it *Item) bool {
	if p.MaxAge <= 0 || p.now().Sub(it.Orig.Time) <= p.MaxAge {
		return false
	}
	it.old = true
	if it.Err == nil {
		it.Err = errOld
	}
	return true
}

var errOld = errors.New("older than retry.maxAge")
