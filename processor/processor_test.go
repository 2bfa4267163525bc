package processor_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/processor/handoff"
	"github.com/myelin-run/myelin/processor/logs"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/trigger"
	httptrigger "github.com/myelin-run/myelin/trigger/http"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		// lumberjack keeps one goroutine per file for ever; a processor opens each log once.
		goleak.IgnoreAnyFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun"))
}

// running is a processor under test.
type running struct {
	url, admin string
	scratch    string
	stop       context.CancelFunc
	done       chan error
	log        string
}

func config(t *testing.T, spec string) processor.Config {
	t.Helper()
	l, err := function.Parse("function.yaml", []byte("metadata: {name: f}\nspec:\n  runtime: golang\n"+spec))
	if err != nil {
		t.Fatal(err)
	}
	function.Defaults(&l.Config)
	web := l.Config.Spec.Triggers["default-http"]
	web.Attributes = json.RawMessage(`{"host": "127.0.0.1", "port": 0}`)
	l.Config.Spec.Triggers["default-http"] = web
	dir := t.TempDir()
	return processor.Config{
		Function: l.Config, Dir: dir, Scratch: filepath.Join(dir, "s"), WriteReady: true,
		Admin: processor.Admin{Listen: "127.0.0.1:0"},
		Logs: processor.Logs{Processor: logs.Sink{File: filepath.Join(dir, "processor.log"), Level: "debug"},
			Function: logs.Sink{File: filepath.Join(dir, "function.log")}},
	}
}

func start(t *testing.T, cfg processor.Config, f native.Function, sockets ...handoff.Socket) *running {
	t.Helper()
	return startParts(t, cfg, processor.Parts{
		Triggers: trigger.NewSet(httptrigger.Factory()),
		Runtimes: runtime.NewSet(native.Factory(f)),
		Sockets:  sockets,
	})
}

func startParts(t *testing.T, cfg processor.Config, parts processor.Parts) *running {
	t.Helper()
	t.Chdir(cfg.Dir)
	_ = os.Remove(processor.ReadyFile) // of one before
	p, err := processor.New(cfg, parts)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{scratch: cfg.Scratch, stop: cancel, done: make(chan error, 1), log: cfg.Logs.Processor.File}
	go func() { r.done <- p.Run(ctx) }()
	for {
		if b, err := os.ReadFile(processor.ReadyFile); err == nil {
			var ready processor.Ready
			if err := json.Unmarshal(b, &ready); err != nil {
				t.Fatalf("ready file: %v in %q", err, b)
			}
			r.admin, r.url = "http://"+ready.Admin, "http://"+ready.Addresses["default-http"]+"/"
			return r
		}
		select {
		case err := <-r.done:
			t.Fatalf("processor ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
}

func (r *running) end(t *testing.T) error {
	t.Helper()
	r.stop()
	select {
	case err := <-r.done:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("processor does not end")
		return nil
	}
}

func post(url, body string) (int, string, error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

var echo = native.Of(echoed, nil)

func echoed(_ *myelin.Context, ev *myelin.Event, out *myelin.Response) error {
	switch string(ev.Body) {
	case "fail":
		return errors.New("no luck")
	case "panic":
		panic("planted")
	}
	out.Body = append(append(out.Body, "Hello, "...), ev.Body...)
	return nil
}

func TestServesAndTellsHealth(t *testing.T) {
	r := start(t, config(t, ""), echo)
	if code, body, err := post(r.url, "World"); code != 200 || body != "Hello, World" || err != nil {
		t.Errorf("%d %q %v", code, body, err)
	}
	for _, bad := range []string{"fail", "panic"} {
		if code, body, _ := post(r.url, bad); code != 500 || body == "" {
			t.Errorf("%s: %d %q", bad, code, body)
		}
	}
	for path, want := range map[string]string{"/ready": "ok", "/live": "ok", "/triggers": `"default-http"`,
		"/metrics": `myelin_events_total{function="f",kind="http",outcome="ok",trigger="default-http"} 1`} {
		if code, body := get(t, r.admin+path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d, no %q in %q", path, code, want, body)
		}
	}
	if _, metrics := get(t, r.admin+"/metrics"); !strings.Contains(metrics, `outcome="error",trigger="default-http"} 2`) ||
		!strings.Contains(metrics, `myelin_event_duration_seconds_bucket{function="f",kind="http",trigger="default-http",le="0.00025"}`) {
		t.Errorf("metrics:\n%s", metrics)
	}
	if err := r.end(t); err != nil {
		t.Errorf("clean drain: %v", err)
	}
}

// Every request that was accepted is answered, whenever the processor is told
// to stop.
func TestDrainLosesNothing(t *testing.T) {
	var ran, answered, refused atomic.Int64
	slow := native.Of(func(*myelin.Context, *myelin.Event) (any, error) {
		ran.Add(1)
		time.Sleep(20 * time.Millisecond)
		return "ok", nil
	}, nil)
	r := start(t, config(t, ""), slow)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			c := &http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			for {
				kept := false
				ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { kept = i.Reused }})
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url, strings.NewReader("x"))
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := c.Do(req)
				if err != nil {
					// The kernel refuses or resets what nobody had accepted when the
					// socket closes; a request on it was not read.
					if kept || !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
						t.Errorf("lost: %v", err)
					}
					refused.Add(1)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("status %d", resp.StatusCode)
				}
				answered.Add(1)
			}
		})
	}
	for answered.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	if err := r.end(t); err != nil {
		t.Errorf("drain: %v", err)
	}
	wg.Wait()
	if refused.Load() != 16 {
		t.Errorf("%d of 16 clients saw the end", refused.Load())
	}
	if ran.Load() != answered.Load() {
		t.Errorf("%d ran, %d were answered", ran.Load(), answered.Load())
	}
}

