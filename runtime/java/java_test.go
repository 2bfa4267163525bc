package java

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/runtimetest"
	"github.com/myelin-run/myelin/runtime/shm"
)

// logbook keeps what a function logs.
type logbook struct {
	mu   sync.Mutex
	text []byte
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// fixture is a function under test: a class of testdata/functions.
type fixture struct {
	handler string
	classes string // the directory of compiled classes; "" for those of testdata
	runtime string
	attrs   map[string]any
	env     []function.EnvVar
	log     *slog.Logger // of the function; nil for the logbook
	calls   runtime.Caller
	more    func(*runtime.Settings)
}

func (f fixture) make(t testing.TB) (*Runtime, *logbook) {
	t.Helper()
	dir := t.TempDir()
	classes := f.classes
	if classes == "" {
		classes = compiled(t)
	}
	if err := os.Symlink(classes, filepath.Join(dir, "classes")); err != nil {
		t.Fatal(err)
	}
	var raw json.RawMessage
	if f.attrs != nil {
		raw, _ = json.Marshal(f.attrs)
	}
	logs := &logbook{}
	log := slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	set := runtime.Settings{Dir: dir, Scratch: t.TempDir(), Log: log, FunctionLog: log, Calls: f.calls, Bindings: runtimetest.Bound()}
	if f.log != nil {
		set.FunctionLog = f.log
	}
	set.Function.Metadata.Name = "f"
	set.Function.Spec.Handler, set.Function.Spec.Runtime, set.Function.Spec.Env = f.handler, f.runtime, f.env
	if f.more != nil {
		f.more(&set)
	}
	r, err := Factory().New(set, raw)
	if err != nil {
		t.Fatal(err)
	}
	return r.(*Runtime), logs
}

func (f fixture) open(t testing.TB) (*shm.Instance, *logbook) {
	t.Helper()
	r, logs := f.make(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	in, err := r.Open(ctx, runtime.Worker{TriggerKind: "http", TriggerName: "web"})
	if err != nil {
		t.Fatalf("open: %v\n%s", err, logs)
	}
	t.Cleanup(func() { closeNow(t, in) })
	return in.(*shm.Instance), logs
}

func closeNow(t testing.TB, in runtime.Instance) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := in.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

// call runs one event and does not wait for ever.
func call(t testing.TB, in runtime.Instance, ev *event.Event) (*event.Response, error) {
	t.Helper()
	resp := &event.Response{}
	done := make(chan error, 1)
	go func() { done <- in.Invoke(context.Background(), ev, resp) }()
	select {
	case err := <-done:
		return resp, err
	case <-time.After(time.Minute):
		t.Fatal("no answer")
		return nil, nil
	}
}

var suiteClasses struct {
	once sync.Once
	dir  string
	err  error
}

// compiled returns the classes of testdata/functions, compiled once for all tests.
func compiled(t testing.TB) string {
	t.Helper()
	c := &suiteClasses
	c.once.Do(func() {
		var files []string
		if files, c.err = filepath.Glob("testdata/functions/*.java"); c.err == nil {
			c.dir, c.err = javac(filepath.Join(os.Getenv("MYELIN_CACHE"), "functions"), files...)
		}
	})
	if c.err != nil {
		t.Fatal(c.err)
	}
	return c.dir
}

// javac compiles a function's files as the build does.
func javac(to string, files ...string) (string, error) {
	m, err := findMachine("")
	if err != nil {
		return "", err
	}
	sdk, worker, err := Prepare(context.Background(), "", "", slog.New(slog.DiscardHandler))
	if err != nil {
		return "", err
	}
	args := append([]string{"-J-XX:TieredStopAtLevel=1", "--release", "17", "-cp", sdk + ":" + worker, "-d", to}, files...)
	out, err := exec.Command(filepath.Join(m.home, "bin", "javac"), args...).CombinedOutput()
	if err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return to, nil
}

// source compiles one file of the given text.
func source(t testing.TB, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	dir, err := javac(t.TempDir(), file)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "myelin-cache-")
	if err != nil {
		panic(err)
	}
	os.Setenv("MYELIN_CACHE", dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}
