package redis

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/redisclient"
)

const (
	// lots is how many requests of several keys are on their way at once.
	lots = 2
	// most is how many keys go in one request, while values are small.
	most = 64
	// large is the mean size of values from which each goes by itself: those of
	// others would wait for it.
	large = 16 << 10
)

// gets reads keys for many callers: those that come while requests are on their
// way go together in the next one. Each request is made by one of its callers.
type gets struct {
	ask func(ctx context.Context, keys []string) ([][]byte, []error)

	mean    atomic.Int64 // size of the last values
	mu      sync.Mutex
	waiting []*get // those that lead stay until they begin
	flying  int    // requests on their way, and those that lead and have not begun
}

// get is one key that a caller waits for.
type get struct {
	key   string
	leads bool
	taken bool // it is in a request
	value []byte
	err   error
	told  chan bool // true: it is answered; false: it is to lead
}

func newGets(ask func(context.Context, []string) ([][]byte, []error)) *gets { return &gets{ask: ask} }

func (g *gets) get(ctx context.Context, key string) ([]byte, error) {
	if g.mean.Load() >= large {
		values, errs := g.ask(ctx, []string{key})
		g.weigh(values)
		return values[0], errs[0]
	}
	own := &get{key: key}
	g.mu.Lock()
	if g.flying < lots {
		g.flying++
		g.mu.Unlock()
		g.lead(ctx, own)
		return own.value, own.err
	}
	own.told = make(chan bool, 1)
	g.waiting = append(g.waiting, own)
	g.mu.Unlock()
	select {
	case answered := <-own.told:
		if !answered {
			g.lead(ctx, own)
			return own.value, own.err
		}
	case <-ctx.Done():
		g.leave(own)
		return nil, data.As(data.Timeout, ctx.Err())
	}
	if own.err != nil && ctx.Err() == nil && given(own.err) { // who led gave up, which says nothing of this key
		values, errs := g.ask(ctx, []string{key})
		return values[0], errs[0]
	}
	return own.value, own.err
}

// given reports whether a request ended since its caller gave it up.
func given(err error) bool { return data.ReasonOf(data.Classify(err)) == data.Timeout }

// lead makes one request, of own and of those that wait, and has others lead the
// next ones.
func (g *gets) lead(ctx context.Context, own *get) {
	g.mu.Lock()
	lot := []*get{own}
	own.taken = true
	g.waiting = slices.DeleteFunc(g.waiting, func(w *get) bool {
		if w == own {
			return true
		}
		if w.leads || len(lot) == most {
			return false
		}
		w.taken = true
		lot = append(lot, w)
		return true
	})
	g.mu.Unlock()
	defer g.landed(lot) // also if the client panics
	keys := make([]string, len(lot))
	for i, w := range lot {
		keys[i], w.err = w.key, data.Away
	}
	values, errs := g.ask(ctx, keys)
	for i, w := range lot {
		w.value, w.err = values[i], errs[i]
	}
	g.weigh(values)
}

// weigh keeps the mean size of values, the last ones above all.
func (g *gets) weigh(values [][]byte) {
	sum := 0
	for _, v := range values {
		sum += len(v)
	}
	had := g.mean.Load()
	g.mean.Store(had + (int64(sum/len(values))-had)/4)
}

// landed tells those whose request has ended, but its own caller.
func (g *gets) landed(lot []*get) {
	for _, w := range lot[1:] {
		w.told <- true
	}
	g.mu.Lock()
	g.flying--
	g.next()
	g.mu.Unlock()
}

// next has some that wait lead, as long as requests may begin. mu is held.
func (g *gets) next() {
	for _, w := range g.waiting {
		if g.flying == lots {
			return
		}
		if !w.leads {
			w.leads = true
			g.flying++
			w.told <- false
		}
	}
}

// leave gives up a key: if its caller was to lead, another does.
func (g *gets) leave(own *get) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if own.taken {
		return
	}
	g.waiting = slices.DeleteFunc(g.waiting, func(w *get) bool { return w == own })
	if own.leads {
		g.flying--
		g.next()
	}
}

// askAll reads keys with one connection.
func (s *store) askAll(ctx context.Context, keys []string) ([][]byte, []error) {
	values, errs := make([][]byte, len(keys)), make([]error, len(keys))
	db, err := s.DB()
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return values, errs
	}
	if len(keys) == 1 {
		values[0], errs[0] = db.Get(ctx, s.prefix+keys[0]).Bytes()
		return values, errs
	}
	said := make([]*redis.StringCmd, len(keys))
	_, _ = db.Pipelined(ctx, func(p redis.Pipeliner) error { // each has its own error
		for i, key := range keys {
			said[i] = p.Get(ctx, s.prefix+key)
		}
		return nil
	})
	for i, one := range said {
		values[i], errs[i] = one.Bytes()
	}
	return values, errs
}

// Get implements [data.KeyStore].
func (s *store) Get(ctx context.Context, key string) (data.Value, error) {
	return valueOf(s.gets.get(ctx, key))
}

// GetAll implements [data.KeysGetter].
func (s *store) GetAll(ctx context.Context, keys []string) ([]data.Value, []error) {
	all := make([]data.Value, len(keys))
	got, errs := s.askAll(ctx, keys)
	for i := range got {
		all[i], errs[i] = valueOf(got[i], errs[i])
	}
	return all, errs
}

func valueOf(b []byte, err error) (data.Value, error) {
	if err != nil {
		return data.Value{}, redisclient.Reason(err)
	}
	if b == nil {
		b = []byte{}
	}
	return data.Value{Data: b, Version: version(b)}, nil
}
