package gateway

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/gateway/access"
	"github.com/myelin-run/myelin/gateway/front"
	"github.com/myelin-run/myelin/gateway/later"
	"github.com/myelin-run/myelin/gateway/meter"
	"github.com/myelin-run/myelin/gateway/once"
	"github.com/myelin-run/myelin/gateway/upstream"
)

const (
	// TargetHeader names the function, instead of the path.
	TargetHeader = "X-Nuclio-Target"
	maxTable     = 64 << 20
	// settleTime bounds the wait for requests that chose an old connection
	// and were not answered yet. What is older has long been read.
	settleTime = time.Second
)

// router answers calls by the present table.
type router struct {
	log    *slog.Logger
	told   chan struct{} // closed at the first table
	state  atomic.Pointer[state]
	mu     sync.Mutex // one change of state at a time
	fetch  *http.Client
	meters meter.Meters
	access *access.Log // nil: off
	kept   *once.Store[*front.Kept]
	// answers keeps those of kept on the disk; nil: there is no directory for it.
	answers *once.Log
	later   *later.Store // nil: there is no directory for it
	secure  bool         // there is TLS
}

// state is a table, prepared, and the connections that belong to it. It never
// changes.
type state struct {
	*route.Matcher
	edition route.Edition
	pools   map[route.Key]*pool
	rules   map[ruleKey]*rule
	guarded map[route.Key]bool // functions that have a route with authentication; of no version
}

// pool is the connections to one generation of a deployment.
type pool struct {
	*upstream.Pool
	address, generation string
	asleep              atomic.Bool  // the deployment is, as the table says
	held                atomic.Int64 // requests that came while the deployment slept, and are not answered
}

func newRouter(log *slog.Logger) *router {
	return &router{log: log, told: make(chan struct{}), fetch: fetcher(), kept: once.New[*front.Kept](mostKept, mostKeptBytes)}
}

// admin takes the route table.
func (g *router) admin() http.Handler {
	mux := http.NewServeMux()

	mux.HandleFunc("PUT /routes", func(w http.ResponseWriter, r *http.Request) {
		var t route.Table
		if err := json.NewDecoder(io.LimitReader(r.Body, maxTable)).Decode(&t); err != nil {
			problem.New(http.StatusBadRequest, "read routes: "+err.Error()).Write(w)
			return
		}
		g.set(r.Context(), t)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("PATCH /routes", func(w http.ResponseWriter, r *http.Request) {
		var d route.Diff
		if err := json.NewDecoder(io.LimitReader(r.Body, maxTable)).Decode(&d); err != nil {
			problem.New(http.StatusBadRequest, "read routes: "+err.Error()).Write(w)
			return
		}
		if !g.change(r.Context(), d) {
			problem.New(http.StatusConflict, "the table here is not the one that the difference is to: send the whole").Write(w)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(Stats{PID: os.Getpid(), Samples: g.meters.Select(about(r.URL.Query()))})
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_ = g.meters.WritePrometheus(w) // a reader that went away is told nothing
	})
	return mux
}

// about says which samples a query wants: those of ?function= in ?namespace=, or
// all.
func about(q url.Values) func(meter.Key) bool {
	f, ns := q.Get("function"), q.Get("namespace")
	return func(k meter.Key) bool { return (f == "" || f == k.Function) && (ns == "" || ns == k.Namespace) }
}

// Stats is what GET /stats on the admin socket answers. Counts are of this
// process: a gateway that takes over begins at nothing.
type Stats struct {
	PID     int            `json:"pid"`
	Samples []meter.Sample `json:"samples"`
}

// set makes t the table. When it returns, no request will be sent on a
// connection of a generation that is gone.
func (g *router) set(ctx context.Context, t route.Table) {
	g.mu.Lock()
	old := g.state.Load()
	next := &state{Matcher: route.Compile(t), edition: t.Edition, pools: make(map[route.Key]*pool, len(t.Deployments))}
	for i := range t.Deployments {
		next.connect(&t.Deployments[i], old)
	}
	g.rules(old, next)
	g.state.Store(next)
	g.keepMeters(next)
	if old == nil {
		close(g.told)
	}
	g.mu.Unlock()
	if old == nil {
		return
	}
	var left []*pool
	for key, p := range old.pools {
		if next.pools[key] != p {
			left = append(left, p)
		}
	}
	retire(ctx, left)
}

// change makes the table the one to which d leads, as set does, and touches
// nothing else. False: the table is not the one from which d leads.
func (g *router) change(ctx context.Context, d route.Diff) bool {
	g.mu.Lock()
	old := g.state.Load()
	if old == nil || old.edition != d.From || d.From == (route.Edition{}) {
		g.mu.Unlock()
		return false
	}
	next := &state{Matcher: old.With(d), edition: d.To, pools: old.pools, rules: old.rules, guarded: old.guarded}
	var left []*pool
	if len(d.Deployments)+len(d.GoneDeployments) > 0 {
		next.pools = maps.Clone(old.pools)
		for _, key := range d.GoneDeployments {
			delete(next.pools, key)
			left = append(left, old.pools[key])
		}
		for i := range d.Deployments {
			key := d.Deployments[i].Key()
			delete(next.pools, key)
			if next.connect(&d.Deployments[i], old); next.pools[key] != old.pools[key] {
				left = append(left, old.pools[key])
			}
		}
	}
	if len(d.Routes)+len(d.GoneRoutes) > 0 {
		g.rules(old, next)
	}
	g.state.Store(next)
	if len(d.GoneDeployments) > 0 {
		g.keepMeters(next)
	}
	g.mu.Unlock()
	retire(ctx, left)
	return true
}

// connect gives a deployment its connections: those that it had, if they lead
// to the same processes.
func (s *state) connect(d *route.Deployment, old *state) {
	if d.Address == "" {
		return
	}
	if had := old.pool(d.Key()); had != nil && had.address == d.Address && had.generation == d.Generation {
		s.pools[d.Key()] = had
	} else {
		s.pools[d.Key()] = &pool{Pool: upstream.New(d.Address), address: d.Address, generation: d.Generation}
	}
	s.pools[d.Key()].Sole(d.Replicas == 1)
	s.pools[d.Key()].asleep.Store(d.State == route.Asleep)
}

func (g *router) keepMeters(next *state) {
	g.meters.Keep(func(k meter.Key) bool {
		key := route.Key{Namespace: k.Namespace, Function: k.Function, Version: k.Version}
		return k.Version == "" || next.Deployment(key) != nil
	})
}

// retire waits until no request will be sent on connections that are no more.
func retire(ctx context.Context, left []*pool) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for _, p := range left {
		if p != nil {
			p.Retire(ctx)
		}
	}
}

func (s *state) pool(k route.Key) *pool {
	if s == nil {
		return nil
	}
	return s.pools[k]
}

// ServeHTTP answers a request of the standard library's server.
func (g *router) ServeHTTP(w http.ResponseWriter, r *http.Request) { front.ServeHTTP(g, w, r) }
