package processor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/host"
	"github.com/myelin-run/myelin/binding/prefetch"
	"github.com/myelin-run/myelin/binding/remote"
	"github.com/myelin-run/myelin/processor/calls"
	"github.com/myelin-run/myelin/processor/handoff"
	"github.com/myelin-run/myelin/processor/logs"
	"github.com/myelin-run/myelin/processor/tap"
	"github.com/myelin-run/myelin/processor/worker"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/destination"
	"github.com/myelin-run/myelin/trigger/letterbox"
	"github.com/myelin-run/myelin/trigger/seen"
)

// Parts are what a program gives its processor.
type Parts struct {
	Triggers *trigger.Set
	Runtimes *runtime.Set
	Bindings *binding.Set // nil: there are none
	// Sockets already listen, each for the trigger of its name. The processor
	// serves on copies of them; they stay the caller's, and open.
	Sockets []handoff.Socket
}

// Processor runs one function. Its life: New, which opens nothing but logs;
// Run once.
type Processor struct {
	cfg   Config
	parts Parts
	log   *slog.Logger // the processor's
	flog  *slog.Logger // the function's
	files []io.Closer

	calls       *calls.Client
	asks        *asks
	letterCalls *calls.Client // of destinations: with times of their own
	outlets     *destination.Opener
	bindings    *host.Host
	state       *data.State    // nil if the function keeps none
	plan        *prefetch.Plan // of what is fetched for events; nil: nothing
	remote      *remote.Server // of bindings, for workers in other processes
	rt          runtime.Runtime
	feeds       []*feed
	pools       map[string]*pool
	meters      *meters
	started     time.Time
	start       *startMeter
	deadline    time.Time // of hooks that run in the drain; zero if there are none
	left        context.CancelFunc
	ready       atomic.Bool
	listeners   map[string]net.Listener // on the sockets that came from outside
	box         *letterbox.Box
	seen        *seen.Store // nil until a trigger deduplicates
	tap         *tap.Hub
	adminAddr   string
	ownScratch  bool
}

type pool struct {
	*worker.Pool
	name string
	size int
}

// ErrDrain says that events were still running at the drain deadline.
var ErrDrain = errors.New("drain deadline passed with events still running")

// ErrConfig marks mistakes in the configuration.
var ErrConfig = errors.New("configuration")

// New builds a processor. A wrong configuration is an ErrConfig.
func New(cfg Config, parts Parts) (*Processor, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	p := &Processor{cfg: cfg, parts: parts, pools: map[string]*pool{}, started: time.Now(), start: newStartMeter(), tap: tap.New()}
	if err := p.openLogs(); err != nil {
		return nil, err
	}
	p.meters = newMeters(p)
	if err := errors.Join(p.makeScratch(), p.listen(), p.buildBindings()); err != nil {
		return nil, err
	}
	if err := p.buildRuntime(); err != nil {
		return nil, err
	}
	if err := p.buildFeeds(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Processor) openLogs() error {
	for _, o := range []struct {
		to   **slog.Logger
		sink logs.Sink
	}{{&p.log, p.cfg.Logs.Processor}, {&p.flog, p.cfg.Logs.Function}} {
		l, c, err := logs.Open(o.sink)
		if err != nil {
			return err
		}
		*o.to = l
		p.files = append(p.files, c)
	}
	name := p.cfg.Function.Metadata.Name
	p.log = p.log.With("function", name)
	p.flog = p.flog.With("function", name)
	return nil
}

// listen takes copies of the sockets that came from outside.
func (p *Processor) listen() error {
	p.listeners = map[string]net.Listener{}
	for _, s := range p.parts.Sockets {
		ln, err := s.Listener()
		if err != nil {
			return err
		}
		p.listeners[s.Name] = ln
	}
	return nil
}

// makeScratch makes the scratch directory, short enough for a unix socket.
func (p *Processor) makeScratch() (err error) {
	if p.cfg.Scratch == "" {
		p.cfg.Scratch, err = os.MkdirTemp("", "myelin-")
		p.ownScratch = true
	} else {
		err = os.MkdirAll(p.cfg.Scratch, 0o700)
	}
	if err != nil {
		return fmt.Errorf("make scratch directory: %w", err)
	}
	p.cfg.Scratch, err = filepath.Abs(p.cfg.Scratch)
	return err
}

// Log returns the processor's own log.
func (p *Processor) Log() *slog.Logger { return p.log }

// Run serves until ctx is done, then drains: triggers take no more and finish
// what they have; at the drain deadline the workers that can be killed are. It
// returns nil after a clean drain, ErrDrain if events were cut off, or why it
// could not serve.
func (p *Processor) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, p.close()) }()
	admin, err := p.startAdmin()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, admin.stop()) }()
	defer func() { err = errors.Join(err, p.closeBindings()) }()
	if err := p.openBindings(ctx); err != nil {
		return err
	}
	p.start.ends(phaseBindings, time.Now())
	if err := p.openPools(ctx); err != nil {
		return err
	}
	p.start.opened(p.loading())
	defer func() { err = errors.Join(err, p.closePools()) }()
	if err := p.checkBatches(); err != nil {
		return err
	}
	return p.serve(ctx)
}

