package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/runtime/native"
	"github.com/myelin-run/myelin/runtime/python"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/test/servers"
)

// Of the benchmarks of keys.
const (
	boundKeys   = 1000
	keySize     = 1024
	keysAtOnce  = 10 // that one event reads
	goCallers   = 16
	pythonAhead = 8 // events on their way to the Python function
)

// bindings are the benchmarks of data bindings: the same reads and writes by a
// function through its binding, and by the client library of the service.
func bindings(o options) []benchmark {
	of := func(name, title, goal, unit string, measure func(context.Context, options, *holder) (Result, error)) benchmark {
		return benchmark{name: name, title: title, goal: goal, group: "binding", measure: func(ctx context.Context) (Result, error) {
			h := &holder{}
			defer h.end()
			res, err := measure(ctx, o, h)
			res.Name, res.Title, res.Goal, res.Unit = name, title, goal, unit
			return res, err
		}}
	}
	return []benchmark{
		of("kv-go", "Keys of 1 KiB in Redis, read by a Go function, 16 at once", ">= 0.95 of the bare client", "gets/s", keysInGo),
		of("kv-python", "Keys of 1 KiB in Redis, read one after the other in a Python handler", ">= 1.5 of redis-py in the handler", "gets/s", keysInPython(1.5, false)),
		of("kv-python-prefetch", "The same keys, prefetched", ">= 5 of redis-py in the handler", "gets/s", keysInPython(5, true)),
		of("table-batched", "Inserts into PostgreSQL as it is installed (fsync on), one by one in a Go handler, gathered", ">= 20 of inserts that are not gathered", "rows/s", inserts(true)),
		of("table-batched-nosync", "The same inserts, into a server that does not wait for its disk (fsync off)", ">= 20 of inserts that are not gathered", "rows/s", inserts(false)),
		of("object-view", "Objects of 1 MiB in a service like S3, read by view in a Python handler", "beside boto3 in the handler", "reads/s", objects),
		of("cache-hit-python", "A key that the cache has, read in a Python handler: p50", "<= 10 us", "us", cacheHits),
	}
}

// keyServer is a Redis with the keys.
func keyServer(ctx context.Context, h *holder) (*servers.Server, *redis.Client, error) {
	s, err := start(h, servers.Redis)
	if err != nil {
		return nil, nil, err
	}
	c := redis.NewClient(&redis.Options{Addr: s.Addr, PoolSize: 64})
	h.Cleanup(func() { _ = c.Close() })
	p := c.Pipeline()
	for i := range boundKeys {
		p.Set(ctx, keyOf(i), make([]byte, keySize), 0)
	}
	_, err = p.Exec(ctx)
	return s, c, err
}

func keyOf(i int) string { return "key-" + strconv.Itoa(i%boundKeys) }

// keysInGo reads as many keys in each event that what the event costs does not show.
func keysInGo(ctx context.Context, o options, h *holder) (res Result, err error) {
	s, client, err := keyServer(ctx, h)
	if err != nil {
		return res, err
	}
	const each = 200
	read := func(get func(key string) (int, error)) error {
		for i := range each {
			if n, err := get(keyOf(i)); err != nil || n != keySize {
				return fmt.Errorf("a key has %d bytes: %w", n, err)
			}
		}
		return nil
	}
	f := native.Of(func(c *myelin.Context, _ *myelin.Event, resp *myelin.Response) error {
		resp.Body = append(resp.Body[:0], "ok"...)
		kv := c.Bindings.KV("keys")
		return read(func(key string) (int, error) {
			v, err := kv.Get(c, key)
			return len(v.Data), err
		})
	}, nil)
	subject := hostedSide("Go function", goCallers, nil, func(ctx context.Context) (*hosted, error) {
		return startHosted(ctx, ".", function.Spec{Runtime: native.Kind, DataBindings: inRedis(s, function.DataBinding{})}, goCallers, native.Factory(f))
	})
	bare := func(ctx context.Context, _ *event.Event, resp *event.Response) error {
		resp.Body = append(resp.Body[:0], "ok"...)
		return read(func(key string) (int, error) {
			b, err := client.Get(ctx, key).Bytes()
			return len(b), err
		})
	}
	reference := caller{name: "bare client", flight: goCallers, open: func(context.Context) (*invoker, error) {
		return &invoker{bare, func() []int { return nil }, func() error { return nil }, nil}, nil
	}}
	res, err = compareCalls(ctx, o, subject, reference, func(f figures) float64 { return f.rate * each })
	res.Met = res.Ratio >= 0.95
	return res, err
}

