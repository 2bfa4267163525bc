package processor

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"maps"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor/calls"
	"github.com/myelin-run/myelin/processor/cloudevents"
	"github.com/myelin-run/myelin/processor/worker"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/dealt"
	"github.com/myelin-run/myelin/trigger/destination"
)

// defaultAvailability is how long an event waits for a worker unless its
// trigger says otherwise.
const defaultAvailability = 10 * time.Second

// buildRuntime makes the runtime that the spec names; ":version" is its own
// business.
func (p *Processor) buildRuntime() error {
	kind, _, _ := strings.Cut(p.cfg.Function.Spec.Runtime, ":")
	if kind == "go" {
		kind = "golang"
	}
	f, err := p.parts.Runtimes.Lookup(kind)
	if err != nil {
		return fmt.Errorf("%w: spec.runtime: %w", ErrConfig, err)
	}
	if err := p.buildCalls(); err != nil {
		return err
	}
	p.rt, err = f.New(runtime.Settings{
		Function:    p.cfg.Function,
		Dir:         p.cfg.Dir,
		Scratch:     p.cfg.Scratch,
		Log:         p.log.With("runtime", kind),
		FunctionLog: p.flog,
		Calls:       p.asks,
		Bindings:    p.bindingNames(),
		Handles:     p.bindings.Handles(),
		State:       p.state,
	}, p.cfg.Function.Spec.RuntimeAttributes)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, document.Under("spec.runtimeAttributes", err))
	}
	return nil
}

