package python

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
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

// function under test: one main.py.
type fixture struct {
	code    string
	handler string
	runtime string
	attrs   map[string]any
	env     []function.EnvVar
	log     *slog.Logger // of the function; nil for the logbook
	memory  quantity.Size
	calls   runtime.Caller
	batch   int // of a trigger; 0: none
}

// load makes the runtime alone.
func (f fixture) load(t testing.TB) runtime.Runtime {
	r, _ := f.make(t)
	return r
}

// asynchronous makes the handler and the init hook of code async.
func asynchronous(code string) string {
	return strings.ReplaceAll(code, "def ", "async def ")
}

func (f fixture) make(t testing.TB) (runtime.Runtime, *logbook) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.py"), []byte(f.code), 0o644); err != nil {
		t.Fatal(err)
	}
	var raw json.RawMessage
	if f.attrs != nil {
		raw, _ = json.Marshal(f.attrs)
	}
	logs := &logbook{}
	log := testLogger(logs)
	set := runtime.Settings{Dir: dir, Scratch: t.TempDir(), Log: log, FunctionLog: log, Calls: f.calls, Bindings: runtimetest.Bound()}
	if f.log != nil {
		set.FunctionLog = f.log
	}
	set.Function.Metadata.Name = "f"
	set.Function.Spec.Handler, set.Function.Spec.Runtime, set.Function.Spec.Env = f.handler, f.runtime, f.env
	set.Function.Spec.WorkerMemory = f.memory
	if f.batch > 0 {
		set.Function.Spec.Triggers = map[string]function.Trigger{"web": {Batch: &function.Batch{Mode: "enable", BatchSize: f.batch}}}
	}
	r, err := Factory().New(set, raw)
	if err != nil {
		t.Fatal(err)
	}
	return r, logs
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

func testLogger(b *logbook) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func closeNow(t testing.TB, in runtime.Instance) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := in.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
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

const trivial = "def handler(context, event):\n    return 'ok'\n"