func inRedis(s *servers.Server, b function.DataBinding) map[string]function.DataBinding {
	b.Class, b.Kind, b.URL = "kv", "redis", "redis://"+s.Addr
	return map[string]function.DataBinding{"keys": b}
}

// keysInPython has one handler read keys by the binding or by the client library.
func keysInPython(goal float64, prefetch bool) func(context.Context, options, *holder) (Result, error) {
	return func(ctx context.Context, o options, h *holder) (res Result, err error) {
		s, _, err := keyServer(ctx, h)
		if err != nil {
			return res, err
		}
		var keys []string
		var b function.DataBinding
		for i := range keysAtOnce {
			keys = append(keys, keyOf(37*i))
			if prefetch {
				b.Prefetch = append(b.Prefetch, function.Prefetch{Get: "{event.body.keys." + strconv.Itoa(i) + "}", Required: true})
			}
		}
		site, err := siteOf(ctx, o.python)
		if err != nil {
			return res, err
		}
		env := map[string]string{"BENCH_SITES": site, "BENCH_REDIS": s.Addr[strings.LastIndex(s.Addr, ":")+1:]}
		body := attributes(map[string]any{"keys": keys})
		subject := pythonHosted("binding", pythonAhead, body, "keys", inRedis(s, b), nil)
		reference := pythonHosted("redis-py", pythonAhead, body, "keys_client", nil, env)
		res, err = compareCalls(ctx, o, subject, reference, func(f figures) float64 { return f.rate * keysAtOnce })
		res.Met = res.Ratio >= goal
		return res, err
	}
}

// pythonHosted is a processor with a function of the Python file, one worker.
func pythonHosted(name string, flight int, body []byte, handler string, b map[string]function.DataBinding, env map[string]string) caller {
	return hostedSide(name, flight, body, func(ctx context.Context) (*hosted, error) {
		dir, err := filepath.Abs("test/bench/functions/bindings-python")
		if err != nil {
			return nil, err
		}
		spec := function.Spec{Runtime: "python", Handler: "bindings:" + handler, DataBindings: b}
		for k, v := range env {
			spec.Env = append(spec.Env, function.EnvVar{Name: k, Value: v})
		}
		return startHosted(ctx, dir, spec, 1, python.Factory())
	})
}

// siteOf is where a Python has its packages.
func siteOf(ctx context.Context, python string) (string, error) {
	out, err := exec.CommandContext(ctx, python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its packages: %w", python, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// cacheHits has the handler itself take the time.
func cacheHits(ctx context.Context, o options, h *holder) (res Result, err error) {
	const most = 10.0
	s, _, err := keyServer(ctx, h)
	if err != nil {
		return res, err
	}
	side := pythonHosted("Python handler", 1, nil, "hits", inRedis(s, function.DataBinding{Cache: &function.DataCache{TTL: quantity.Duration(time.Hour)}}), nil)
	in, err := side.open(ctx)
	if err != nil {
		return res, err
	}
	defer func() { err = joined(err, in.close()) }()
	res.Reference, res.Sides = most, []Series{{Name: side.name}}
	for range o.rounds {
		p50, err := hitsOnce(ctx, in)
		if err != nil {
			return res, err
		}
		res.Sides[0].Values = append(res.Sides[0].Values, p50)
		res.Ratios = append(res.Ratios, p50/most)
	}
	res.Value = median(res.Sides[0].Values)
	res.Ratio = res.Value / most
	res.Met = res.Value <= most
	return res, nil
}

func hitsOnce(ctx context.Context, in *invoker) (us float64, err error) {
	ev, resp := event.Event{Method: []byte("POST"), Source: &event.Source{Kind: "http", Class: "sync", Name: "web"}}, event.Response{}
	if err := in.invoke(ctx, &ev, &resp); err != nil {
		return 0, err
	}
	var ns float64
	if err := json.Unmarshal(resp.Body, &ns); err != nil {
		return 0, fmt.Errorf("read the handler's answer %q: %w", resp.Body, err)
	}
	return ns / 1000, nil
}
