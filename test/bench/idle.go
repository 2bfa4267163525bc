package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"
)

// idle measures what a channel and its worker use when no event comes: there
// is no timer and no polling in either, so it has to be nothing. Beside it, a
// whole processor: its HTTP server keeps a clock that ticks each second.
func idle(o options) benchmark {
	const name, title, goal = "channel-idle", "CPU time in 5 s without an event: the channel and its Python worker", "0 ms (below 0.5)"
	return benchmark{name: name, title: title, goal: goal, group: "channel", measure: func(ctx context.Context) (Result, error) {
		r := Result{Name: name, Title: title, Goal: goal, Unit: "ms", Reference: 0.5}
		alone, err := idleChannel(ctx, min(o.rounds, 3))
		if err != nil {
			return r, err
		}
		whole, err := idleProcessor(ctx, o, min(o.rounds, 3))
		if err != nil {
			return r, err
		}
		r.Sides = []Series{{Name: "channel and worker", Values: alone}, {Name: "a whole processor", Values: whole}}
		r.Value = median(alone)
		r.Ratio = r.Value / r.Reference
		for _, v := range alone {
			r.Ratios = append(r.Ratios, v/r.Reference)
		}
		r.Met = r.Value < r.Reference
		return r, nil
	}}
}

// idleChannel measures a process that has a worker and does nothing else; it
// is this program again, because who measures is not idle.
func idleChannel(ctx context.Context, rounds int) ([]float64, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-idle")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}()
	if _, err := fmt.Fscanln(out); err != nil { // it is ready
		return nil, fmt.Errorf("await idle process: %w", err)
	}
	return idleFor(rounds, cmd.Process.Pid), nil
}

// stayIdle is that process: it serves a few calls and then waits for its end.
func stayIdle() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	in, err := channelSide("ok", 1, 0, 1).open(context.Background())
	if err != nil {
		return err
	}
	if _, _, err := crowd(ctx, in, caller{flight: 1}, settle); err != nil {
		return joined(err, in.close())
	}
	debug.FreeOSMemory() // so that no collection falls into the measurement
	fmt.Println()
	<-ctx.Done()
	return in.close()
}

func idleProcessor(ctx context.Context, o options, rounds int) ([]float64, error) {
	work, err := os.MkdirTemp("", "myelin-idle-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	srv, err := functionSide(o, work, "Python", "python", "ok").start(ctx)
	if err != nil {
		return nil, err
	}
	defer srv.stop()
	return idleFor(rounds, srv.cmd.Process.Pid), nil
}

// idleFor returns the milliseconds that pid and its children ran in each five
// seconds, after two for what came before.
func idleFor(rounds, pid int) (out []float64) {
	time.Sleep(2 * time.Second)
	for range rounds {
		before := ran(pid)
		time.Sleep(5 * time.Second)
		out = append(out, float64(ran(pid)-before)/1e6)
	}
	return out
}

// ran is the time that the threads of pid and its children were on a
// processor, in nanoseconds, which is finer than cpuTime.
func ran(pid int) (total int64) {
	for _, p := range family(pid) {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p))
		for _, name := range files {
			b, _ := os.ReadFile(name)
			var ns int64
			_, _ = fmt.Fscan(strings.NewReader(string(b)), &ns)
			total += ns
		}
	}
	return total
}
