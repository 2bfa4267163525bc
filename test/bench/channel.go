package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/processor/worker"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/python"
)

// invoker is a worker of either side, or a pool of them.
type invoker struct {
	invoke func(context.Context, *event.Event, *event.Response) error
	pids   func() []int // of its processes besides this one
	close  func() error
	lender event.Lender // nil if it lends nothing
}

// caller is one side of a comparison without HTTP.
type caller struct {
	name   string
	flight int // calls in flight
	body   int
	// content is the body itself, if it is not as many zeros.
	content []byte
	open    func(context.Context) (*invoker, error)
}

// channels are the benchmarks of the shared-memory channel, without HTTP,
// against a worker that speaks msgpack over a socket.
func channels(o options) []benchmark {
	type row struct {
		name, title       string
		function, handler string // Myelin's, and the baseline's, which has no views
		flight, body      int
		goal              float64
	}
	var out []benchmark
	for _, r := range []row{
		{"python-0-vs-msgpack-socket", "Channel to a Python worker, empty body, 64 in flight", "ok", "ok", 64, 0, 30},
		{"python-1k-vs-msgpack-socket", "Channel to a Python worker, 1 KiB, 64 in flight", "ok", "ok", 64, 1 << 10, 30},
		{"python-64k-vs-msgpack-socket", "Channel to a Python worker, 64 KiB, 64 in flight", "ok", "ok", 64, 64 << 10, 15},
		{"channel-echo-64k", "Channel, echo of 64 KiB as bytes, 16 in flight", "echo", "echo", 16, 64 << 10, 30},
		{"channel-echo-1m", "Channel, echo of 1 MiB as bytes, 16 in flight", "echo", "echo", 16, 1 << 20, 30},
		{"channel-view-1m", "Channel, echo of 1 MiB by view, 16 in flight", "view", "echo", 16, 1 << 20, 30},
		{"channel-lent-1m", "Channel, echo of 1 MiB by view in lent memory, 4 in flight", "view", "echo", 4, 1 << 20, 30},
	} {
		goal := fmt.Sprintf(">= %g of a msgpack socket, one in flight", r.goal)
		out = append(out, benchmark{name: r.name, title: r.title, goal: goal, group: "channel", measure: func(ctx context.Context) (Result, error) {
			side := channelSide(r.function, r.flight, r.body, 1)
			if strings.HasPrefix(r.name, "channel-lent") {
				side = lent(side)
			}
			res, err := compareCalls(ctx, o, side, socketSide(o, r.handler, r.body), rateOf)
			res.Name, res.Title, res.Goal, res.Unit = r.name, r.title, goal, "calls/s"
			res.Met = res.Ratio >= r.goal
			return res, err
		}})
	}
	return append(out, latency(o, "p50", 0.5), latency(o, "p99", 0.7), oneLimit(o), spinning(o), twoWorkers(o), idle(o))
}

// latency compares the time of a call when nothing else is in flight, so that
// both sides sleep between calls.
func latency(o options, which string, most float64) benchmark {
	name, goal := "channel-one-"+which, fmt.Sprintf("<= %g of a msgpack socket", most)
	title := "Channel, 1 KiB, one in flight, both sides asleep before: " + which
	return benchmark{name: name, title: title, goal: goal, group: "channel", measure: func(ctx context.Context) (Result, error) {
		value := func(f figures) float64 { return f.p50 * 1000 }
		if which == "p99" {
			value = func(f figures) float64 { return f.p99 * 1000 }
		}
		res, err := compareCalls(ctx, o, channelSide("ok", 1, 1024, 1), socketSide(o, "ok", 1024), value)
		res.Name, res.Title, res.Goal, res.Unit = name, title, goal, "us"
		res.Met = res.Ratio <= most
		return res, err
	}}
}

