// Package worker shares a fixed number of runtime instances among triggers. It
// owns what happens between an event and its outcome: waiting for a free
// worker in turn, the event's deadline, and the repair of a worker that broke.
// It knows no trigger and no language.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/trigger"
)

// Options say how a pool is made.
type Options struct {
	Size         int            // workers, at least 1
	Worker       runtime.Worker // for whom; ID is filled in
	EventTimeout time.Duration  // per event, from its start in a worker; 0: none
	Log          *slog.Logger   // the processor's log
}

// Pool runs events on up to Size instances. Its life: New, which opens
// nothing; Open once; Handle of its handlers from any goroutine; Close once no
// Handle runs, or Kill to make the running ones return.
type Pool struct {
	rt   runtime.Runtime
	opts Options

	mu        sync.Mutex
	workers   []*worker // live ones, by no order
	idle      []*worker // those of workers with nothing in flight, last used last
	queue     turns
	parking   parking
	held      atomic.Int64 // events that wait, and one if the pool stops: no parking then
	deep      bool         // some worker takes several events at once
	submits   atomic.Bool  // some worker takes events by submission
	apart     atomic.Bool  // the function runs elsewhere; see runtime.Apart
	recall    recalls
	lends     uint // bodies lent while all were busy, to take turns
	stopping  bool
	abandoned int
	restarts  int

	repairs  sync.WaitGroup
	life     context.Context // ends at Close or Kill: no more repairs
	end      context.CancelFunc
	watching chan struct{} // closed when the watchdog ended; nil if there is none
}

// New makes a pool; Open starts it.
func New(rt runtime.Runtime, o Options) *Pool {
	o.Size = max(o.Size, 1)
	p := &Pool{rt: rt, opts: o}
	p.life, p.end = context.WithCancel(context.Background())
	p.recall.wake = make(chan struct{}, 1)
	return p
}

