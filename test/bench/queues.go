package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor/worker"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
)

// Of each queue benchmark.
const (
	queuePrefetch = 256
	queueBody     = 1024
	queueWorkers  = 4
)

// messages is a queue at a broker that a side empties.
type messages interface {
	// fill puts n messages in, with a pause before each. A message begins with
	// the time.
	fill(ctx context.Context, n int, pause time.Duration) error
	// trigger is the subject: the spec of a trigger that reads them.
	trigger() (trigger.Factory, function.Trigger)
	// bare is the reference: it calls seen with each message and acks it, until
	// ctx is done.
	bare(ctx context.Context, seen func([]byte)) error
}

// queues are the benchmarks of triggers of the class queue with a Go function,
// against the client library alone: with RabbitMQ and JetStream of the same
// prefetch and acking each message, with Redis reading and acking 64 at once.
func queues(o options) []benchmark {
	type row struct {
		name, title string
		goal        float64 // 0: none
		open        func(context.Context, servers.T) (messages, error)
	}
	var out []benchmark
	for _, r := range []row{
		{"rabbitmq-go", "RabbitMQ to a native Go handler, 1 KiB, prefetch 256, manual acks", 0.8, openRabbit},
		{"nats-go", "NATS JetStream to a native Go handler, 1 KiB, 256 ahead, each acked", 0.8, openNATS},
		{"redis-go", "Redis Streams to a native Go handler, 1 KiB, reads of 64", 0, openRedis},
	} {
		goal := "beside the bare client"
		if r.goal > 0 {
			goal = fmt.Sprintf(">= %.1f of the bare client", r.goal)
		}
		out = append(out, benchmark{name: r.name, title: r.title, goal: goal, group: "queue", measure: func(ctx context.Context) (Result, error) {
			h := &holder{}
			defer h.end()
			m, err := r.open(ctx, h)
			if err != nil {
				return Result{}, err
			}
			if h.err != nil {
				return Result{}, h.err
			}
			res, err := compareQueue(ctx, o, m)
			res.Name, res.Title, res.Goal, res.Unit = r.name, r.title, goal, "messages/s"
			res.Met = res.Ratio >= r.goal
			return res, err
		}})
	}
	return out
}

// compareQueue lets both sides in turn empty a queue that was filled before.
func compareQueue(ctx context.Context, o options, m messages) (res Result, err error) {
	res.Sides = []Series{{Name: "Myelin, Go"}, {Name: "bare client"}}
	sides := []consumer{func(ctx context.Context, seen func([]byte)) error { return serveQueue(ctx, m, seen) }, m.bare}
	n := 10_000 * o.seconds
	for round := range o.rounds {
		for turn := range 2 {
			i := (round + turn) % 2
			if err := m.fill(ctx, n, 0); err != nil {
				return res, fmt.Errorf("fill queue: %w", err)
			}
			time.Sleep(settle)
			rate, err := emptied(ctx, n, sides[i])
			if err != nil {
				return res, fmt.Errorf("%s: %w", res.Sides[i].Name, err)
			}
			times, err := delaysIn(ctx, m, sides[i], 250*o.seconds)
			if err != nil {
				return res, fmt.Errorf("%s: %w", res.Sides[i].Name, err)
			}
			s := &res.Sides[i]
			s.Values = append(s.Values, rate)
			s.P50, s.P99 = append(s.P50, times[len(times)/2].Seconds()*1000), append(s.P99, times[len(times)*99/100].Seconds()*1000)
		}
		res.Ratios = append(res.Ratios, res.Sides[0].Values[round]/res.Sides[1].Values[round])
	}
	res.Value, res.Reference, res.Ratio = median(res.Sides[0].Values), median(res.Sides[1].Values), median(res.Ratios)
	return res, nil
}

