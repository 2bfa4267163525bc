package host

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/batch"
	"github.com/myelin-run/myelin/binding/breaker"
	"github.com/myelin-run/myelin/binding/cache"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// layers are what lies between a handle and its driver, as the spec wants it.
type layers struct {
	cache   interface{ Stats() cache.Stats }
	batch   gatherer
	breaker *breaker.Breaker
}

type gatherer interface {
	Stats() batch.Stats
	Close()
}

// What a spec leaves out.
const (
	cacheSize     = 16 << 20
	cacheTTL      = 10 * time.Second
	batchCount    = 500
	batchBytes    = 1 << 20
	batchWait     = 5 * time.Millisecond
	breakFailures = 5
	breakPause    = 5 * time.Second
)

// handle makes what functions use.
func (b *bound) handle(spec function.DataBinding, observe Observer) (any, error) {
	l := binding.DefaultLimits()
	if own, ok := b.binding.(binding.Limited); ok {
		l = own.Bounds()
	}
	g := &data.Guard{
		Name: b.name, Timeout: l.Timeout.Std(), Wait: l.MaxWait.Std(), Slots: make(chan struct{}, l.MaxCalls), Max: int64(l.MaxValue),
		MaxRows: tableRows, Hold: hold, Fetches: len(spec.Prefetch) > 0, Gate: b.gate(spec),
		Observe: func(operation string, took time.Duration, err error) {
			b.note(err)
			b.tallies.note(operation, took, err)
			if observe != nil {
				observe(Call{b.name, b.class, b.kind, operation, took, err})
			}
		},
	}
	var under any = b.binding
	if spec.Cache != nil {
		cached, err := b.cached(under, *spec.Cache)
		if err != nil {
			return nil, err
		}
		under = cached
	}
	if spec.Batch != nil {
		gathered, err := b.gathered(under, *spec.Batch, g)
		if err != nil {
			return nil, err
		}
		under = gathered
	}
	return binding.Handle(under, g)
}

func (b *bound) cached(under any, c function.DataCache) (any, error) {
	o := cache.Options{Size: cmp.Or(int64(c.Size), cacheSize), TTL: cmp.Or(c.TTL.Std(), cacheTTL), Negative: c.NegativeTTL.Std()}
	switch s := under.(type) {
	case data.FileStore: // what is laid out is read for each run
	case data.KeyStore:
		o.Changed = func(key string) { b.changes.Changed(b.name, key) }
		k := cache.ForKeys(s, o)
		b.layers.cache = k
		return k, nil
	case data.ObjectStore:
		k := cache.ForObjects(s, o)
		b.layers.cache = k
		return k, nil
	case data.Database:
		if !c.Queries {
			return nil, document.Errors{{Path: "cache.queries", Msg: "is required to be true for a table: any SELECT of one row may then be answered with what it was before"}}
		}
		k := cache.ForTables(s, o)
		b.layers.cache = k
		return k, nil
	}
	return nil, document.Errors{{Path: "cache", Msg: "is not for the class " + b.class}}
}

func (b *bound) gathered(under any, w function.WriteBatch, g *data.Guard) (any, error) {
	o := batch.Options{Count: cmp.Or(w.Count, batchCount), Bytes: int(cmp.Or(int64(w.Bytes), batchBytes)), Wait: cmp.Or(w.Wait.Std(), batchWait)}
	own := *g // one lot is made at a time, and needs no place among the calls
	own.Slots = nil
	switch s := under.(type) {
	case data.KeyStore:
		if b.layers.cache != nil {
			o.Changed = func(key string) { b.changes.Changed(b.name, key) }
		}
		k := batch.ForKeys(s, o, data.NewKV(s, &own).PutAll)
		b.layers.batch = k
		return k, nil
	case data.Database:
		t := data.NewTable(s, &own)
		k := batch.ForTables(s, o, func(ctx context.Context, table string, columns []string, rows [][]any) error {
			_, err := t.Insert(ctx, table, columns, rows)
			return err
		})
		b.layers.batch = k
		return k, nil
	}
	return nil, document.Errors{{Path: "batch", Msg: "is for the classes kv and table, not " + b.class}}
}

// gate is what calls pass: the binding has been opened, and its breaker is closed.
type gate struct {
	opened  *atomic.Bool
	breaker *breaker.Breaker // nil: there is none
}

// gate makes the gate of a binding; nil if it needs none.
func (b *bound) gate(spec function.DataBinding) data.Gate {
	if w := spec.Breaker; w != nil {
		b.layers.breaker = breaker.New(cmp.Or(w.Failures, breakFailures), cmp.Or(w.Pause.Std(), breakPause))
	}
	if spec.Breaker == nil && (spec.Required == nil || *spec.Required) {
		return nil
	}
	return &gate{&b.opened, b.layers.breaker}
}

// Pass implements [data.Gate].
func (g *gate) Pass() error {
	if !g.opened.Load() {
		return data.Errorf(data.Away, "it has not been reached yet")
	}
	if g.breaker == nil {
		return nil
	}
	return g.breaker.Pass()
}

// Passed implements [data.Gate].
func (g *gate) Passed(err error) {
	if g.breaker != nil {
		g.breaker.Passed(err)
	}
}

// followAgain is how long a cache waits before it follows a store again that told
// no more.
const followAgain = time.Second

// follow keeps a cache up to date, of a store that tells of changes.
func (l *layers) follow(ctx context.Context) {
	f, ok := l.cache.(interface {
		Follow(ctx context.Context) error
	})
	for ok && ctx.Err() == nil {
		if err := f.Follow(ctx); data.ReasonOf(err) == data.Unsupported {
			return
		}
		timer := time.NewTimer(followAgain)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

func (l *layers) report(r *Report) {
	if l.cache != nil {
		s := l.cache.Stats()
		r.Cache = &s
	}
	if l.batch != nil {
		s := l.batch.Stats()
		r.Batch = &s
	}
	if l.breaker != nil {
		r.Circuit, r.Opened = l.breaker.State(), l.breaker.Opened()
	}
}

func (l *layers) close() {
	if l.batch != nil {
		l.batch.Close()
	}
}
