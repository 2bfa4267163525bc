package python

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/exec"
	"github.com/myelin-run/myelin/runtime/shm"
	"github.com/myelin-run/myelin/runtime/workercache"
)

// Runtime holds one Python function. The first Open finds the interpreter and
// the compiled worker; the others use what it found.
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
	fast  bool   // its native form is there
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
		return nil, fmt.Errorf("open python worker: %w", err)
	}
	return in, nil
}

// Warm implements [runtime.Warmer]: the interpreter runs and has loaded all but
// the function.
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
		Env:         exec.Environ(r.set.Function),
		Dir:         source,
		Limits:      r.cfg.limits().ForBatches(r.set.Function.Spec.LargestBatch()),
		AsyncDepth:  r.cfg.AsyncConcurrency,
		Memory:      r.memory,
		Spin:        r.spin.For(w.ID),
		Stay:        r.spin.Calls(w.ID) > 0,
		Log:         r.set.Log.With("worker", w.ID),
		FunctionLog: r.set.FunctionLog.With("worker", w.ID),
		Calls:       r.set.Calls,
	}
}

// bootstrap runs the worker as a module, so that its byte code is used. The
// working directory, which is the function's, is left out of where it looks.
const bootstrap = `import sys; sys.path[:] = [sys.argv.pop(1)] + [p for p in sys.path if p]; import _myelin_main; sys.exit(_myelin_main.main())`

func (r *Runtime) arguments(w runtime.Worker, source string) []string {
	site := filepath.Join(r.set.Dir, "site-packages")
	if fi, err := os.Stat(site); err != nil || !fi.IsDir() {
		site = ""
	}
	native := "0"
	if r.fast {
		native = "1"
	}
	return []string{"-B", "-c", bootstrap, filepath.Join(r.dir, "worker"),
		"handler=" + r.set.Function.Spec.Handler, "source=" + source, "site=" + site,
		"sdk=" + filepath.Join(r.dir, "sdk"), "native=" + native,
		"spin=" + strconv.FormatInt(r.spin.Nanoseconds(w.ID), 10), "call_spin=" + strconv.FormatInt(r.spin.Calls(w.ID), 10), "worker=" + strconv.Itoa(w.ID), "trigger_kind=" + w.TriggerKind, "trigger_name=" + w.TriggerName,
		"namespace=" + r.set.Function.Metadata.Namespace, "bindings=" + runtime.TellBindings(r.set.Bindings), "level=" + strconv.Itoa(int(lowest(r.set.FunctionLog)))}
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

// findWorker looks for a compiled worker in the cache, then compiles one there
// or, if the cache is closed to this user, in the scratch directory. Failing
// that, the worker runs in pure Python, and the log says why.
func (r *Runtime) findWorker(ctx context.Context) error {
	places, err := workercache.Places(r.set.Scratch)
	problems := []error{err}
	for _, base := range places {
		dir, err := install(base)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if r.dir == "" {
			r.dir = dir
		}
		if !r.cfg.Native {
			return nil
		}
		err = nil
		if !hasNative(dir, r.it) {
			if err = compile(ctx, dir, r.it); err == nil {
				r.set.Log.Info("compiled the python worker", "interpreter", r.it.path, "cache", base)
			}
		}
		if err == nil {
			r.dir, r.fast = dir, true
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("compile python worker: %w", ctx.Err())
		}
		problems = append(problems, err)
	}
	err = errors.Join(problems...)
	if r.dir == "" {
		return fmt.Errorf("install python worker: %w", err)
	}
	r.set.Log.Warn("the python worker is not compiled, so the function runs with a slower one; "+
		"to mend it, install a C compiler and python's headers, or set MYELIN_CACHE to a writable directory",
		"interpreter", r.it.path, "error", err.Error())
	return nil
}
