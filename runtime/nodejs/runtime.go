package nodejs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/exec"
	"github.com/myelin-run/myelin/runtime/shm"
)

// Runtime holds one JavaScript function. The first Open finds Node.js and the
// compiled worker; the others use what it found.
type Runtime struct {
	shm.Ahead
	set runtime.Settings
	cfg Config
	// memory is what each worker may use, nil for no limit.
	memory *exec.Memory
	spin   *shm.Spinning

	mu    sync.Mutex
	ready bool
	it    interpreter
	dir   string // the worker's files
}

// New makes the runtime and opens nothing.
func New(s runtime.Settings, c Config) (runtime.Runtime, error) {
	return &Runtime{set: s, cfg: c, memory: exec.NewMemory(s.Function.Spec.WorkerMemory.Bytes(), s.Log), spin: shm.NewSpinning(c.Spin, s.Log)}, nil
}

// Open starts a worker process and returns when the function is loaded and its
// init hook has run.
func (r *Runtime) Open(ctx context.Context, w runtime.Worker) (runtime.Instance, error) {
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	in, err := r.Ahead.Open(ctx, w, r.worker(w))
	if err != nil {
		return nil, fmt.Errorf("open node worker: %w", err)
	}
	return in, nil
}

// Warm implements [runtime.Warmer]: Node.js runs and has loaded all but the
// function.
func (r *Runtime) Warm(ctx context.Context, w runtime.Worker) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	return r.Begin(w, r.worker(w))
}

// worker says how the worker for w is started.
func (r *Runtime) worker(w runtime.Worker) shm.Options {
	source := exec.SourceDir(r.set.Dir)
	return shm.Options{
		Path:        r.it.path,
		Args:        r.arguments(w, source),
		Env:         r.environ(),
		Dir:         source,
		Limits:      r.cfg.limits().ForBatches(r.set.Function.Spec.LargestBatch()),
		AsyncDepth:  r.cfg.AsyncConcurrency,
		Memory:      r.memory,
		Spin:        r.spin.For(w.ID),
		Log:         r.set.Log.With("worker", w.ID),
		FunctionLog: r.set.FunctionLog.With("worker", w.ID),
		Calls:       r.set.Calls,
	}
}

func (r *Runtime) arguments(w runtime.Worker, source string) []string {
	async := ""
	if r.cfg.Async != nil {
		async = bit(*r.cfg.Async)
	}
	return append(r.options(), r.file("worker/main.js"),
		"addon="+r.file(addon), "handler="+r.set.Function.Spec.Handler, "source="+source, "async="+async, "bindings="+runtime.TellBindings(r.set.Bindings), "json="+bit(r.cfg.ParseJSON),
		"spin="+strconv.FormatInt(r.spin.Nanoseconds(w.ID), 10), "worker="+strconv.Itoa(w.ID), "trigger_kind="+w.TriggerKind, "trigger_name="+w.TriggerName,
		"level="+strconv.Itoa(int(lowest(r.set.FunctionLog))))
}

// options are those of the interpreter: a heap that collects its garbage before
// the worker's memory is used up, unless the function says otherwise.
func (r *Runtime) options() []string {
	options := slices.Clone(r.cfg.Options)
	named := func(o string) bool { return strings.Contains(strings.ReplaceAll(o, "_", "-"), "max-old-space-size") }
	if limit := r.set.Function.Spec.WorkerMemory.Bytes(); limit > 0 && !slices.ContainsFunc(options, named) {
		options = append(options, fmt.Sprintf("--max-old-space-size=%d", max(16, limit>>20*3/4)))
	}
	return options
}

func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// environ lets require find the SDK, after what the function's own NODE_PATH has.
func (r *Runtime) environ() []string {
	env, path := exec.Environ(r.set.Function), r.file("sdk")
	env = slices.DeleteFunc(env, func(v string) bool {
		own, ok := strings.CutPrefix(v, "NODE_PATH=")
		if ok && own != "" {
			path = own + ":" + path
		}
		return ok
	})
	return append(env, "NODE_PATH="+path)
}

// lowest is the lowest level that log takes, so that workers need not send what
// is thrown away.
func lowest(log *slog.Logger) slog.Level {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if log.Enabled(context.Background(), l) {
			return l
		}
	}
	return slog.LevelError + 1
}

func (r *Runtime) prepare(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ready {
		return nil
	}
	wanted := r.cfg.Interpreter
	if _, version, ok := strings.Cut(r.set.Function.Spec.Runtime, ":"); ok && wanted == "" {
		wanted = version
	}
	if path := recorded(r.set.Dir); path != "" && r.cfg.Interpreter == "" {
		wanted = path
	}
	it, err := findInterpreter(ctx, wanted)
	if err != nil {
		return err
	}
	r.it = it
	if err := r.findWorker(ctx); err != nil {
		return err
	}
	r.ready = true
	return nil
}