// The ready file goes when a processor takes no more connections, while it still
// answers.
func TestReadinessIsTakenBack(t *testing.T) {
	gate, begun := make(chan struct{}), make(chan struct{})
	stuck := native.Of(func(*myelin.Context, *myelin.Event) (any, error) { close(begun); <-gate; return "ok", nil }, nil)
	r := start(t, config(t, ""), stuck)
	answered := make(chan int, 1)
	go func() {
		status, _, _ := post(r.url, "x")
		answered <- status
	}()
	<-begun
	if _, err := os.Stat(processor.ReadyFile); err != nil {
		t.Errorf("while it serves: %v", err)
	}
	r.stop()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(processor.ReadyFile); errors.Is(err, fs.ErrNotExist) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a processor that drains has its ready file still")
		}
	}
	if c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(r.url, "http://"), "/")); err == nil {
		_ = c.Close()
		t.Error("without a ready file it took a connection")
	}
	close(gate)
	if status := <-answered; status != 200 {
		t.Errorf("the request that it had was answered %d", status)
	}
	if err := r.end(t); err != nil {
		t.Errorf("drain: %v", err)
	}
}

func TestDrainDeadlineCutsOff(t *testing.T) {
	gate := make(chan struct{})
	stuck := native.Of(func(*myelin.Context, *myelin.Event) (any, error) { <-gate; return nil, nil }, nil)
	cfg := config(t, "  drainTimeout: 50ms\n")
	r := start(t, cfg, stuck)
	go post(r.url, "x")
	for _, body := get(t, r.admin+"/triggers"); !strings.Contains(body, `"InFlight":1`); _, body = get(t, r.admin+"/triggers") {
		time.Sleep(time.Millisecond)
	}
	err := r.end(t)
	close(gate)
	if !errors.Is(err, processor.ErrDrain) {
		t.Errorf("%v, want ErrDrain", err)
	}
}

func TestNativeTimeoutAnswers408(t *testing.T) {
	gate := make(chan struct{})
	defer close(gate)
	f := native.Of(func(_ *myelin.Context, ev *myelin.Event) (any, error) {
		if string(ev.Body) == "hang" {
			<-gate
		}
		return "ok", nil
	}, nil)
	r := start(t, config(t, "  eventTimeout: 50ms\n  triggers: {default-http: {kind: http, numWorkers: 1}}\n"), f)
	if code, body, err := post(r.url, "hang"); code != 408 || !strings.Contains(body, "timed out") {
		t.Errorf("%d %q %v", code, body, err)
	}
	if code, _, err := post(r.url, "x"); code != 200 {
		t.Errorf("after the timeout: %d %v", code, err)
	}
	if code, _ := get(t, r.admin+"/live"); code != 200 {
		t.Errorf("/live: %d", code)
	}
	r.stop()
	<-r.done
}

func TestWrongConfigurations(t *testing.T) {
	for _, c := range []struct{ spec, want string }{
		{"  triggers: {a: {kind: htp}}\n", `did you mean "http"`},
		{"  triggers: {a: {kind: http, attributes: {prot: 1}}}\n", "spec.triggers.a.attributes.prot"},
		{"  triggers: {a: {kind: http, disabled: true}}\n  disableDefaultHTTPTrigger: true\n", "no trigger that is enabled"},
	} {
		l, err := function.Parse("function.yaml", []byte("metadata: {name: f}\nspec:\n  runtime: golang\n"+c.spec))
		if err == nil {
			function.Defaults(&l.Config)
			_, err = processor.New(processor.Config{Function: l.Config, Scratch: t.TempDir()}, processor.Parts{
				Triggers: trigger.NewSet(httptrigger.Factory()), Runtimes: runtime.NewSet(native.Factory(echo))})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.spec, err, c.want)
		}
	}
}

// The sockets can be had while the processor runs, and one more holder of them
// means that no connection is refused when it ends.
func TestHandoff(t *testing.T) {
	socket, err := handoff.Listen("default-http", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, config(t, ""), echo, socket)
	c, err := net.Dial("unix", filepath.Join(r.scratch, "handoff.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	names, oob := make([]byte, 256), make([]byte, 256)
	n, oobn, _, _, err := c.(*net.UnixConn).ReadMsgUnix(names, oob)
	if err != nil || string(names[:n]) != "default-http" {
		t.Fatalf("%q %v", names[:n], err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(msgs) != 1 {
		t.Fatal(err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		t.Fatal(fds, err)
	}
	file := os.NewFile(uintptr(fds[0]), "ln")
	ln, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	defer ln.Close()
	if err := r.end(t); err != nil {
		t.Error(err)
	}
	handoff.Close([]handoff.Socket{socket})
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			fmt.Fprint(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
		}
		_ = c.Close()
	}()
	if code, _, err := post(r.url, "x"); code != 204 {
		t.Errorf("%d %v", code, err)
	}
}