// buildCalls makes what the function calls others with.
func (p *Processor) buildCalls() error {
	known, err := calls.FromEnvironment(p.cfg.Functions)
	if err == nil {
		p.calls, err = calls.New(calls.Options{Functions: known, Limit: p.cfg.Function.Spec.EventTimeout.Std()})
		p.asks = &asks{p: p}
	}
	if err == nil {
		p.letterCalls, err = calls.New(calls.Options{Functions: known})
		p.outlets = destination.New(p.letterCalls)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// buildFeeds makes the triggers and the pools that they feed, by name.
func (p *Processor) buildFeeds() error {
	spec := p.cfg.Function.Spec
	for _, name := range slices.Sorted(maps.Keys(spec.Triggers)) {
		t := spec.Triggers[name]
		if t.Disabled {
			continue
		}
		f, err := p.buildFeed(name, t)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
		p.feeds = append(p.feeds, f)
	}
	p.recallShares()
	if len(p.feeds) == 0 {
		return fmt.Errorf("%w: the function has no trigger that is enabled", ErrConfig)
	}
	return nil
}

func (p *Processor) buildFeed(name string, t function.Trigger) (*feed, error) {
	factory, err := p.parts.Triggers.Lookup(t.Kind)
	if err != nil {
		return nil, fmt.Errorf("spec.triggers.%s.kind: %w", name, err)
	}
	workers := p.poolFor(name, t)
	log := p.log.With("trigger", name)
	f := newFeed(name, t, workers, log, p.cfg.Shares.Of(name), func(t function.Trigger, share function.Share) (trigger.Trigger, error) {
		s := trigger.Settings{
			Name: name, Spec: t, Log: log, Listener: p.listeners[name], Dir: p.cfg.Dir,
			Namespace: p.cfg.Function.Metadata.Namespace, Function: p.cfg.Function.Metadata.Name, Replica: p.replica(), Workers: workers.size, Share: share,
			Letters: p.letters(), Seen: p.remember(t), Destinations: p.outlets.Open, Shards: p.dealer(log),
		}
		if err := p.sink(&s); err != nil {
			return nil, err
		}
		made, err := factory.New(s, t.Attributes)
		if err != nil {
			return nil, err
		}
		return made, sinks(made, &s)
	})
	if err := f.make(); err != nil {
		return nil, underTrigger(name, err)
	}
	delete(p.listeners, name) // now the trigger's
	return f, nil
}

// replica names this processor among those of its function, by its host and its
// scratch directory: the platform starts one that died again in the same.
func (p *Processor) replica() string {
	host, _ := os.Hostname() // the rest is name enough
	if p.ownScratch {
		return host
	}
	h := fnv.New32a()
	_, _ = io.WriteString(h, p.cfg.Scratch)
	return fmt.Sprintf("%s-%08x", host, h.Sum32())
}

// dealer is who assigns shards; nil if the processor knows none.
func (p *Processor) dealer(log *slog.Logger) trigger.Assigner {
	if p.cfg.Dealer == "" {
		return nil
	}
	return dealt.New(dealt.Options{Address: p.cfg.Dealer, Processor: p.replica(), Log: log})
}

// underTrigger gives an error of a factory its place in the configuration.
func underTrigger(name string, err error) error {
	path := document.Join("spec.triggers", name)
	if e := (*trigger.SpecError)(nil); errors.As(err, &e) {
		return document.Under(path, e.Err)
	}
	return document.Under(path+".attributes", err)
}

// poolFor makes the pool of a trigger, or finds the one that it shares.
func (p *Processor) poolFor(name string, t function.Trigger) *pool {
	key, shared := "trigger/"+name, t.WorkerAllocatorName
	if shared != "" {
		key = "shared/" + shared
	}
	if known := p.pools[key]; known != nil {
		return known
	}
	size := p.poolSize(shared, t)
	p.pools[key] = &pool{name: strings.TrimPrefix(key, "trigger/"), size: size, Pool: worker.New(p.rt, worker.Options{
		Size:         size,
		Worker:       runtime.Worker{TriggerKind: t.Kind, TriggerName: name, Pool: shared},
		EventTimeout: p.cfg.Function.Spec.EventTimeout.Std(),
		Log:          p.log,
	})}
	return p.pools[key]
}

// poolSize is the largest number that any trigger of the pool asks for.
func (p *Processor) poolSize(shared string, t function.Trigger) int {
	n := t.NumWorkers
	if shared != "" {
		for _, o := range p.cfg.Function.Spec.Triggers {
			if o.WorkerAllocatorName == shared && !o.Disabled {
				n = max(n, o.NumWorkers)
			}
		}
	}
	if n > 0 {
		return n
	}
	if d, ok := p.rt.(runtime.Defaulter); ok {
		return d.DefaultWorkers(goruntime.GOMAXPROCS(0))
	}
	return 1
}

// handler is what a trigger hands its events to. Events wait for others of
// their batch only if they have to.
func (p *Processor) handler(f *feed, wait time.Duration) trigger.Handler {
	var b worker.Batching
	if batches(f.spec) {
		b = worker.Batching{Size: f.spec.Batch.BatchSize, Wait: wait}
	}
	return unpacking(f, p.withPrefetch(f.pool.ForBatches(availability(f.spec), p.meters.forTrigger(f), b), b.Size))
}

// unpacking has h get CloudEvents as the spec says.
func unpacking(f *feed, h trigger.Handler) trigger.Handler {
	full, ok := h.(cloudevents.Pool)
	if !ok || f.spec.CloudEvents == "disable" {
		return h
	}
	return &cloudevents.Handler{Pool: full, Binary: f.spec.CloudEvents == "enable", Required: f.spec.CloudEvents == "require", Together: f.pool.size}
}

func batches(t function.Trigger) bool { return t.Batch != nil && t.Batch.Mode == "enable" }

// checkBatches refuses triggers that make batches for a function that takes
// none. The pools are open.
func (p *Processor) checkBatches() error {
	for _, f := range p.feeds {
		if batches(f.spec) && !f.pool.Batches() {
			return fmt.Errorf("%w: spec.triggers.%s.batch: is enabled, and the function takes one event per call: "+
				"remove it, or write a handler that takes a list, if the runtime has such", ErrConfig, f.name)
		}
	}
	return nil
}

func availability(t function.Trigger) time.Duration {
	if ms := t.WorkerAvailabilityTimeoutMilliseconds; ms != nil && *ms >= 0 {
		return time.Duration(*ms) * time.Millisecond
	}
	return defaultAvailability
}
