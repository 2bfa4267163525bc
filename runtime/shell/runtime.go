package shell

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/exec"
)

// Runtime holds one shell function.
type Runtime struct {
	set    runtime.Settings
	cfg    Config
	args   []string
	header []event.Field
	files  []files
}

// New makes the runtime and opens nothing.
func New(s runtime.Settings, c Config) (runtime.Runtime, error) {
	args, err := split(c.Arguments)
	if err != nil {
		return nil, err
	}
	r := &Runtime{set: s, cfg: c, args: args}
	for _, k := range slices.Sorted(maps.Keys(c.ResponseHeaders)) {
		r.header = append(r.header, event.Field{Key: k, Value: c.ResponseHeaders[k]})
	}
	r.files = filesOf(s.Handles)
	if c.Batch != "" {
		for _, f := range r.files {
			if f.of.Varies() {
				return nil, fmt.Errorf("batch: the binding %s lays out files by the event, and a list has many", f.name)
			}
		}
	}
	return r, nil
}

// Open finds the command. Nothing runs until an event comes.
func (r *Runtime) Open(_ context.Context, w runtime.Worker) (runtime.Instance, error) {
	source := exec.SourceDir(r.set.Dir)
	cmd, err := findCommand(r.set.Function.Spec.Handler, source)
	if err != nil {
		return nil, err
	}
	return &instance{
		Runtime: r, cmd: cmd, source: source,
		env:    exec.Environ(r.set.Function),
		log:    r.set.FunctionLog.With(slog.Int("worker", w.ID)),
		broken: make(chan struct{}),
	}, nil
}

// instance runs one process at a time.
type instance struct {
	*Runtime
	cmd    command
	source string
	env    []string
	log    *slog.Logger
	broken chan struct{}

	mu      sync.Mutex
	running *exec.Process
	killed  bool
	end     context.CancelFunc // of files on their way
}

// Broken is closed when the instance was killed.
func (in *instance) Broken() <-chan struct{} { return in.broken }

// Kill ends the process that runs, with its whole group.
func (in *instance) Kill() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.killed {
		in.killed = true
		close(in.broken)
	}
	if in.end != nil {
		in.end()
	}
	if in.running == nil {
		return nil
	}
	return in.running.Kill()
}

// Close has nothing to free: a process never outlives its event.
func (in *instance) Close(context.Context) error { return nil }
