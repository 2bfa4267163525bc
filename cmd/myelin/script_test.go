package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/myelin-run/myelin/processor/program"
	"github.com/myelin-run/myelin/test/servers"
)

const patience = 90 * time.Second

// The test binary is also the command line and the generic processor.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"myelin": main,
		"processor": func() {
			os.Exit(program.Main(program.Options{Triggers: triggers, Runtimes: runtimes}))
		},
	})
}

// The scripts are what users do, and what they see.
func TestScripts(t *testing.T) {
	cache := shared(t, "cache")
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup:               func(e *testscript.Env) error { return setup(t, e, cache) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "freeport": freeport, "await": await, "answer": answer, "hammer": hammer, "edit": edit, "setdigest": setDigest, "hangup": hangup,
		},
	})
}

// shared makes a directory that other users may enter, as functions have users
// of their own if this is root.
func shared(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "my"+name)
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func setup(t *testing.T, e *testscript.Env, cache string) error {
	data, err := os.MkdirTemp("", "mydata")
	if err != nil {
		return err
	}
	e.Defer(func() { _ = os.RemoveAll(data) })
	for _, dir := range []string{data, e.WorkDir, filepath.Dir(e.WorkDir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			return err
		}
	}
	prog, err := findProgram(e, "processor")
	if err != nil {
		return err
	}
	e.Vars = append(e.Vars, "MYELIN_DATA="+data, "MYELIN_CACHE="+cache, "MYELIN_PROCESSOR="+prog, "MYELIN_API=127.0.0.1:1", "TERM=xterm", "XDG_CACHE_HOME="+cache)
	python, err := servers.Schemathesis()
	if err != nil {
		python = err.Error() // the script that needs it fails and says so
	}
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		return err
	}
	e.Vars = append(e.Vars, "SCHEMATHESIS="+python, "EXAMPLES="+examples)
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOFLAGS", "GONOSUMDB", "GOSUMDB", "GOTOOLCHAIN"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			return fmt.Errorf("go env %s: %w", name, err)
		}
		e.Vars = append(e.Vars, name+"="+strings.TrimSpace(string(value)))
	}
	return nil
}

// findProgram returns one of this test's commands, which other users may run.
func findProgram(e *testscript.Env, name string) (string, error) {
	for _, dir := range filepath.SplitList(e.Getenv("PATH")) {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755))
		}
	}
	return "", fmt.Errorf("%s is not in PATH", name)
}

// exits CODE PROGRAM ARGS: runs it and wants this exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code program [args...]")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// freeport NAME...: sets variables to ports that are free.
func freeport(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer l.Close() // only now, so that all are different
		_, port, err := net.SplitHostPort(l.Addr().String())
		ts.Check(err)
		ts.Setenv(name, port)
	}
}

// await PROGRAM ARGS: runs it again and again until it succeeds.
func await(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, strings.Join(args, " "), func() error { return ts.Exec(args[0], args[1:]...) })
}

func until(ts *testscript.TestScript, what string, try func() error) {
	deadline, tick := time.Now().Add(patience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		<-tick.C
	}
}

var client = &http.Client{Timeout: 30 * time.Second}

func ask(client *http.Client, url string) (string, error) {
	resp, err := client.Post(url, "text/plain", strings.NewReader("Ada"))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

// answer URL TEXT: asks until the answer contains the text, and says how long
// that took.
func answer(ts *testscript.TestScript, _ bool, args []string) {
	since := time.Now()
	until(ts, "answer "+args[1], func() error {
		got, err := ask(client, args[0])
		if err == nil && !strings.Contains(got, args[1]) {
			err = fmt.Errorf("got %q", got)
		}
		return err
	})
	ts.Logf("%q after %v", args[1], time.Since(since).Round(time.Millisecond))
}

// hangup URL: asks, and wants the connection to end without an answer.
func hangup(ts *testscript.TestScript, _ bool, args []string) {
	client.CloseIdleConnections() // they may lead to a processor that ends anyway
	if got, err := ask(client, args[0]); err == nil {
		ts.Fatalf("it answered %q", got)
	}
}

// edit FILE OLD NEW: replaces text as an editor does, by renaming.
func edit(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	text, err := os.ReadFile(path)
	ts.Check(err)
	if !strings.Contains(string(text), args[1]) {
		ts.Fatalf("%s does not contain %q", args[0], args[1])
	}
	with := strings.ReplaceAll(args[2], `\n`, "\n")
	temp := path + "~"
	ts.Check(os.WriteFile(temp, []byte(strings.ReplaceAll(string(text), args[1], with)), 0o644))
	ts.Check(os.Rename(temp, path))
}

// hammering is load on one address.
type hammering struct {
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	mu       sync.Mutex
	asked    int
	failures []error
}

var hammers sync.Map // by script

// hammer start URL, hammer stop: asks again and again from several goroutines;
// not one request may fail.
func hammer(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "start" {
		ctx, cancel := context.WithCancel(context.Background())
		h := &hammering{cancel: cancel}
		hammers.Store(ts.Name(), h)
		ts.Defer(func() { cancel(); h.wg.Wait() })
		for range 4 {
			h.wg.Go(func() { h.run(ctx, args[1]) })
		}
		return
	}
	v, ok := hammers.Load(ts.Name())
	if !ok {
		ts.Fatalf("hammer: not started")
	}
	h := v.(*hammering)
	h.cancel()
	h.wg.Wait()
	if len(h.failures) > 0 || h.asked == 0 {
		ts.Fatalf("%d of %d requests failed, the first: %v", len(h.failures), h.asked, append(h.failures, nil)[0])
	}
	ts.Logf("%d requests, none failed", h.asked)
}

func (h *hammering) run(ctx context.Context, url string) {
	tick := time.NewTicker(5 * time.Millisecond) // the machine is for what is tested
	defer tick.Stop()
	// A connection of its own, which never rests: one that a server closes at the moment at which it is used
	// again after a second fails, as everywhere in HTTP.
	own := &http.Transport{}
	defer own.CloseIdleConnections()
	client := &http.Client{Transport: own, Timeout: time.Minute}
	for ctx.Err() == nil {
		_, err := ask(client, url)
		<-tick.C
		h.mu.Lock()
		h.asked++
		if err != nil {
			h.failures = append(h.failures, err)
		}
		h.mu.Unlock()
	}
}

// setDigest NAME: sets a variable to the digest that was printed last.
func setDigest(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}
