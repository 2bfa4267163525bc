package dev

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform/local/process"
	"github.com/myelin-run/myelin/quantity"
)

// generation is one processor, from its start to its end.
type generation struct {
	dir      string
	artefact build.Artefact
	began    time.Time
	proc     *process.Process
	lines    *lines
	gone     chan struct{}
	exit     process.Exit // once gone is closed
	told     bool         // of its end
}

const (
	readyFile  = "ready.json"
	configFile = "processor.yaml"
	// afterDrain is what a processor may take beyond its drain timeout.
	afterDrain = 5 * time.Second
)

// start starts a processor of a and returns when it is ready.
func (l *loop) start(ctx context.Context, a build.Artefact) (*generation, error) {
	function.Defaults(&a.Config)
	l.count++
	dir := filepath.Join(l.dir, strconv.Itoa(l.count))
	if err := prepare(dir, a); err != nil {
		return nil, err
	}
	w, err := fsnotify.NewWatcher()
	if err == nil {
		defer w.Close()
		err = w.Add(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("watch for readiness: %w", err)
	}
	g, err := l.spawn(dir, a)
	if err != nil {
		return nil, err
	}
	if err := g.awaitReady(ctx, w); err != nil {
		g.proc.Kill()
		<-g.gone
		return nil, err
	}
	return g, nil
}

// prepare writes the processor's configuration into its directory.
func prepare(dir string, a build.Artefact) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make run directory: %w", err)
	}
	type sink struct {
		File   string `json:"file"`
		Level  string `json:"level,omitempty"`
		Format string `json:"format"`
	}
	level := ""
	if len(a.Config.Spec.LoggerSinks) > 0 {
		level = a.Config.Spec.LoggerSinks[0].Level
	}
	text, err := document.MarshalRevealed(map[string]any{
		"function": a.Config, "dir": a.Dir, "scratch": filepath.Join(dir, "s"),
		"admin":        map[string]string{"listen": "unix:" + filepath.Join(dir, adminSocket)},
		"recall":       mostRecalled,
		"logs":         map[string]sink{"processor": {"stderr", "warn", "text"}, "function": {"stdout", level, "json"}},
		"drainTimeout": quantity.Duration(drainTime(a)),
	})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, configFile), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", configFile, err)
	}
	return nil
}

func drainTime(a build.Artefact) time.Duration { return a.Config.Spec.DrainTimeout.Std() }

// spawn starts the process; its lines go to the observer.
func (l *loop) spawn(dir string, a build.Artefact) (*generation, error) {
	socks, err := l.sockets.of(a.Config)
	if err != nil {
		return nil, err
	}
	path, args := l.o.Processor, []string(nil)
	if len(a.Command) > 0 {
		path, args = a.Command[0], a.Command[1:]
		if !filepath.IsAbs(path) {
			path = filepath.Join(a.Dir, path)
		}
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	env, fds := passed(socks)
	proc, err := process.Start(process.Spec{
		Path: path, Args: args, Dir: dir, FDs: fds, Output: in,
		Env: append(environment(l.o.Environment, a.Config), env...),
	})
	_ = in.Close()
	if err != nil {
		_ = out.Close()
		return nil, err
	}
	g := &generation{dir: dir, artefact: a, began: time.Now(), proc: proc, gone: make(chan struct{}), lines: &lines{say: l.observer.Log}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		g.lines.read(out)
	}()
	go func() {
		defer close(g.gone)
		g.exit, _ = proc.Wait()
		<-read
		proc.Release()
	}()
	return g, nil
}

// environment is the author's own, with the function's variables.
func environment(base []string, cfg function.Config) []string {
	out := make([]string, 0, len(base)+len(cfg.Spec.Env))
	for _, v := range base {
		if !strings.HasPrefix(v, "LISTEN_") {
			out = append(out, v)
		}
	}
	for _, v := range cfg.Spec.Env {
		if len(v.ValueFrom) == 0 {
			out = append(out, v.Name+"="+v.Value)
		}
	}
	return out
}

// awaitReady waits for the processor to say that it is ready.
func (g *generation) awaitReady(ctx context.Context, w *fsnotify.Watcher) error {
	limit := time.Duration(g.artefact.Config.Spec.ReadinessTimeoutSeconds) * time.Second
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case e, ok := <-w.Events:
			if !ok || filepath.Base(e.Name) == readyFile {
				return nil
			}
		case <-w.Errors: // a lost event: look at the next
		case <-g.gone:
			return &StartError{Reason: g.end(), Log: g.tail()}
		case <-timer.C:
			return &StartError{Reason: fmt.Sprintf("not ready within %v", limit), Log: g.tail()}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// drain lets the processor finish, and kills it if it takes too long.
func (g *generation) drain() error {
	if err := g.proc.Signal(syscall.SIGTERM); err != nil {
		g.proc.Kill()
	}
	timer := time.NewTimer(drainTime(g.artefact) + afterDrain)
	defer timer.Stop()
	select {
	case <-g.gone:
	case <-timer.C:
		g.proc.Kill()
		<-g.gone
		return errCutOff
	}
	if g.exit.Code == 3 {
		return errCutOff
	}
	return nil
}

func (g *generation) running() bool {
	select {
	case <-g.gone:
		return false
	default:
		return true
	}
}

func (g *generation) end() string    { return g.exit.String() }
func (g *generation) tail() []string { return g.lines.last() }

// samePlan tells whether the parts of the configurations that the artefact's
// digest leaves out are the same too.
func samePlan(a, b build.Artefact) bool {
	function.Defaults(&a.Config)
	function.Defaults(&b.Config)
	return reflect.DeepEqual(a.Config, b.Config)
}
