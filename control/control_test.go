package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform/platformtest"
)

// keepAlive reuses connections, as the clients of a gateway do.
func keepAlive(t *testing.T) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := platformtest.Fresh().Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestDeployAnswersEverywhere(t *testing.T) {
	w := newWorld(t)
	w.start()
	f := w.deploy(config("hello", "1"), function.Ready)
	if f.Status.URL != "http://"+w.gateway+"/hello" || f.Status.Artefact != digest || len(f.Status.Replicas) != 1 {
		t.Errorf("status %+v", f.Status)
	}
	for _, url := range []string{"http://" + f.Status.Address + "/a/b", f.Status.URL + "/a/b"} {
		a, err := platformtest.Ask(platformtest.Fresh(), url, "body")
		if err != nil || a.Version != "1" || a.Path != "/a/b" {
			t.Errorf("%s: %+v, %v", url, a, err)
		}
	}
	resp, err := w.client.Invoke(t.Context(), "hello", http.MethodPost, "/x?y=z", nil, strings.NewReader("body"))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("invoke: %+v, %v", resp, err)
	}
	discard(resp.Body)
	if code, text := get(t, "http://"+w.gateway+"/helo"); code != http.StatusNotFound || !strings.Contains(text, "unknown function helo, did you mean hello?") {
		t.Errorf("%d %s", code, text)
	}
	if code, text := get(t, "http://"+w.gateway+"/"); code != http.StatusOK || text != "/hello\tserving\n" {
		t.Errorf("%d %s", code, text)
	}
	if err := w.client.Delete(t.Context(), "hello"); err != nil {
		t.Fatal(err)
	}
	w.await("the function's end", func(context.Context) error {
		if code, text := get(t, f.Status.URL); code != http.StatusNotFound {
			return errors.New(text)
		}
		if conn, err := net.Dial("tcp", f.Status.Address); err == nil {
			conn.Close()
			return errors.New("its address answers")
		}
		return nil
	})
}

func TestRedeployUnderLoadLosesNothing(t *testing.T) {
	w := newWorld(t)
	w.start()
	f := w.deploy(config("hello", "0"), function.Ready)
	kept := keepAlive(t)
	fresh := platformtest.Fresh()
	direct := "http://" + f.Status.Address + "/"
	stops := []func() (int64, error){
		platformtest.Load(2, func() error { _, err := platformtest.Ask(kept, f.Status.URL, "kept"); return err }),
		platformtest.Load(1, func() error { _, err := platformtest.Ask(fresh, f.Status.URL, "fresh"); return err }),
		platformtest.Load(1, func() error { _, err := platformtest.Ask(fresh, direct, "direct"); return err }),
		platformtest.Load(1, func() error { _, err := platformtest.Ask(kept, direct, "kept direct"); return err }),
	}
	for i := range 50 {
		want := fmt.Sprint(i + 1)
		w.deploy(config("hello", want), function.Ready)
		for where, ask := range map[string]func() (platformtest.Answer, error){
			"the gateway, a kept connection": func() (platformtest.Answer, error) { return platformtest.Ask(kept, f.Status.URL, "") },
			"the function, a new connection": func() (platformtest.Answer, error) { return platformtest.Ask(fresh, direct, "") },
		} {
			if a, err := ask(); err != nil || a.Version != want {
				t.Errorf("version %s is ready, and %s leads to %q, %v", want, where, a.Version, err)
			}
		}
	}
	for i, stop := range stops {
		n, err := stop()
		if err != nil || n == 0 {
			t.Errorf("load %d: %d requests: %v", i, n, err)
		}
		t.Logf("load %d: %d requests", i, n)
	}
}

