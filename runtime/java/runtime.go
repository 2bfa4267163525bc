package java

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/exec"
	"github.com/myelin-run/myelin/runtime/shm"
)

// Runtime holds one Java function. The first Open finds Java and the compiled
// worker; the others use what it found.
type Runtime struct {
	shm.Ahead
	set runtime.Settings
	cfg Config
	// memory is what each worker may use, nil for no limit.
	memory *exec.Memory
	spin   *shm.Spinning

	mu    sync.Mutex
	ready bool
	m     machine
	dir   string // the worker's files
}

// New makes the runtime and opens nothing.
func New(s runtime.Settings, c Config) (runtime.Runtime, error) {
	return &Runtime{set: s, cfg: c, memory: exec.NewMemory(s.Function.Spec.WorkerMemory.Bytes(), s.Log), spin: shm.NewSpinning(c.Spin, s.Log)}, nil
}

// Open starts a virtual machine and returns when the function is loaded and its
// init hook has run.
func (r *Runtime) Open(ctx context.Context, w runtime.Worker) (runtime.Instance, error) {
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	in, err := r.Ahead.Open(ctx, w, r.worker(w))
	if err != nil {
		return nil, fmt.Errorf("open java worker: %w", err)
	}
	return in, nil
}

// Warm implements [runtime.Warmer]: the virtual machine runs and has loaded all
// but the function.
func (r *Runtime) Warm(ctx context.Context, w runtime.Worker) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	return r.Begin(w, r.worker(w))
}

// worker says how the worker for w is started.
func (r *Runtime) worker(w runtime.Worker) shm.Options {
	return shm.Options{
		Path:        r.m.java(),
		Args:        r.arguments(w),
		Env:         exec.Environ(r.set.Function),
		Dir:         exec.SourceDir(r.set.Dir),
		Limits:      r.cfg.limits().ForBatches(r.set.Function.Spec.LargestBatch()),
		AsyncDepth:  r.cfg.depth(),
		Log:         r.set.Log.With("worker", w.ID),
		FunctionLog: r.set.FunctionLog.With("worker", w.ID),
		Memory:      r.memory,
		Spin:        r.spin.For(w.ID),
		Calls:       r.set.Calls,
	}
}

func (r *Runtime) arguments(w runtime.Worker) []string {
	users := r.cfg.options()
	args := append(machineOptions(r.m, users), heapOption(r.set.Function, users)...)
	args = append(args, "-XX:+ExitOnOutOfMemoryError", "-XX:SharedArchiveFile="+r.m.archive(r.dir), "-Xlog:cds=off", "-Xlog:cds+dynamic=off")
	if r.set.Scratch != "" {
		args = append(args, "-XX:ErrorFile="+filepath.Join(r.set.Scratch, "java-crash-%p.log"))
	}
	args = append(append(args, users...), "-cp", r.m.classPath(r.dir), "run.myelin.worker.Main")
	async := ""
	if r.cfg.Async != nil {
		async = map[bool]string{false: "0", true: "1"}[*r.cfg.Async]
	}
	own, all := r.classes()
	return append(args,
		"native="+filepath.Join(r.dir, library), "classpath="+strings.Join(all, ":"), "own="+strings.Join(own, ":"),
		"handler="+r.set.Function.Spec.Handler, "function="+r.set.Function.Metadata.Name, "async="+async, "bindings="+runtime.TellBindings(r.set.Bindings), "threads="+strconv.Itoa(r.cfg.Threads), "spin="+strconv.FormatInt(r.spin.Nanoseconds(w.ID), 10),
		"worker="+strconv.Itoa(w.ID), "trigger_kind="+w.TriggerKind, "trigger_name="+w.TriggerName,
		"level="+strconv.Itoa(int(lowest(r.set.FunctionLog))))
}

// classes lists where the function's own classes are, and everything that it
// sees: those, the libraries, and the sources' directory for what else lies there.
func (r *Runtime) classes() (own, all []string) {
	for _, name := range []string{"classes", "function.jar"} {
		path := filepath.Join(r.set.Dir, name)
		if _, err := os.Stat(path); err == nil {
			own = append(own, path)
		}
	}
	libraries, _ := filepath.Glob(filepath.Join(r.set.Dir, "lib", "*.jar"))
	if len(own) == 0 {
		own = libraries
	}
	return own, slices.Concat(own, libraries, []string{exec.SourceDir(r.set.Dir)})
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
	if home := recorded(r.set.Dir); home != "" && r.cfg.Interpreter == "" {
		wanted = home
	}
	m, err := findMachine(wanted)
	if err != nil {
		return err
	}
	r.m = m
	if err := r.findWorker(ctx); err != nil {
		return err
	}
	r.ready = true
	return nil
}
