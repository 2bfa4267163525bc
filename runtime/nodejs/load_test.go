package nodejs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

func TestLoading(t *testing.T) {
	for name, c := range map[string]struct {
		handler string
		files   map[string]string
		want    string // the answer, or the error after "!"
	}{
		"default":        {"", map[string]string{"handler.js": trivial, "other.js": ""}, "ok"},
		"only file":      {"", map[string]string{"other.js": trivial}, "ok"},
		"several files":  {"", map[string]string{"a.js": "", "b.js": ""}, "!there are several: a.js, b.js"},
		"no files":       {"", map[string]string{"x.txt": ""}, "!there is no .js file"},
		"name":           {"f", map[string]string{"handler.js": "exports.f = () => 'f'"}, "f"},
		"file:name":      {"a:f", map[string]string{"a.js": "exports.f = () => 'f'"}, "f"},
		"file.js:name":   {"a.js:f", map[string]string{"a.js": "exports.f = () => 'f'"}, "f"},
		"deep":           {"lib/a:o.f", map[string]string{"lib/a.js": "exports.o = { f: () => 'of' }"}, "of"},
		"cjs":            {"a:f", map[string]string{"a.cjs": "exports.f = () => 'cjs'"}, "cjs"},
		"mjs":            {"a:f", map[string]string{"a.mjs": "import { x } from './b.mjs'\nexport const f = async () => x", "b.mjs": "export const x = await 'mjs'"}, "mjs"},
		"type module":    {"a:f", map[string]string{"a.js": "import fs from 'fs'\nexport const f = () => typeof fs.readFileSync", "package.json": `{"type": "module"}`}, "function"},
		"default export": {"a:handler", map[string]string{"a.mjs": "export default () => 'def'"}, "def"},
		"whole module":   {"a:handler", map[string]string{"a.js": "module.exports = () => 'whole'"}, "whole"},
		"modules":        {"", map[string]string{"src/handler.js": "exports.handler = () => require('dep')", "src/node_modules/dep/index.js": "module.exports = 'dep'"}, "dep"},
		"neighbours":     {"", map[string]string{"handler.js": "const fs = require('fs'); exports.handler = () => fs.readFileSync('data')", "data": "read"}, "read"},
		"no file":        {"nope:f", map[string]string{"a.js": ""}, "!there is no file nope.js"},
		"no export":      {"a:g", map[string]string{"a.js": "exports.f = () => {}"}, "!a.js exports no g (it exports f)"},
		"no function":    {"a:g", map[string]string{"a.js": "exports.g = 5"}, "!g of a.js is no function but number"},
		"syntax error":   {"a:g", map[string]string{"a.js": "let a = 1\nlet b = ;"}, "!a.js:2"},
		"throws":         {"a:g", map[string]string{"a.js": "throw new TypeError('at load')"}, "!TypeError: at load"},
		"no module":      {"a:g", map[string]string{"a.js": "require('nowhere')"}, "!Cannot find module 'nowhere'"},
		"death at load":  {"a:g", map[string]string{"a.js": "process.exit(4)"}, "!worker ended before it was ready"},
	} {
		t.Run(name, func(t *testing.T) {
			r, logs := fixture{handler: c.handler, files: c.files}.make(t)
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

func TestInterpreterNotFound(t *testing.T) {
	r := fixture{code: trivial, runtime: "nodejs:99"}.load(t)
	_, err := r.Open(t.Context(), runtime.Worker{})
	if err == nil || !strings.Contains(err.Error(), "node 99 not found: looked for node99, node-99, node, nodejs in PATH (found ") {
		t.Errorf("got %v", err)
	}
	r = fixture{code: trivial, attrs: map[string]any{"interpreter": "/no/node"}}.load(t)
	if _, err := r.Open(t.Context(), runtime.Worker{}); err == nil || !strings.Contains(err.Error(), "/no/node") {
		t.Errorf("got %v", err)
	}
}

// Without a compiler there is a clear word of what to install.
func TestNoCompiler(t *testing.T) {
	it, err := findInterpreter(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("MYELIN_CACHE", filepath.Join(t.TempDir(), "cache"))
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CC", "")
	r := fixture{code: trivial, attrs: map[string]any{"interpreter": it.path}}.load(t)
	if _, err := r.Open(t.Context(), runtime.Worker{}); err == nil || !strings.Contains(err.Error(), "no C compiler in PATH (on Debian: apt install gcc") {
		t.Errorf("got %v", err)
	}
}

func TestPrepare(t *testing.T) {
	logs := &logbook{}
	cache := filepath.Join(t.TempDir(), "cache")
	errs := make(chan error, 4)
	for range cap(errs) { // at once, as several builds may
		go func() { errs <- Prepare(t.Context(), "", cache, testLogger(logs)) }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if found, err := filepath.Glob(filepath.Join(cache, "nodejs", "*", addon)); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
}

func TestConfig(t *testing.T) {
	for _, attrs := range []Config{{AsyncConcurrency: 129}, {Options: []string{"x.js"}}, {Arena: 5}} {
		if err := attrs.Validate(); err == nil {
			t.Errorf("%+v is taken for valid", attrs)
		}
	}
	in, _ := fixture{code: "exports.handler = () => process.execArgv.join()", attrs: map[string]any{"options": []string{"--max-old-space-size=64"}}}.open(t)
	if resp, err := call(t, in, &event.Event{}); err != nil || string(resp.Body) != "--max-old-space-size=64" {
		t.Errorf("%q, %v", resp.Body, err)
	}
}

// A cancelled opening leaves no process, and says why.
func TestSlowInit(t *testing.T) {
	r := fixture{code: "exports.initContext = () => new Promise(() => {})\n" + trivial}.load(t)
	if err := r.(*Runtime).prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := r.Open(ctx, runtime.Worker{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// Workers die with the processor, even when it is killed and their function
// never returns.
func TestDiesWithProcessor(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestDyingProcessor$", "-test.v")
	cmd.Env = append(os.Environ(), "MYELIN_TEST_DYING=1")
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
			t.Fatalf("worker %d outlived its processor", pid)
		}
	}
}

// alive is false for a zombie, which only waits for an init that reaps.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(b, []byte(") Z "))
}

// TestDyingProcessor is the processor that TestDiesWithProcessor kills.
func TestDyingProcessor(t *testing.T) {
	if os.Getenv("MYELIN_TEST_DYING") == "" {
		return // it is only something as a child of TestDiesWithProcessor
	}
	in, _ := fixture{code: "exports.handler = () => { for (;;) ; }"}.open(t)
	fmt.Printf("worker pid %d\n", in.Pid())
	_ = in.Invoke(context.Background(), &event.Event{}, &event.Response{})
}

// A worker that has served many events of every kind is no larger than one
// that has served a few.
func TestWorkerDoesNotGrow(t *testing.T) {
	exprs := []string{`"text"`, `event.body`, `({a: event.headers})`, `[201, "x"]`, `null.x`, `[event.path, event.fields, event.id, event.timestamp]`,
		`new Response("x".repeat(50000), {a: "b"})`, `Promise.resolve("p")`, `Buffer.alloc(100000)`, `later()`,
		`kept.push(event) > 1 ? String(kept.shift().path) : ''`}
	in, _ := fixture{code: forms["returned"], attrs: map[string]any{"options": []string{"--max-old-space-size=64"}}}.open(t)
	serve := func(n int) {
		for i := range n {
			var resp event.Response
			ev := event.Event{Body: []byte(exprs[i%len(exprs)]), Headers: event.Pairs{{Key: "K", Value: []byte("v")}}, LogAsked: i%50 == 0}
			_ = in.Invoke(context.Background(), &ev, &resp)
		}
	}
	serve(10_000) // the engine's own heap has found its size by then
	before := resident(t, in.Pid())
	serve(30_000)
	if after := resident(t, in.Pid()); after > before+before/4+(8<<20) {
		t.Errorf("the worker grew from %d to %d bytes", before, after)
	}
}

func resident(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, rss, shared int64
	if _, err := fmt.Fscan(bytes.NewReader(b), &size, &rss, &shared); err != nil {
		t.Fatal(err)
	}
	return (rss - shared) * int64(os.Getpagesize())
}