// spinning is the time of a call when both sides wait for each other awake,
// against the limit that the project set itself.
func spinning(o options) benchmark {
	const name, title, most = "channel-python-spin-p50", "Channel, 1 KiB, one in flight, both sides spin: p50", 3.0
	goal := fmt.Sprintf("<= %g us", most)
	return benchmark{name: name, title: title, goal: goal, group: "channel", measure: func(ctx context.Context) (Result, error) {
		side := pythonChannel("ok", 1, 1024, 1, `{"spin": true}`)
		r := Result{Name: name, Title: title, Goal: goal, Unit: "us", Reference: most, Sides: []Series{{Name: side.name}}}
		for range o.rounds {
			f, err := call(ctx, side, time.Duration(o.seconds)*time.Second)
			if err != nil {
				return r, err
			}
			s := &r.Sides[0]
			s.Values, s.CPU = append(s.Values, f.p50*1000), append(s.CPU, f.cpu)
			s.P50, s.P99 = append(s.P50, f.p50), append(s.P99, f.p99)
			r.Ratios = append(r.Ratios, f.p50*1000/most)
		}
		r.Value = median(r.Sides[0].Values)
		r.Ratio = r.Value / most
		r.Met = r.Value <= most
		return r, nil
	}}
}

// twoWorkers compares a pool of two workers with a pool of one.
func twoWorkers(o options) benchmark {
	const name, title, goal = "channel-two-workers", "Two workers against one, a handler that computes for 1 ms, 8 callers", ">= 1.7 of one worker"
	return benchmark{name: name, title: title, goal: goal, group: "channel", measure: func(ctx context.Context) (Result, error) {
		two, one := channelSide("compute", 8, 0, 2), channelSide("compute", 8, 0, 1)
		two.name, one.name = "two workers", "one worker"
		res, err := compareCalls(ctx, o, two, one, rateOf)
		res.Name, res.Title, res.Goal, res.Unit = name, title, goal, "calls/s"
		res.Met = res.Ratio >= 1.7
		return res, err
	}}
}

func rateOf(f figures) float64 { return f.rate }

// channelSide is the Python runtime of Myelin as a processor uses it, its
// workers behind a pool if there are several, or their handler slow.
func channelSide(function string, flight, body, workers int) caller {
	return pythonChannel(function, flight, body, workers, "{}")
}

func pythonChannel(function string, flight, body, workers int, attributes string) caller {
	open := func(ctx context.Context) (*invoker, error) {
		rt, err := newPython(function, attributes)
		if err != nil {
			return nil, err
		}
		pids := func() []int { return family(os.Getpid())[1:] }
		if function == "compute" {
			p := worker.New(rt, worker.Options{Size: workers, Log: slog.New(slog.DiscardHandler)})
			if err := p.Open(ctx); err != nil {
				return nil, err
			}
			h := p.For(time.Minute, nil)
			return &invoker{h.Handle, pids, func() error { return p.Close(ctx) }, nil}, nil
		}
		in, err := rt.Open(ctx, runtime.Worker{TriggerKind: "http", TriggerName: "web"})
		if err != nil {
			return nil, err
		}
		l, _ := in.(event.Lender)
		return &invoker{in.Invoke, pids, func() error { return in.Close(ctx) }, l}, nil
	}
	return caller{name: "Myelin's channel", flight: flight, body: body, open: open}
}

// lent is c that calls as the HTTP trigger does: the body is copied once, into
// memory that the instance lends, as a read from a socket would be, and the
// answer is taken where it lies.
func lent(c caller) caller {
	open := c.open
	c.open = func(ctx context.Context) (*invoker, error) {
		in, err := open(ctx)
		if err != nil || in.lender == nil {
			return nil, cmp.Or(err, errors.New("the worker lends no memory"))
		}
		invoke := in.invoke
		in.invoke = func(ctx context.Context, ev *event.Event, resp *event.Response) error {
			loan := in.lender.Lend(len(ev.Body))
			if loan == nil {
				return errors.New("no memory is lent")
			}
			defer loan.Release()
			e := *ev
			e.Body, e.Loan = loan.Bytes(), loan
			copy(e.Body, ev.Body)
			resp.Takes = event.TakesViews
			return invoke(ctx, &e, resp)
		}
		return in, nil
	}
	return c
}

func newPython(function, attributes string) (runtime.Runtime, error) {
	dir, err := filepath.Abs("test/bench/functions/" + function + "-python")
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	set := runtime.Settings{Dir: dir, Log: log, FunctionLog: log}
	set.Function.Metadata.Name = function
	set.Function.Spec.Handler = function + ":handler"
	return python.Factory().New(set, json.RawMessage(attributes))
}

// socketSide is the baseline with the same function.
func socketSide(o options, function string, body int) caller {
	return caller{name: "msgpack socket", flight: 1, body: body, open: func(ctx context.Context) (*invoker, error) {
		b, err := startBaseline(ctx, o.python, "test/bench/functions/"+function+"-python", function+":handler")
		if err != nil {
			return nil, err
		}
		return &invoker{b.Invoke, func() []int { return []int{b.cmd.Process.Pid} }, b.Close, nil}, nil
	}}
}

