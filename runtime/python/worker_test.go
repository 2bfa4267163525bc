package python

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/runtime"
)

func TestOutputIsLogged(t *testing.T) {
	code := `
import sys, os, subprocess
def handler(context, event):
    print("printed", 1)
    print("to stderr", file=sys.stderr)
    sys.stdout.buffer.write(b"bin \xff\x00ary\n")
    print("y" * 20000)
    os.write(1, b"by descriptor \xfe\n")
    subprocess.run(["sh", "-c", "echo from child"])
    context.logger.warn_with("warned", number=7)
    context.logger.bind(request="r9").error("bound")
    sys.stdout.write("no newline")
`
	both(t, func(t *testing.T, attrs map[string]any) {
		r, logs := fixture{code: code, attrs: attrs}.make(t)
		in, err := r.Open(t.Context(), runtime.Worker{ID: 4})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := call(t, in, &event.Event{ID: []byte("ev-1")}); err != nil {
			t.Fatal(err)
		}
		closeNow(t, in)
		got := logs.String()
		for _, want := range []string{
			`level=INFO msg="printed 1" worker=4 event=ev-1`, `level=ERROR msg="to stderr" worker=4 event=ev-1`,
			`msg="bin \\xff\\x00ary"`, "... (3616 characters cut)", `msg="by descriptor \\xfe" worker=4`, `msg="from child"`,
			`level=WARN msg=warned worker=4 event=ev-1 number=7`, `level=ERROR msg=bound worker=4 event=ev-1 request=r9`,
			`msg="no newline"`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s in\n%.5000s", want, got)
			}
		}
	})
}

// Events of a worker that is killed under load are told apart: what was not
// begun never ran.
func TestKilledUnderLoad(t *testing.T) {
	code := `
import os
def init_context(context):
    context.user_data.fd = os.open("begun", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def handler(context, event):
    os.write(context.user_data.fd, event.body + b"\n")
    return event.body
`
	both(t, func(t *testing.T, attrs map[string]any) {
		r, _ := fixture{code: code, attrs: attrs}.make(t)
		in, err := r.Open(t.Context(), runtime.Worker{})
		if err != nil {
			t.Fatal(err)
		}
		defer closeNow(t, in)
		var mu sync.Mutex
		outcomes := map[string]error{}
		var wg sync.WaitGroup
		served := make(chan struct{}, 64)
		for g := range 64 {
			wg.Go(func() {
				for i := 0; ; i++ {
					name := fmt.Sprintf("%d-%d", g, i)
					var resp event.Response
					err := in.Invoke(context.Background(), &event.Event{Body: []byte(name)}, &resp)
					if err == nil && string(resp.Body) != name {
						err = errors.New("another's answer")
					}
					mu.Lock()
					outcomes[name] = err
					mu.Unlock()
					if err != nil {
						return
					}
					if i == 20 {
						served <- struct{}{}
					}
				}
			})
		}
		for range 32 {
			<-served
		}
		if err := syscall.Kill(in.(interface{ Pid() int }).Pid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		b, err := os.ReadFile(filepath.Join(r.(*Runtime).set.Dir, "begun"))
		if err != nil {
			t.Fatal(err)
		}
		ran := map[string]bool{}
		for line := range bytes.Lines(b) {
			ran[string(bytes.TrimSpace(line))] = true
		}
		crashed := 0
		for name, err := range outcomes {
			switch {
			case err == nil && !ran[name]:
				t.Errorf("%s was answered and never ran", name)
			case errors.Is(err, event.ErrNotRun) && ran[name]:
				t.Errorf("%s ran and was said not to have", name)
			case errors.Is(err, event.ErrCrashed):
				crashed++
			case err != nil && !errors.Is(err, event.ErrNotRun):
				t.Errorf("%s: %v", name, err)
			}
		}
		if crashed > 1 {
			t.Errorf("%d events crashed; a plain handler runs one at a time", crashed)
		}
	})
}

// Async handlers run at once: they all wait for the last one.
func TestAsyncConcurrency(t *testing.T) {
	code := `
import asyncio
def init_context(context):
    context.user_data.waiting = []
async def handler(context, event):
    waiting = context.user_data.waiting
    waiting.append(asyncio.get_running_loop().create_future())
    mine = waiting[-1]
    if len(waiting) == 10:
        for f in waiting: f.set_result(None)
    await mine
    print("served")
    return event.body
`
	both(t, func(t *testing.T, attrs map[string]any) {
		in, logs := fixture{code: code, attrs: attrs}.open(t)
		if in.Depth() != 64 {
			t.Errorf("depth %d", in.Depth())
		}
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				want := strings.Repeat(strconv.Itoa(i), 3000*i)
				resp, err := call(t, in, &event.Event{ID: []byte("id" + strconv.Itoa(i)), Body: []byte(want)})
				if err != nil || string(resp.Body) != want {
					t.Errorf("event %d: %d bytes, %v", i, len(resp.Body), err)
				}
			})
		}
		wg.Wait()
		closeNow(t, in) // its last log records are read by now
		for i := range 10 {
			if want := "msg=served worker=0 event=id" + strconv.Itoa(i); !strings.Contains(logs.String(), want) {
				t.Errorf("no %s in the log", want)
			}
		}
	})
}