// Open opens all instances at once and returns when each is ready, or with the
// first failure, having closed the others. ctx bounds the opening.
func (p *Pool) Open(ctx context.Context) error {
	errs := make([]error, p.opts.Size)
	var wg sync.WaitGroup
	for id := range p.opts.Size {
		wg.Go(func() {
			w, err := p.open(ctx, id)
			if err != nil {
				errs[id] = err
				return
			}
			p.add(w)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return errors.Join(err, p.Close(ctx))
		}
	}
	p.parking.open(p)
	if p.opts.Size > 1 {
		p.recall.done = make(chan struct{})
		go p.unstick()
	}
	if p.opts.EventTimeout > 0 {
		p.watching = make(chan struct{})
		go p.watch()
	}
	return nil
}

// mostWarm is how many workers of a pool are begun ahead at most.
const mostWarm = 4

// Warm begins workers ahead, before Open and without loading the function, if
// the runtime can. It does not wait until they have begun.
func (p *Pool) Warm(ctx context.Context) error {
	w, ok := p.rt.(runtime.Warmer)
	if !ok {
		return nil
	}
	for id := range min(p.opts.Size, mostWarm) {
		who := p.opts.Worker
		who.ID = id
		if err := w.Warm(ctx, who); err != nil {
			return fmt.Errorf("begin worker %d: %w", id, err)
		}
	}
	return nil
}

// For returns the handler of one trigger. Triggers that wait for a worker of
// the same pool are served in turn, whatever the number of their events. wait
// is how long an event may wait for a worker: 0 not at all.
func (p *Pool) For(wait time.Duration, m Meter) trigger.Handler {
	h := &handler{pool: p, wait: wait, meter: m}
	if m == nil {
		h.meter = silent{}
	}
	return h
}

// Meter is told of every event that a handler was given.
type Meter interface {
	// Handled says how long the event waited for a worker, how long it ran and
	// its outcome. Both times are 0 if they were not measured: of the events
	// that find a worker at once, one in [Sample] is.
	Handled(waited, ran time.Duration, err error)
}

// Sample is how many events share one measurement of the time they ran, since
// reading a clock twice costs as much as all else that the pool does.
const Sample = 8

type silent struct{}

func (silent) Handled(time.Duration, time.Duration, error) {}

type handler struct {
	pool  *Pool
	wait  time.Duration
	meter Meter
	line  line   // of waiting events; guarded by pool.mu
	taken uint64 // events so far; guarded by pool.mu

	size   int       // events in one call of the function, 0 if each is a call
	gather *gatherer // nil if size is 0
}

// notRunTries is how often an event is given to another worker, because the
// one that had it was lost before it began, even if its wait is over.
const notRunTries = 8

// visit is one event's way through the pool. Times are as of now(), 0 if the
// clock was not read.
type visit struct {
	came   time.Duration // when it had to wait for the first time
	waited time.Duration
	began  time.Duration // when it got its worker
	from   any           // the instance that its body lies in, nil if in none
	called bool          // back from a worker that had not begun it
	lot    *lot          // where its worker may park; nil if nowhere
}

// Handle implements [trigger.Handler].
func (h *handler) Handle(ctx context.Context, ev *event.Event, resp *event.Response) error {
	if h.gather != nil {
		return h.gather.handle(ctx, ev, resp)
	}
	return h.handle(ctx, ev, resp)
}

// handle runs one event in a call of its own.
func (h *handler) handle(ctx context.Context, ev *event.Event, resp *event.Response) error {
	var v visit
	if ev.Loan != nil {
		v.from = ev.Loan.From()
	}
	if len(h.pool.parking.lots) > 0 {
		v.lot = h.pool.parking.lotOf(ev)
	}
	for try := 1; ; try++ {
		w, err := h.pool.take(ctx, h, &v)
		if err != nil {
			h.meter.Handled(v.waited, 0, err)
			return err
		}
		if v.lot != nil {
			err = h.pool.runParked(ctx, w, v.lot, ev, resp)
		} else {
			err = h.pool.run(ctx, w, v.began, ev, resp)
			w.sign(resp, err)
		}
		if errors.Is(err, event.ErrRecalled) {
			v.again()
			v.called = true
			resp.Reset()
			continue
		}
		if errors.Is(err, event.ErrNotRun) {
			if v.again(); try < notRunTries || v.waited < h.wait {
				resp.Reset()
				continue
			}
			err = event.ErrBusy
		}
		h.meter.Handled(v.waited, v.ran(), err)
		return err
	}
}

// Lend implements [event.Lender], for bodies that a worker can read in place.
func (h *handler) Lend(n int) event.Loan {
	h.pool.mu.Lock()
	var l event.Lender
	if k := len(h.pool.idle); k > 0 {
		l = h.pool.idle[k-1].lender
	} else if k := len(h.pool.workers); k > 0 {
		h.pool.lends++
		l = h.pool.workers[h.pool.lends%uint(k)].lender
	}
	h.pool.mu.Unlock()
	if l == nil {
		return nil
	}
	return l.Lend(n)
}

// Sealed implements [trigger.Sealer].
func (h *handler) Sealed() bool { return h.pool.apart.Load() }

// Drain implements [trigger.Drainer].
func (h *handler) Drain() {
	h.pool.mu.Lock()
	ws := slices.Clone(h.pool.workers)
	h.pool.mu.Unlock()
	for _, w := range ws {
		d, ok := w.inst.(runtime.Drainer)
		if !ok {
			continue
		}
		if err := d.Drain(); err != nil {
			h.pool.opts.Log.Warn("tell worker to settle its events", "worker", w.id, "error", err)
		}
	}
}

// Leave tells every worker that the processor has begun to drain, which has until
// ctx is done. It reports whether any function has hooks that Close is to wait
// for.
func (p *Pool) Leave(ctx context.Context) (hooked bool) {
	p.mu.Lock()
	ws := slices.Clone(p.workers)
	p.mu.Unlock()
	for _, w := range ws {
		l, ok := w.inst.(runtime.Leaver)
		if !ok {
			continue
		}
		has, err := l.Leave(ctx)
		if err != nil {
			p.opts.Log.Warn("tell worker that the processor drains", "worker", w.id, "error", err)
		}
		hooked = hooked || has
	}
	return hooked
}

// again notes that the event is to be given to another worker.
func (v *visit) again() {
	if v.came == 0 {
		v.came = now()
	}
	v.waited = now() - v.came
}

func (v *visit) ran() time.Duration {
	if v.began == 0 {
		return 0
	}
	return now() - v.began
}

// Stats is the state of a pool at one moment.
type Stats struct {
	Size, Live, Busy int // workers: wanted, alive, with an event
	InFlight         int // events in workers
	Waiting          int // events that wait for one
	Abandoned        int // native functions still running after their timeout
	Restarts         int // workers replaced since Open
}

// Stats returns the pool's state.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	parked := p.parked()
	s := Stats{Size: p.opts.Size, Live: len(p.workers), Busy: len(p.workers) - len(p.idle) - parked, InFlight: -parked,
		Waiting: p.queue.waiting, Abandoned: p.abandoned, Restarts: p.restarts}
	for _, w := range p.workers {
		s.InFlight += w.inFlight
	}
	return s
}

// PIDs are the processes of the workers that are processes of their own.
func (p *Pool) PIDs() (out []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.workers {
		if own, ok := w.inst.(interface{ Pid() int }); ok {
			out = append(out, own.Pid())
		}
	}
	return out
}

// epoch is when this process began to count. Durations since then read the
// monotonic clock alone, at half the cost of time.Now.
var epoch = time.Now()

func now() time.Duration { return time.Since(epoch) }