// compareCalls is compare without HTTP: one side at a time is open, so that
// each has the machine for itself.
func compareCalls(ctx context.Context, o options, subject, reference caller, value func(figures) float64) (res Result, err error) {
	sides := []caller{subject, reference}
	res.Sides = []Series{{Name: subject.name}, {Name: reference.name}}
	for round := range o.rounds {
		for turn := range 2 {
			i := (round + turn) % 2
			f, err := call(ctx, sides[i], time.Duration(o.seconds)*time.Second)
			if err != nil {
				return res, fmt.Errorf("%s: %w", sides[i].name, err)
			}
			s := &res.Sides[i]
			s.Values, s.CPU = append(s.Values, value(f)), append(s.CPU, f.cpu)
			if f.p50 > 0 {
				s.P50, s.P99 = append(s.P50, f.p50), append(s.P99, f.p99)
			}
		}
		res.Ratios = append(res.Ratios, res.Sides[0].Values[round]/res.Sides[1].Values[round])
	}
	res.Value, res.Reference, res.Ratio = median(res.Sides[0].Values), median(res.Sides[1].Values), median(res.Ratios)
	return res, nil
}

// call opens a side, warms it up and loads it for d.
func call(ctx context.Context, c caller, d time.Duration) (f figures, err error) {
	in, err := c.open(ctx)
	if err != nil {
		return f, err
	}
	defer func() { err = joined(err, in.close()) }()
	if _, _, err := crowd(ctx, in, c, d/5); err != nil {
		return f, err
	}
	time.Sleep(settle)
	before, began := spent(in.pids()), time.Now()
	n, times, err := crowd(ctx, in, c, d)
	took := time.Since(began)
	if err != nil || n == 0 {
		return f, joined(err, fmt.Errorf("%d calls in %v", n, took))
	}
	f.rate = float64(n) / took.Seconds()
	f.cpu = (spent(in.pids()) - before).Seconds() * 1e6 / float64(n)
	if len(times) > 0 {
		slices.Sort(times)
		f.p50 = times[len(times)/2].Seconds() * 1000
		f.p99 = times[len(times)*99/100].Seconds() * 1000
	}
	return f, nil
}

func joined(err, then error) error {
	if err != nil {
		return err
	}
	return then
}

// crowd calls from c.flight goroutines for d, each time with a right answer,
// and returns how often, and the time of each call if one at a time.
func crowd(ctx context.Context, in *invoker, c caller, d time.Duration) (total int, times []time.Duration, first error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for range c.flight {
		wg.Go(func() {
			n, ts, err := callOn(ctx, in, c, end)
			mu.Lock()
			defer mu.Unlock()
			total += n
			times = append(times, ts...)
			first = joined(first, err)
		})
	}
	wg.Wait()
	return total, times, first
}

func callOn(ctx context.Context, in *invoker, c caller, end time.Time) (n int, times []time.Duration, err error) {
	ev := event.Event{Method: []byte("POST"), Path: []byte("/"), URL: []byte("/"), ID: []byte("0123456789abcdef"), Time: time.Now(),
		ContentType: []byte("text/plain"), Body: make([]byte, c.body), Source: &event.Source{Kind: "http", Class: "sync", Name: "web"}}
	if c.content != nil {
		ev.Body = c.content
	}
	var resp event.Response
	defer resp.Reset()
	for now := time.Now(); now.Before(end); n++ {
		resp.Reset()
		if err := in.invoke(ctx, &ev, &resp); err != nil {
			return n, nil, err
		}
		if got := len(resp.Body) + len(resp.View); got != 2 && got != c.body {
			return n, nil, fmt.Errorf("answer of %d bytes", got)
		}
		if c.flight > 1 && n%8 != 0 {
			continue // a clock costs as much as a share of a call
		}
		then := time.Now()
		if c.flight == 1 {
			times = append(times, then.Sub(now))
		}
		now = then
	}
	return n, times, nil
}

// spent is the processor time of this process and the others.
func spent(pids []int) time.Duration {
	var ru syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &ru) // cannot fail
	total := time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	for _, pid := range pids {
		total += cpuTime(pid)
	}
	return total
}