func TestKilledControlPlaneIsNotNoticed(t *testing.T) {
	w := newWorld(t)
	w.start()
	f := w.deploy(config("hello", "1"), function.Ready)
	kept := keepAlive(t)
	direct := "http://" + f.Status.Address + "/"
	stops := []func() (int64, error){
		platformtest.Load(2, func() error { _, err := platformtest.Ask(kept, f.Status.URL, "kept"); return err }),
		platformtest.Load(2, func() error { _, err := platformtest.Ask(platformtest.Fresh(), direct, "fresh"); return err }),
	}
	for range 3 {
		w.kill()
		w.start()
		got, err := w.client.Function(t.Context(), "hello")
		if err != nil || got.Status.Address != f.Status.Address || got.Status.Replicas[0].PID != f.Status.Replicas[0].PID {
			t.Errorf("not adopted: %+v, %v, was %+v", got.Status, err, f.Status)
		}
	}
	if got := w.deploy(config("hello", "2"), function.Ready); got.Status.Address != f.Status.Address {
		t.Errorf("moved from %s to %s", f.Status.Address, got.Status.Address)
	}
	for _, stop := range stops {
		if n, err := stop(); err != nil || n == 0 {
			t.Errorf("%d requests: %v", n, err)
		}
	}
}

func TestFailedVersionIsToldAndTheOldServes(t *testing.T) {
	w := newWorld(t)
	w.start()
	f := w.deploy(config("hello", "1"), function.Ready)
	bad := config("hello", "2")
	bad.Spec.Env = append(bad.Spec.Env, function.EnvVar{Name: "MODE", Value: "fail"})
	got := w.deploy(bad, function.Failed)
	if !strings.Contains(got.Status.Message, "the former one still serves") || !strings.Contains(strings.Join(got.Status.Logs, "\n"), `cannot import module "numpyy"`) {
		t.Errorf("status %+v", got.Status)
	}
	if a, err := platformtest.Ask(platformtest.Fresh(), f.Status.URL, "x"); err != nil || a.Version != "1" {
		t.Errorf("got %+v, %v", a, err)
	}
	if got := w.deploy(config("hello", "3"), function.Ready); got.Status.Message != "" {
		t.Errorf("status %+v", got.Status)
	}
}