// serve runs the triggers from start to drain.
func (p *Processor) serve(ctx context.Context) error {
	if p.cfg.Recall > 0 {
		p.tap.Recall(p.cfg.Recall)
	}
	g, soft := errgroup.WithContext(ctx)
	stop, err := p.offerSockets()
	if err != nil {
		return err
	}
	defer stop()
	for _, f := range p.feeds {
		g.Go(func() error {
			var wait time.Duration
			if batches(f.spec) {
				wait = f.spec.Batch.Timeout.Std()
			}
			return f.tend(soft, p.tapped(f, p.handler(f, wait)))
		})
	}
	done := make(chan error, 1)
	go func() { done <- g.Wait() }()
	if err := p.announce(soft); err != nil && soft.Err() == nil {
		p.log.Error("announce readiness", "error", err)
	}
	<-soft.Done()
	p.ready.Store(false)
	return p.drain(ctx, done)
}

// drain waits for the triggers to settle what they have.
func (p *Processor) drain(ctx context.Context, done <-chan error) error {
	ended, end := context.WithCancel(context.Background())
	var retracts sync.WaitGroup
	retracts.Go(func() { p.retract(ended) })
	defer retracts.Wait()
	defer end()
	if ctx.Err() != nil {
		p.log.Info("draining", "timeout", p.cfg.DrainTimeout.Std())
		p.leave(ctx)
	}
	timer := time.NewTimer(p.cfg.DrainTimeout.Std())
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
	}
	p.log.Warn("drain deadline passed; killing workers", "inFlight", p.inFlight())
	for _, pool := range p.pools {
		pool.Kill()
	}
	select {
	case err := <-done:
		return errors.Join(ErrDrain, err)
	case <-time.After(hardStopTime):
		return ErrDrain
	}
}

// leave has the functions' own hooks run, which have until the drain deadline.
func (p *Processor) leave(ctx context.Context) {
	deadline := time.Now().Add(p.cfg.DrainTimeout.Std())
	ctx, p.left = context.WithDeadline(context.WithoutCancel(ctx), deadline)
	for _, pool := range p.pools {
		if pool.Leave(ctx) {
			p.deadline = deadline
		}
	}
}

func (p *Processor) inFlight() (n int) {
	for _, pool := range p.pools {
		n += pool.Stats().InFlight
	}
	return n
}

func (p *Processor) openPools(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, pool := range p.pools {
		g.Go(func() error { return pool.Open(ctx) })
	}
	return g.Wait()
}

func (p *Processor) closePools() error {
	if p.left != nil {
		defer p.left()
	}
	ctx, cancel := context.WithTimeout(context.Background(), max(hardStopTime, time.Until(p.deadline)))
	defer cancel()
	var errs []error
	for _, pool := range p.pools {
		if pool.Stats().InFlight > 0 { // cut off: its instances end with the process
			continue
		}
		errs = append(errs, pool.Close(ctx))
	}
	return errors.Join(errs...)
}

func (p *Processor) close() error {
	var errs []error
	if p.ownScratch { // else it is the platform's to remove
		errs = append(errs, os.RemoveAll(p.cfg.Scratch))
	}
	for _, l := range p.listeners { // of triggers that never ran
		_ = l.Close()
	}
	if p.asks != nil {
		p.asks.settles.Wait() // their triggers have ended
	}
	p.tap.Close()
	if p.calls != nil {
		errs = append(errs, p.calls.Close())
	}
	if p.outlets != nil {
		errs = append(errs, p.outlets.Close(), p.letterCalls.Close())
	}
	for _, f := range p.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// offerSockets gives copies of the sockets that came from outside to whoever
// connects as the same user or root: so a control plane that was restarted gets
// the sockets of the processors that it adopts.
func (p *Processor) offerSockets() (stop func(), err error) {
	if len(p.parts.Sockets) == 0 {
		return func() {}, nil
	}
	l, err := handoff.OfferAt(filepath.Join(p.cfg.Scratch, handoff.File))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- handoff.Serve(ctx, l, p.parts.Sockets) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			p.log.Error("offer sockets", "error", err)
		}
	}, nil
}
