package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/gateway"
	"github.com/myelin-run/myelin/platform/platformtest"
	"github.com/myelin-run/myelin/quantity"
)

const patience = 60 * time.Second

// The test binary is also the processor, the gateway and, to be killed, the
// control plane.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case platformtest.ProcessorName:
		os.Exit(platformtest.Processor())
	case "testgateway":
		os.Exit(exit(runGateway()))
	case "testcontrol":
		os.Exit(exit(runControl()))
	}
	os.Exit(m.Run())
}

func exit(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runGateway() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	o, err := gateway.Inherited(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	return gateway.Run(ctx, o)
}

// authEnv says whether control planes of a test ask who their callers are.
const authEnv = "MYELIN_TEST_AUTH"

// dealerEnv has control planes of a test deal.
const dealerEnv = "MYELIN_TEST_DEALER"

// lingerEnv is how long versions that nothing names run on.
const lingerEnv = "MYELIN_TEST_LINGER"

// warmEnv has control planes of a test keep a processor of the runtime shell parked.
const warmEnv = "MYELIN_TEST_WARM"

func runControl() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	o := options(os.Args[1], os.Args[2], os.Args[3], slog.New(slog.NewTextHandler(os.Stderr, nil)))
	o.ProcessorBinary = os.Args[4]
	o.Access.Authenticate = os.Getenv(authEnv)
	o.Dealer = os.Getenv(dealerEnv) != ""
	if os.Getenv(warmEnv) != "" {
		o.Warm = map[string]int{"shell": 1}
	}
	if text := os.Getenv(lingerEnv); text != "" {
		linger, err := time.ParseDuration(text)
		if err != nil {
			return err
		}
		o.Linger = linger
	}
	c, err := New(o)
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

func options(dir, apiAddr, gatewayAddr string, log *slog.Logger) Options {
	return Options{
		DataDir: dir, APIAddr: apiAddr, GatewayAddr: gatewayAddr, Log: log, Version: "test",
		ProcessorBinary: filepath.Join(dir, platformtest.ProcessorName), GatewayCommand: []string{filepath.Join(dir, "testgateway")},
	}
}

// world is a data directory on which control planes are run, and killed.
type world struct {
	*testing.T
	dir, api, gateway string
	processor         string
	client            *client.Client
	cmd               *exec.Cmd
	said              bytes.Buffer // by control planes that have ended
}

// free returns an address that was free a moment ago. It lies outside the
// range from which the kernel chooses, where others would take it.
func free(t *testing.T) string {
	t.Helper()
	for port := 15000 + os.Getpid()%4000; port < 20000; port++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil && !given[port] {
			l.Close()
			given[port] = true
			return l.Addr().String()
		}
		if err == nil {
			l.Close()
		}
	}
	t.Fatal("no port is free")
	return ""
}

var given = map[int]bool{} // by free; tests of this package run one after the other

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: platformtest.OpenDir(t), api: free(t), gateway: free(t)}
	self := platformtest.CopySelf(t, w.dir)
	for _, name := range []string{"testgateway", "testcontrol"} {
		if err := os.Link(self, filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	w.processor = filepath.Join(w.dir, platformtest.ProcessorName)
	w.client = client.New("http://"+w.api, "", nil)
	w.artefact(digest)
	t.Cleanup(w.end)
	return w
}

var digest = strings.Repeat("ab", 32)

// artefact plants an artefact that the test processor runs.
func (w *world) artefact(digest string) {
	w.Helper()
	dir := filepath.Join(w.dir, "artefacts", digest)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.Fatal(err)
	}
	b, err := json.Marshal(build.Artefact{Digest: digest, Runtime: "shell", Command: []string{filepath.Join(w.dir, platformtest.ProcessorName)}})
	if err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "artefact.json"), b, 0o644); err != nil {
		w.Fatal(err)
	}
}

// logTo gives what a process prints to the test's log.
type logTo struct{ t *testing.T }

func (l logTo) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// start starts a control plane and returns when it answers.
func (w *world) start() {
	w.Helper()
	began := time.Now()
	w.cmd = exec.Command(filepath.Join(w.dir, "testcontrol"), w.dir, w.api, w.gateway, w.processor)
	w.cmd.Stderr = io.MultiWriter(logTo{w.T}, &w.said)
	if err := w.cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.await("the API", func(ctx context.Context) error { return w.client.Healthy(ctx) })
	w.Logf("started in %v", time.Since(began))
}

// kill ends the control plane with signal 9.
func (w *world) kill() {
	w.Helper()
	if err := w.cmd.Process.Kill(); err != nil {
		w.Fatal(err)
	}
	_ = w.cmd.Wait()
	w.cmd = nil
}

// end ends the control plane, which ends its functions and the gateway.
func (w *world) end() {
	if w.cmd == nil {
		w.start()
	}
	_ = w.cmd.Process.Signal(syscall.SIGTERM)
	if err := w.cmd.Wait(); err != nil {
		w.Errorf("control plane: %v", err)
	}
	w.cmd = nil
}

func (w *world) await(what string, ok func(context.Context) error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := ok(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			w.Fatalf("waited for %s: %v", what, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func config(name, version string) function.Config {
	cfg := function.Config{Metadata: function.Metadata{Name: name, Annotations: map[string]string{plan.ArtefactAnnotation: digest}}}
	cfg.Spec.Handler, cfg.Spec.Runtime = "main:handler", "shell"
	cfg.Spec.Env = []function.EnvVar{{Name: "VERSION", Value: version}}
	cfg.Spec.DrainTimeout = quantity.Duration(10 * time.Second)
	return cfg
}

// deploy puts a function and waits until the status is about it, and as wanted.
func (w *world) deploy(cfg function.Config, want function.State) function.Function {
	w.Helper()
	put, err := w.client.Put(w.Context(), cfg)
	if err != nil {
		w.Fatalf("put: %v", err)
	}
	var f function.Function
	w.await("state "+string(want), func(ctx context.Context) error {
		if f, err = w.client.Function(ctx, cfg.Metadata.Name); err != nil {
			return err
		}
		if fmt.Sprint(f.Status.Observed) != put.Metadata.ResourceVersion || f.Status.State != want {
			return fmt.Errorf("status %+v", f.Status)
		}
		return nil
	})
	return f
}

func discard(r io.ReadCloser) {
	_, _ = io.Copy(io.Discard, r)
	r.Close()
}

// publish makes a version of what is deployed.
func (w *world) publish(name string) int {
	w.Helper()
	v, fresh, err := w.client.Publish(w.Context(), name, client.Author{By: "test"})
	if err != nil || !fresh {
		w.Fatalf("publish: %v, %v", fresh, err)
	}
	return v.Number
}

// alias is an alias of hello by versions and weights, one after the other.
func alias(name string, weighted ...any) function.Alias {
	a := function.Alias{Metadata: function.Metadata{Name: name}, Spec: function.AliasSpec{Function: "hello"}}
	for i := 0; i < len(weighted); i += 2 {
		a.Spec.Versions = append(a.Spec.Versions, function.Weighted{Version: fmt.Sprint(weighted[i]), Weight: float64(weighted[i+1].(int))})
	}
	return a
}

// move moves an alias and returns when it leads there.
func (w *world) move(a function.Alias) function.Alias {
	w.Helper()
	out, err := w.client.PutAlias(w.Context(), a, client.MoveOptions{Wait: patience})
	if err != nil || !client.Effective(out) {
		w.Fatalf("move alias: %+v, %v", out, err)
	}
	return out
}