func TestCrashIsHealed(t *testing.T) {
	w := newWorld(t)
	w.start()
	f := w.deploy(config("hello", "1"), function.Ready)
	if err := syscall.Kill(f.Status.Replicas[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.await("another process", func(ctx context.Context) error {
		got, err := w.client.Function(ctx, "hello")
		if err != nil || got.Status.State != function.Ready || got.Status.Replicas[0].Restarts != 1 {
			return fmt.Errorf("%+v, %w", got.Status, err)
		}
		return nil
	})
	if _, err := platformtest.Ask(platformtest.Fresh(), f.Status.URL, "x"); err != nil {
		t.Error(err)
	}
}

func TestUnbuiltAndDisabled(t *testing.T) {
	w := newWorld(t)
	w.start()
	cfg := config("hello", "1")
	cfg.Metadata.Annotations = nil
	if f := w.deploy(cfg, function.WaitingForBuild); !strings.Contains(f.Status.Message, "build the function") {
		t.Errorf("status %+v", f.Status)
	}
	if code, text := get(t, "http://"+w.gateway+"/hello"); code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", code, text)
	}
	at := w.deploy(config("hello", "1"), function.Ready).Status.Address
	off := config("hello", "1")
	off.Spec.Disable = true
	w.deploy(off, function.Disabled)
	if code, text := get(t, "http://"+w.gateway+"/hello"); code != http.StatusBadGateway || !strings.Contains(text, "it is disabled") {
		t.Errorf("%d %s", code, text)
	}
	if f := w.deploy(config("hello", "2"), function.Ready); f.Status.Address != at {
		t.Errorf("moved from %s to %s", at, f.Status.Address)
	}
	off.Metadata.Annotations = map[string]string{"myelin.run/artefact": strings.Repeat("cd", 32)}
	off.Spec.Disable = false
	if f := w.deploy(off, function.Failed); !strings.Contains(f.Status.Message, "never built here") {
		t.Errorf("status %+v", f.Status)
	}
}

func TestSecondOneIsRefused(t *testing.T) {
	w := newWorld(t)
	w.start()
	c, err := New(options(w.dir, w.api, w.gateway, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("data directory %s is in use by myelin up, pid %d", w.dir, w.cmd.Process.Pid)
	if err := c.Run(t.Context()); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPortInUseIsTold(t *testing.T) {
	w := newWorld(t)
	for what, change := range map[string]func(*Options, string){
		"API":     func(o *Options, a string) { o.APIAddr = a },
		"gateway": func(o *Options, a string) { o.GatewayAddr = a },
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		o := options(w.dir, w.api, w.gateway, slog.New(slog.NewTextHandler(logTo{t}, nil)))
		change(&o, l.Addr().String())
		c, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("%s address %s is in use (by pid %d, %s)", what, l.Addr(), os.Getpid(), comm(t))
		if err := c.Run(t.Context()); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		l.Close()
	}
}

func comm(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(b))
}

func TestRefusals(t *testing.T) {
	base := options("/tmp/x", "127.0.0.1:1", "127.0.0.1:2", nil)
	for want, change := range map[string]func(*Options){
		"can be reached from other machines": func(o *Options) { o.APIAddr = "0.0.0.0:8070" },
		"want an IP address and a port":      func(o *Options) { o.GatewayAddr = "x" },
		"want an absolute path":              func(o *Options) { o.DataDir = "x" },
		"of at most 70 bytes":                func(o *Options) { o.DataDir = "/tmp/" + strings.Repeat("x", 66) },
		"gateway command":                    func(o *Options) { o.GatewayCommand = nil },
	} {
		o := base
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	base.APIAddr, base.InsecureListen = "0.0.0.0:8070", true
	if _, err := New(base); err != nil {
		t.Error(err)
	}
}

func TestLogsAndWatchThroughTheClient(t *testing.T) {
	w := newWorld(t)
	w.start()
	seen := make(chan client.Event, 64)
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() {
		watched <- w.client.Watch(ctx, "", func(e client.Event) error { seen <- e; return nil })
	}()
	if e := <-seen; e.Kind != "synced" {
		t.Errorf("first event %+v", e)
	}
	f := w.deploy(config("hello", "1"), function.Ready)
	for {
		e := <-seen
		if e.Function.Status.State == function.Ready {
			break
		}
	}
	cancel()
	if err := <-watched; err == nil {
		t.Error("a watch ended without a reason")
	}
	resp, err := http.Post("http://"+f.Status.Address+"/log", "", strings.NewReader("said"))
	if err != nil {
		t.Fatal(err)
	}
	discard(resp.Body)
	var out bytes.Buffer
	if err := w.client.Logs(t.Context(), "hello", client.LogOptions{Tail: -1}, &out); err != nil || out.String() != "said\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestLeaveRunning(t *testing.T) {
	w := newWorld(t)
	o := options(w.dir, w.api, w.gateway, slog.New(slog.NewTextHandler(logTo{t}, nil)))
	o.LeaveRunning = true
	ready := make(chan Addresses, 1)
	o.Ready = func(a Addresses) { ready <- a }
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	<-ready
	f := w.deploy(config("hello", "1"), function.Ready)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	before, err := platformtest.Ask(platformtest.Fresh(), f.Status.URL, "x")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	w.start()
	t.Logf("adopted after %v", time.Since(start))
	if after, err := platformtest.Ask(platformtest.Fresh(), f.Status.URL, "x"); err != nil || after.PID != before.PID {
		t.Errorf("process %d, was %d, %v", after.PID, before.PID, err)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.deploy(config("hello", "1"), function.Ready)
	w.end()
	for _, pattern := range []string{"run/*/r*", "s/*", "g/*", "gateway/r*", "tmp/*"} {
		if left, _ := filepath.Glob(filepath.Join(w.dir, pattern)); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	w.start()
	w.await("the function", func(ctx context.Context) error {
		_, err := platformtest.Ask(platformtest.Fresh(), "http://"+w.gateway+"/hello", "x")
		return err
	})
}