// emptied is how many messages a second a side has seen, from the first to the
// last.
func emptied(ctx context.Context, n int, consume consumer) (float64, error) {
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute)
	defer stop()
	var mu sync.Mutex
	var first, last time.Time
	count := 0
	err := consume(ctx, func([]byte) {
		mu.Lock()
		defer mu.Unlock()
		switch count++; count {
		case 1:
			first = time.Now()
		case n:
			last = time.Now()
			stop()
		}
	})
	mu.Lock()
	defer mu.Unlock()
	if err != nil || count < n {
		return 0, fmt.Errorf("%d of %d messages came: %w", count, n, err)
	}
	return float64(n-1) / last.Sub(first).Seconds(), nil
}

// delaysIn are how long after they were sent messages are in the handler, of
// messages that come 2 ms after each other, in the order of their length.
func delaysIn(ctx context.Context, m messages, consume consumer, n int) ([]time.Duration, error) {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	const warm = 50
	all := make(chan time.Duration, n+warm)
	ended := make(chan error, 1)
	go func() { ended <- consume(ctx, func(b []byte) { all <- time.Since(stamped(b)) }) }()
	err := m.fill(ctx, n+warm, 2*time.Millisecond)
	var times []time.Duration
	for err == nil && len(times) < n+warm {
		select {
		case d := <-all:
			times = append(times, d)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		return nil, err
	}
	times = times[warm:]
	slices.Sort(times)
	return times, nil
}

func stamp(body []byte) { binary.LittleEndian.PutUint64(body, uint64(time.Now().UnixNano())) }

func stamped(body []byte) time.Time { return time.Unix(0, int64(binary.LittleEndian.Uint64(body))) }

type consumer func(ctx context.Context, seen func([]byte)) error

// serveQueue is the trigger of a queue.
func serveQueue(ctx context.Context, m messages, seen func([]byte)) error {
	factory, spec := m.trigger()
	spec.Prefetch = queuePrefetch
	return serveTrigger(ctx, factory, spec, seen)
}

// serveTrigger is a trigger with a pool of a Go function.
func serveTrigger(ctx context.Context, factory trigger.Factory, spec function.Trigger, seen func([]byte)) error {
	rt, err := goRuntime(func(_ *myelin.Context, ev *myelin.Event, _ *myelin.Response) error {
		seen(ev.Body)
		return nil
	})
	if err != nil {
		return err
	}
	spec.NumWorkers = queueWorkers
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	trg, err := factory.New(trigger.Settings{Name: "in", Function: "bench", Spec: spec, Workers: queueWorkers, Log: log}, spec.Attributes)
	if err != nil {
		return err
	}
	pool := worker.New(rt, worker.Options{Size: queueWorkers, Log: log})
	if err := pool.Open(ctx); err != nil {
		return err
	}
	err = trg.Run(ctx, pool.For(10*time.Second, nil))
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if e := pool.Close(end); err == nil {
		err = e
	}
	return err
}

func attributes(m map[string]any) json.RawMessage {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // of texts and numbers
	}
	return b
}

// holder is what a server is started for, instead of a test.
type holder struct {
	ends []func()
	err  error
}

// Helper and the others implement servers.T.
func (h *holder) Helper()          {}
func (h *holder) Cleanup(f func()) { h.ends = append(h.ends, f) }
func (h *holder) Failed() bool     { return h.err != nil }

// Logf says nothing: the error has what matters.
func (h *holder) Logf(string, ...any) {}

// Fatalf does not return, as its contract has it.
func (h *holder) Fatalf(format string, args ...any) { panic(fatal{fmt.Errorf(format, args...)}) }

type fatal struct{ error }

// TempDir makes a directory that goes in the end.
func (h *holder) TempDir() string {
	dir, err := os.MkdirTemp("", "myelin-bench-server-")
	if err != nil {
		h.Fatalf("make directory: %v", err)
	}
	h.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// end undoes what was done, the last first.
func (h *holder) end() {
	for _, f := range slices.Backward(h.ends) {
		f()
	}
}

// start starts a server; that it cannot is an error here.
func start(h servers.T, how func(servers.T, ...servers.Option) *servers.Server) (s *servers.Server, err error) {
	defer func() {
		if p := recover(); p != nil {
			f, ok := p.(fatal)
			if !ok {
				panic(p)
			}
			err = f
		}
	}()
	return how(h), nil
}
