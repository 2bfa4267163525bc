package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor/worker"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/trigger"
)

const (
	workers = 3
	batch   = 16              // events in one call of the function, at most
	wait    = 5 * time.Minute // for a worker
	long    = 30_000          // events from which on the form is the long one
)

// target is a pool of workers, and those who harm them.
type target struct {
	runtime.Runtime
	language  *language
	ledger    string // a byte per event: how often it ran
	scribbles string // a byte per scribble
	pool      *worker.Pool
	door      trigger.Handler // each event is a call of its own
	gathered  trigger.Handler // the function gets lists
	calls     atomic.Int64
	replaced  atomic.Int64 // workers of submitters

	mu           sync.Mutex
	victims      [workers + submitters]*os.Process // a handle, so that no other process is ever hit
	kills, stops int
}

func newTarget(t *testing.T, l *language, n int, handler string) *target {
	t.Helper()
	dir := t.TempDir()
	g := &target{language: l, ledger: filepath.Join(dir, "ledger"), scribbles: filepath.Join(dir, "scribbles")}
	if err := os.WriteFile(g.ledger, make([]byte, (n+4)&^3), 0o600); err != nil {
		t.Fatal(err)
	}
	set := runtime.Settings{Scratch: t.TempDir(), Log: slog.New(slog.DiscardHandler), FunctionLog: slog.New(slog.DiscardHandler), Calls: g}
	if l.dir != nil {
		set.Dir = l.dir(t)
	}
	set.Function.Metadata.Name = "soak"
	set.Function.Spec.Handler = handler
	env := map[string]string{"LEDGER": g.ledger, "SCRIBBLES": g.scribbles, "HOSTILITY": l.hostility[0]}
	if n >= long {
		env["HOSTILITY"] = l.hostility[1]
	}
	for k, v := range env {
		set.Function.Spec.Env = append(set.Function.Spec.Env, function.EnvVar{Name: k, Value: v})
		t.Setenv(k, v) // for functions of this process
	}
	var err error
	if g.Runtime, err = l.factory.New(set, json.RawMessage(l.attrs)); err != nil {
		t.Fatal(err)
	}
	return g
}

// Do implements runtime.Caller: it answers each call with its body, some late.
func (g *target) Do(ctx context.Context, c *runtime.Call, answer *event.Response) error {
	if c.Kind != runtime.CallFunction || c.Name != "echo" {
		return event.Errorf(404, "call of %q", c.Name)
	}
	if n := g.calls.Add(1); n%16 == 0 {
		select {
		case <-time.After(time.Duration(n%64) * 20 * time.Microsecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	answer.ContentType = c.ContentType
	answer.Body = append(answer.Body, c.Body...)
	return nil
}

// Open implements runtime.Runtime: it notes whom to harm.
func (g *target) Open(ctx context.Context, w runtime.Worker) (runtime.Instance, error) {
	in, err := g.Runtime.Open(ctx, w)
	if err != nil {
		return nil, err
	}
	process, ok := in.(interface{ Pid() int })
	if !ok {
		return in, nil
	}
	p, err := os.FindProcess(process.Pid())
	if err != nil {
		return in, nil // it died at once: nobody to harm
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if old := g.victims[w.ID]; old != nil {
		_ = old.Release()
	}
	g.victims[w.ID] = p
	return in, nil
}

func (g *target) open(t *testing.T) {
	t.Helper()
	g.pool = worker.New(g, worker.Options{Size: workers, EventTimeout: g.language.timeout, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := g.pool.Open(ctx); err != nil {
		t.Fatal(err)
	}
	g.door = g.pool.For(wait, nil)
	g.gathered = g.pool.ForBatches(wait, nil, worker.Batching{Size: batch, Wait: time.Millisecond})
}

func (g *target) close(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, p := range g.victims {
		if p != nil {
			_ = p.Signal(syscall.SIGCONT) // what was stopped last ends in order as well
		}
	}
	_ = g.pool.Close(ctx) // one that hostile code keeps busy has to be killed, which is no error here
	for _, p := range g.victims {
		if p != nil {
			_ = p.Release()
		}
	}
}

func (g *target) restarts() int { return g.pool.Stats().Restarts + int(g.replaced.Load()) }

func (g *target) scribbled() int64 {
	st, err := os.Stat(g.scribbles)
	if err != nil {
		return 0
	}
	return st.Size()
}

// harass kills or stops a worker now and then.
func (g *target) harass(r *rand.Rand, pause time.Duration, stop chan struct{}) {
	if g.language.pause == 0 {
		return
	}
	for {
		select {
		case <-stop:
			return
		case <-time.After(20*time.Millisecond + time.Duration(r.Int64N(int64(pause)))):
		}
		g.mu.Lock()
		if p := g.victims[r.IntN(len(g.victims))]; p != nil {
			if r.IntN(4) == 0 {
				_ = p.Signal(syscall.SIGSTOP)
				g.stops++
			} else {
				_ = p.Kill()
				g.kills++
			}
		}
		g.mu.Unlock()
	}
}

// harm tells what was done to the workers.
func (g *target) harm() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	own := 0
	for _, p := range g.victims {
		if p != nil {
			own += anonymous(strconv.Itoa(p.Pid))
		}
	}
	return fmt.Sprintf("%d kills, %d stops, %d workers replaced, %d scribbles, %d calls; workers have %d MiB",
		g.kills, g.stops, g.restarts(), g.scribbled(), g.calls.Load(), own>>10)
}

// anonymous is how many KiB of its own a process has, 0 if it is gone.
func anonymous(pid string) int {
	b, _ := os.ReadFile("/proc/" + pid + "/status")
	_, rest, _ := strings.Cut(string(b), "RssAnon:")
	if f := strings.Fields(rest); len(f) > 0 {
		n, _ := strconv.Atoi(f[0])
		return n
	}
	return 0
}

func TestMain(m *testing.M) {
	os.Exit(withCache(m.Run))
}

// withCache gives the compiled workers a directory of their own.
func withCache(run func() int) int {
	dir, err := os.MkdirTemp("", "myelin-cache-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Setenv("MYELIN_CACHE", dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return run()
}
