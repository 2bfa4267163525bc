// Package examples_test builds each example and calls it through a processor.
package examples_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	myelin "github.com/myelin-run/myelin"
	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/golang"
	buildjava "github.com/myelin-run/myelin/build/java"
	buildnodejs "github.com/myelin-run/myelin/build/nodejs"
	"github.com/myelin-run/myelin/build/pipeline"
	buildpython "github.com/myelin-run/myelin/build/python"
	buildshell "github.com/myelin-run/myelin/build/shell"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/processor/handoff"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/java"
	"github.com/myelin-run/myelin/runtime/nodejs"
	"github.com/myelin-run/myelin/runtime/python"
	"github.com/myelin-run/myelin/runtime/shell"
	"github.com/myelin-run/myelin/trigger"
	httptrigger "github.com/myelin-run/myelin/trigger/http"
	redistrigger "github.com/myelin-run/myelin/trigger/redis"
	"github.com/myelin-run/myelin/trigger/redislist"
	"github.com/myelin-run/myelin/trigger/redispubsub"
	"github.com/myelin-run/myelin/trigger/v3io"
)

// Every example but those named below greets World, and a stranger.
func TestHello(t *testing.T) {
	dirs, err := filepath.Glob("hello-*")
	if err != nil || len(dirs) < 3 {
		t.Fatal(dirs, err)
	}
	p := builders(t)
	for _, dir := range dirs {
		t.Run(dir, func(t *testing.T) {
			a, _, err := p.Build(t.Context(), pipeline.Request{Path: dir}, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			if a.Config.Metadata.Name != dir {
				t.Errorf("it is called %s", a.Config.Metadata.Name)
			}
			addr := serve(t, a)
			if got := call(t, addr, "World"); got != "Hello, World" {
				t.Errorf("answered %q", got)
			}
			if got := call(t, addr, ""); got != "Hello, stranger" {
				t.Errorf("answered %q to nothing", got)
			}
		})
	}
}

// Requests that come together are answered by one call, or two.
func TestBatchExamples(t *testing.T) {
	p := builders(t)
	for _, dir := range []string{"batch-c", "batch-go", "batch-nodejs", "batch-python", "batch-shell"} {
		t.Run(dir, func(t *testing.T) {
			a, _, err := p.Build(t.Context(), pipeline.Request{Path: dir}, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			addr := serve(t, a)
			answers := make(chan string, 8)
			for range cap(answers) {
				go func() { answers <- call(t, addr, "World") }()
			}
			together := 0
			for range cap(answers) {
				got := <-answers
				if !strings.HasPrefix(got, "Hello, World, one of ") {
					t.Errorf("answered %q", got)
				}
				if !strings.HasSuffix(got, " 1") {
					together++
				}
			}
			if together == 0 {
				t.Error("each request was a call of its own")
			}
		})
	}
}

// The function that sleeps answers once it is there; what wakes it is tested with
// the control plane.
func TestSleeperExample(t *testing.T) {
	a, _, err := builders(t).Build(t.Context(), pipeline.Request{Path: "sleeper"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if least, most, follows := a.Config.Spec.Follows(); least != 0 || most != 4 || !follows {
		t.Errorf("it has %d to %d processors, %v", least, most, follows)
	}
	if got := call(t, serve(t, a), ""); !strings.HasPrefix(got, "process ") {
		t.Errorf("answered %q", got)
	}
}

// The Python function calls the one in Go, and the one in C that in shell.
func TestCallExample(t *testing.T) {
	p := builders(t)
	for caller, called := range map[string]string{"call-go": "hello-go", "call-c": "hello-shell"} {
		t.Run(caller, func(t *testing.T) {
			var address string
			for _, dir := range []string{called, caller} {
				a, _, err := p.Build(t.Context(), pipeline.Request{Path: dir}, t.Output())
				if err != nil {
					t.Fatal(err)
				}
				t.Setenv("MYELIN_FUNCTIONS", called+"=http://"+address)
				if address == "" {
					t.Setenv("MYELIN_FUNCTIONS", "")
				}
				address = serve(t, a)
			}
			if got := call(t, address, "World, Moon,,"); got != "Hello, World\nHello, Moon" {
				t.Errorf("answered %q", got)
			}
		})
	}
}

func builders(t *testing.T) *pipeline.Pipeline {
	t.Helper()
	t.Setenv("MYELIN_CACHE", t.TempDir())
	data := t.TempDir()
	return pipeline.New(pipeline.Options{Data: data, Builders: map[string]build.Builder{
		"c":      golang.NewC(golang.Options{Sources: myelin.Sources, Data: data}),
		"golang": golang.New(golang.Options{Sources: myelin.Sources, Data: data}),
		"java":   buildjava.New(buildjava.Options{Data: data, Find: java.Find, Prepare: prepareJava}),
		"nodejs": buildnodejs.New(buildnodejs.Options{Data: data, Find: nodejs.Find}),
		"python": buildpython.New(buildpython.Options{Data: data, Find: python.Find}),
		"shell":  buildshell.New(),
	}})
}

func prepareJava(ctx context.Context, home string, log io.Writer) (sdk, worker string, err error) {
	return java.Prepare(ctx, home, "", slog.New(slog.NewTextHandler(log, nil)))
}

func call(t *testing.T, addr, body string) string {
	t.Helper()
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Post("http://"+addr+"/", "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer client.CloseIdleConnections()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s %v", resp.StatusCode, got, err)
	}
	return string(got)
}

// serve runs an artefact until the test ends: by itself if it is a program,
// else in a processor here. Who calls before it is ready waits.
func serve(t *testing.T, a build.Artefact) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Command) > 0 {
		start(t, a, ln)
	} else {
		run(t, a, ln)
	}
	return ln.Addr().String()
}

func start(t *testing.T, a build.Artefact, ln net.Listener) {
	t.Helper()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command(filepath.Join(a.Dir, a.Command[0]), "-admin", "none")
	cmd.Dir, cmd.ExtraFiles = t.TempDir(), []*os.File{f}
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES="+function.DefaultHTTPTrigger)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = ln.Close() // the program's own remains
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func run(t *testing.T, a build.Artefact, ln net.Listener) {
	t.Helper()
	runBound(t, a, ln, "", nil)
}

// runBound does so with bindings whose files are in data.
func runBound(t *testing.T, a build.Artefact, ln net.Listener, data string, bindings *binding.Set) {
	t.Helper()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	_ = ln.Close() // the copy remains
	cfg := processor.Config{Function: a.Config, Dir: a.Dir, Scratch: t.TempDir(), Admin: processor.Admin{Listen: "none"}, Letters: processor.Letters{Dir: t.TempDir()}}
	cfg.Bindings.Dir = data
	function.Defaults(&cfg.Function)
	p, err := processor.New(cfg, processor.Parts{
		Bindings: bindings,
		Triggers: trigger.NewSet(httptrigger.Factory(), redistrigger.Factory(), redislist.Factory(), redispubsub.Factory(), v3io.Factory()),
		Runtimes: runtime.NewSet(java.Factory(), nodejs.Factory(), python.Factory(), shell.Factory()),
		Sockets:  []handoff.Socket{{Name: function.DefaultHTTPTrigger, FD: int(f.Fd())}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