func TestLoading(t *testing.T) {
	write := func(t *testing.T, dir string, files map[string]string) {
		for name, text := range files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, c := range map[string]struct {
		handler string
		files   map[string]string
		want    string // the answer, or the error after "!"
	}{
		"default":         {"", map[string]string{"main.py": trivial}, "ok"},
		"only file":       {"", map[string]string{"other.py": trivial}, "ok"},
		"several files":   {"", map[string]string{"a.py": "", "b.py": ""}, "!several files: a, b"},
		"file:function":   {"a:f", map[string]string{"a.py": "def f(c, e):\n    return 'f'\n"}, "f"},
		"file.py":         {"a.py:f", map[string]string{"a.py": "def f(c, e):\n    return 'f'\n"}, "f"},
		"dotted":          {"p.q.a:f", map[string]string{"p/q/a.py": "from . import b\ndef f(c, e):\n    return b.x\n", "p/q/b.py": "x = 'b'"}, "b"},
		"no module":       {"nope:f", nil, "!No module named 'nope'"},
		"no function":     {"a:g", map[string]string{"a.py": ""}, "!module 'a' has no function 'g'"},
		"not callable":    {"a:g", map[string]string{"a.py": "g = 5"}, "!a:g is no function but int"},
		"syntax error":    {"a:g", map[string]string{"a.py": "def ("}, "!a.py, line 1"},
		"exit at import":  {"a:g", map[string]string{"a.py": "import sys; sys.exit(4)"}, "!SystemExit: 4"},
		"death at import": {"a:g", map[string]string{"a.py": "import os; os._exit(4)"}, "!worker ended before it was ready: exit status 4"},
		"src and site": {"", map[string]string{"src/main.py": "import dep, nuclio_sdk, more\ndef handler(c, e):\n    return dep.x + nuclio_sdk.x + more.x\n",
			"site-packages/dep.py": "x = 'dep'", "site-packages/nuclio_sdk/__init__.py": "x = 'own'",
			"site-packages/x.pth": "deeper", "site-packages/deeper/more.py": "x = 'pth'"}, "depownpth"},
		"neighbours": {"", map[string]string{"main.py": "import os\nopen('data').read()\ndef handler(c, e):\n    return open('data').read()\n", "data": "read"}, "read"},
		"async init": {"main", map[string]string{"main.py": "async def init_context(c):\n    c.user_data.x = 'async'\ndef handler(c, e):\n    return c.user_data.x\n"}, "async"},
	} {
		t.Run(name, func(t *testing.T) {
			r, logs := fixture{handler: c.handler}.make(t)
			dir := r.(*Runtime).set.Dir
			if err := os.Remove(filepath.Join(dir, "main.py")); err != nil {
				t.Fatal(err)
			}
			write(t, dir, c.files)
			in, err := r.Open(t.Context(), runtime.Worker{})
			if want, fails := strings.CutPrefix(c.want, "!"); fails {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, logs)
			}
			defer closeNow(t, in)
			resp, err := call(t, in, &event.Event{})
			if err != nil || string(resp.Body) != c.want {
				t.Errorf("%q, %v", resp.Body, err)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("PROCESSOR_SECRET", "hidden")
	code := "import os\ndef handler(c, e):\n    return [os.environ.get(k) for k in ('MINE', 'PROCESSOR_SECRET', 'NUCLIO_FUNCTION_NAME')]\n"
	in, _ := fixture{code: code, env: []function.EnvVar{{Name: "MINE", Value: "v"}}}.open(t)
	resp, err := call(t, in, &event.Event{})
	if err != nil || string(resp.Body) != `["v", null, "f"]` {
		t.Errorf("%s, %v", resp.Body, err)
	}
}

func TestInterpreterNotFound(t *testing.T) {
	r := fixture{code: trivial, runtime: "python:3.99"}.load(t)
	_, err := r.Open(t.Context(), runtime.Worker{})
	if err == nil || !strings.Contains(err.Error(), "python 3.99 not found: looked for python3.99, python3, python in PATH (found 3.") {
		t.Errorf("got %v", err)
	}
	r = fixture{code: trivial, attrs: map[string]any{"interpreter": "/no/python"}}.load(t)
	if _, err := r.Open(t.Context(), runtime.Worker{}); err == nil || !strings.Contains(err.Error(), "/no/python") {
		t.Errorf("got %v", err)
	}
}

// Without a compiler the function runs all the same, and the log says why it
// is slower.
func TestNoCompiler(t *testing.T) {
	cache := t.TempDir()
	if err := os.Chmod(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	it, err := findInterpreter(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("MYELIN_CACHE", cache)
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CC", "")
	in, logs := fixture{code: trivial, attrs: map[string]any{"interpreter": it.path}}.open(t)
	if resp, err := call(t, in, &event.Event{}); err != nil || string(resp.Body) != "ok" {
		t.Errorf("%q, %v", resp.Body, err)
	}
	for _, want := range []string{"level=WARN", "not compiled", "no C compiler in PATH", "apt install gcc"} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("no %q in\n%s", want, logs)
		}
	}
}

func TestPrepare(t *testing.T) {
	log := &logbook{}
	cache := t.TempDir()
	errs := make(chan error, 4)
	for range cap(errs) { // at once, as several builds may
		go func() { errs <- Prepare(t.Context(), "", cache, testLogger(log)) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	found, err := filepath.Glob(filepath.Join(cache, "python", "*", "worker", "_myelin.cpython-*.so"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "python", "*", "worker", ".build-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if fi, err := os.Stat(found[0]); err != nil || fi.Mode().Perm()&0o044 != 0o044 {
		t.Errorf("others cannot read it: %v, %v", fi.Mode(), err)
	}
	if err := os.Chmod(filepath.Dir(filepath.Dir(found[0])), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := Prepare(t.Context(), "", cache, testLogger(log)); err == nil || !strings.Contains(err.Error(), "can be written by others") {
		t.Errorf("an open cache: %v", err)
	}
}

// A cancelled opening leaves no process, and says why.
func TestSlowInit(t *testing.T) {
	r := fixture{code: "import time\ntime.sleep(1000)\n" + trivial}.load(t)
	if err := r.(*Runtime).prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := r.Open(ctx, runtime.Worker{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// Workers die with the processor, even when it is killed.
func TestDiesWithProcessor(t *testing.T) {
	for _, native := range []string{"true", "false"} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestDyingProcessor$", "-test.v")
		cmd.Env = append(os.Environ(), "MYELIN_TEST_DYING="+native)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pid := 0
		for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
			_, _ = fmt.Sscanf(lines.Text(), "worker pid %d", &pid)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if pid == 0 {
			t.Fatal("the processor started no worker")
		}
		for deadline := time.Now().Add(30 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
				t.Fatalf("worker %d (native %s) outlived its processor", pid, native)
			}
		}
	}
}

// alive is false for a zombie, which only waits for an init that reaps.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(b, []byte(") Z "))
}

// TestDyingProcessor is the processor that TestDiesWithProcessor kills; the
// worker's function never returns.
func TestDyingProcessor(t *testing.T) {
	native := os.Getenv("MYELIN_TEST_DYING")
	if native == "" {
		return // it is only something as a child of TestDiesWithProcessor
	}
	in, _ := fixture{code: "def handler(c, e):\n    while True:\n        pass\n", attrs: map[string]any{"native": native == "true"}}.open(t)
	fmt.Printf("worker pid %d\n", in.Pid())
	_ = in.Invoke(context.Background(), &event.Event{}, &event.Response{})
}
