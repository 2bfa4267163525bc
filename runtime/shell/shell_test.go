package shell

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/runtimetest"
)

var functions = map[string]string{
	runtimetest.Echo:    "cat",
	runtimetest.Fail:    "echo deliberate failure; exit 3",
	runtimetest.Panic:   "echo deliberate panic; kill -9 $$",
	runtimetest.Hang:    "read x || [ -n \"$x\" ] && while :; do sleep 1000; done; printf ok",
	runtimetest.Big:     "head -c $(cat) /dev/zero | tr '\\0' x",
	runtimetest.Empty:   "exit 0",
	runtimetest.BadInit: "",
}

func load(t testing.TB, handler, script string, mode os.FileMode, attrs map[string]any, logs *slog.Logger) runtime.Runtime {
	t.Helper()
	dir := t.TempDir()
	if script != "" {
		if err := os.WriteFile(filepath.Join(dir, "f.sh"), []byte(script), mode); err != nil {
			t.Fatal(err)
		}
	}
	var raw json.RawMessage
	if attrs != nil {
		raw, _ = json.Marshal(attrs)
	}
	set := runtime.Settings{Dir: dir, Log: slog.New(slog.DiscardHandler), FunctionLog: logs}
	set.Function.Spec.Handler = handler
	set.Function.Metadata.Name = "f"
	r, err := Factory().New(set, raw)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSuite(t *testing.T) {
	runtimetest.Run(t, runtimetest.Fixture{New: func(t testing.TB, name string, logs *slog.Logger) runtime.Runtime {
		if name == runtimetest.Batch {
			return load(t, "f.sh", batchFunction, 0o755, map[string]any{"batch": "json"}, logs)
		}
		if functions[name] == "" {
			return nil
		}
		return load(t, "f.sh:main", functions[name], 0o644, nil, logs)
	}, Batches: true})
}

// call opens the function, runs one event and closes it.
func call(t *testing.T, r runtime.Runtime, ev *event.Event) (*event.Response, error) {
	t.Helper()
	in, err := r.Open(t.Context(), runtime.Worker{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close(context.Background())
	resp := &event.Response{}
	err = in.Invoke(context.Background(), ev, resp)
	return resp, err
}

var quiet = slog.New(slog.DiscardHandler)

func TestForms(t *testing.T) {
	for name, c := range map[string]struct {
		handler, script string
		mode            os.FileMode
		want            string
	}{
		"script by sh":      {"f.sh:main", "echo $1", 0o644, "one two\n"},
		"executable script": {"f.sh", "#!/bin/sh\necho direct $1", 0o755, "direct one two\n"},
		"x bit, no shebang": {"f.sh", "echo sh $1", 0o755, "sh one two\n"},
		"program in PATH":   {"printf", "", 0, "one two"},
		"only script":       {"", "echo only", 0o644, "only\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := load(t, c.handler, c.script, c.mode, map[string]any{"arguments": `"one two" three`,
				"responseHeaders": map[string]string{"X-A": "b"}}, quiet)
			resp, err := call(t, r, &event.Event{})
			if err != nil || string(resp.Body) != c.want {
				t.Fatalf("%q, %v", resp.Body, err)
			}
			if !reflect.DeepEqual(resp.Header, []event.Field{{Key: "X-A", Value: "b"}}) {
				t.Errorf("headers %v", resp.Header)
			}
		})
	}
}

func TestEnvironmentAndArguments(t *testing.T) {
	t.Setenv("PROCESSOR_SECRET", "hidden")
	r := load(t, "f.sh", `echo "$NUCLIO_EVENT_ID $NUCLIO_EVENT_METHOD $NUCLIO_TRIGGER_KIND $NUCLIO_EVENT_SHARD_ID $NUCLIO_FUNCTION_NAME"
for a; do echo "<$a>"; done; echo "[$PROCESSOR_SECRET]"`, 0o644, map[string]any{"arguments": "ignored"}, quiet)
	resp, err := call(t, r, &event.Event{ID: []byte("7"), Method: []byte("PUT"), Source: &event.Source{Kind: "http"},
		Headers: event.Pairs{{Key: "X-Nuclio-Arguments", Value: []byte(`a 'b c' $(id) ; "d;e" f\ g`)}}})
	if err != nil {
		t.Fatal(err)
	}
	want := "7 PUT http -1 f\n<a>\n<b c>\n<$(id)>\n<;>\n<d;e>\n<f g>\n[]\n"
	if string(resp.Body) != want {
		t.Errorf("got\n%s\nwant\n%s", resp.Body, want)
	}
}

func TestFailureForm(t *testing.T) {
	var mu sync.Mutex
	var book strings.Builder
	logs := slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return book.Write(p)
	}), nil))
	r := load(t, "f.sh", "echo out; printf 'bad \\377 byte\\n' >&2; exit 4", 0o644, nil, logs)
	_, err := call(t, r, &event.Event{ID: []byte("9")})
	var failed *event.Error
	want := "Failed to run shell command.\nError: exit status 4\nOutput:out\n"
	if !errors.As(err, &failed) || failed.Status != 500 || failed.Message != want {
		t.Fatalf("got %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := book.String(); !strings.Contains(got, `bad \\xff byte`) || !strings.Contains(got, "event=9") {
		t.Errorf("function log: %s", got)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestOutputLimit(t *testing.T) {
	r := load(t, "f.sh", "yes", 0o644, map[string]any{"maxOutput": "1Mi"}, quiet)
	_, err := call(t, r, &event.Event{})
	var failed *event.Error
	if !errors.As(err, &failed) || !strings.Contains(failed.Message, "above the limit of 1048576 bytes") {
		t.Fatalf("got %v", err)
	}
}

// A program that ignores its input and leaves children behind ends all the same.
func TestLeftovers(t *testing.T) {
	r := load(t, "f.sh", "sleep 1000 & echo done", 0o644, nil, quiet)
	began := time.Now()
	resp, err := call(t, r, &event.Event{Body: make([]byte, 1<<20)})
	if err != nil || string(resp.Body) != "done\n" {
		t.Fatalf("%q, %v", resp.Body, err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestWrongHandlers(t *testing.T) {
	for handler, want := range map[string]string{
		"no-such-program-here": "no such program in PATH",
		"../../../bin/ls/none": "no such program",
		"":                     "there are 0 files",
	} {
		_, err := load(t, handler, "", 0, nil, quiet).Open(t.Context(), runtime.Worker{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("handler %q: %v", handler, err)
		}
	}
	if _, err := Factory().New(runtime.Settings{}, json.RawMessage(`{"arguments":"'open"}`)); err == nil {
		t.Error("an open quote was accepted")
	}
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"", "a b", `"a \" b" 'c'`, `\`, `'`, "a\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		args, err := split(s)
		n := 0
		for _, a := range args {
			n += len(a)
		}
		if err == nil && n > len(s) {
			t.Errorf("%q became longer: %q", s, args)
		}
	})
}
