package platformtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
)

func deployAnswers(t *testing.T, w *World) {
	w.Apply(w.Deployment("f", "1"))
	if a := w.ask("f"); a.Version != "1" {
		t.Errorf("got %+v", a)
	}
	o := w.See("f")
	if o.Fingerprint != "1" || len(o.Replicas) != 1 || o.Replicas[0].State != "ready" || o.Replicas[0].Artefact != "sha256-1" {
		t.Errorf("observed %+v", o)
	}
}

func applyAgain(t *testing.T, w *World) {
	w.Apply(w.Deployment("f", "1"))
	before := w.ask("f")
	w.Apply(w.Deployment("f", "1"))
	if after := w.ask("f"); after.Life != before.Life {
		t.Errorf("process %s was replaced by %s", before.Life, after.Life)
	}
}

func newReplacesOld(t *testing.T, w *World) {
	w.Apply(w.Deployment("f", "1"))
	at := w.See("f").Address
	w.Apply(w.Deployment("f", "2"))
	o := w.Await("f", "one replica", func(o platform.Observed) bool { return len(o.Replicas) == 1 })
	if o.Address != at || o.Fingerprint != "2" || w.ask("f").Version != "2" {
		t.Errorf("was at %s, observed %+v", at, o)
	}
}

func mode(d platform.Deployment, m string) platform.Deployment {
	d.Config.Spec.Env = append(d.Config.Spec.Env, function.EnvVar{Name: "MODE", Value: m})
	return d
}

func failedVersion(t *testing.T, w *World) {
	w.Apply(w.Deployment("f", "1"))
	err := w.Platform.Apply(t.Context(), mode(w.Deployment("f", "2"), "fail"))
	var se *platform.StartError
	if !errors.As(err, &se) || se.Reason != "exit code 1" || !strings.Contains(err.Error(), `cannot import module "numpyy"`) {
		t.Errorf("got %v", err)
	}
	o := w.Await("f", "one replica", func(o platform.Observed) bool { return len(o.Replicas) == 1 })
	if o.Fingerprint != "1" || w.ask("f").Version != "1" {
		t.Errorf("observed %+v", o)
	}
}

func hangingVersion(t *testing.T, w *World) {
	w.Apply(w.Deployment("f", "1"))
	d := mode(w.Deployment("f", "2"), "hang")
	d.Config.Spec.ReadinessTimeoutSeconds = 2
	err := w.Platform.Apply(t.Context(), d)
	if err == nil || !strings.Contains(err.Error(), "not ready within 2s: waiting for a database") {
		t.Errorf("got %v", err)
	}
	if a := w.ask("f"); a.Version != "1" {
		t.Errorf("got %+v", a)
	}
}

// settle waits until the old replicas have drained.
func settle(w *World, name string) {
	w.t.Helper()
	w.Await(name, "the old ones' end", func(o platform.Observed) bool {
		for _, r := range o.Replicas {
			if r.State != "ready" {
				return false
			}
		}
		return len(o.Replicas) > 0
	})
}

// Load sends requests, each by a new connection, until stopped; it returns
// how many were answered, and the first errors.
func Load(clients int, send func() error) (stop func() (int64, error)) {
	var wg sync.WaitGroup
	var n atomic.Int64
	var mu sync.Mutex
	var errs []error
	ctx, cancel := context.WithCancel(context.Background())
	for range clients {
		wg.Go(func() {
			for ctx.Err() == nil {
				err := send()
				n.Add(1)
				if err == nil {
					continue
				}
				mu.Lock()
				if len(errs) < 5 {
					errs = append(errs, err)
				}
				mu.Unlock()
			}
		})
	}
	return func() (int64, error) { cancel(); wg.Wait(); return n.Load(), errors.Join(errs...) }
}

// redeploys is how many versions follow each other under load; see [Harness].
func (h Harness) redeploys() int {
	if n, err := strconv.Atoi(os.Getenv("MYELIN_TEST_REDEPLOYS")); err == nil {
		return n
	}
	return cmp.Or(h.Redeploys, 20)
}

func redeployUnderLoad(t *testing.T, w *World) {
	w.Apply(w.Deployment("f", "0"))
	url := "http://" + w.See("f").Address + "/"
	stop := Load(4, func() error { _, err := Ask(w.fresh, url, "x"); return err })
	for i := range w.h.redeploys() {
		w.Apply(w.Deployment("f", fmt.Sprint(i+1)))
	}
	n, err := stop()
	if err != nil || n == 0 {
		t.Errorf("%d requests: %v", n, err)
	}
}

func crashRestarted(t *testing.T, w *World) {
	w.Apply(w.Deployment("f", "1"))
	old := w.ask("f").Life
	w.Kill("f")
	// The connection is made at once; it waits for the successor.
	start := time.Now()
	for a := w.ask("f"); a.Life == old; a = w.ask("f") {
		if time.Since(start) > patience {
			t.Fatal("the killed process answers")
		}
	}
	t.Logf("answered again after %v", time.Since(start))
	o := w.Await("f", "ready", func(o platform.Observed) bool { return len(o.Replicas) == 1 && o.Replicas[0].State == "ready" })
	if o.Replicas[0].Restarts != 1 {
		t.Errorf("observed %+v", o)
	}
}

func crashLoop(t *testing.T, w *World) {
	w.Apply(w.Deployment("f", "1"))
	url := "http://" + w.See("f").Address + "/exit"
	c := w.client(time.Second)
	o := w.Await("f", "back-off", func(o platform.Observed) bool {
		if resp, err := c.Get(url); err == nil {
			resp.Body.Close()
		}
		return o.Replicas[0].Restarts > 1 && o.Replicas[0].State == "backoff"
	})
	if m := o.Replicas[0].Message; !strings.Contains(m, "exit code 7") {
		t.Errorf("message %q", m)
	}
	w.Await("f", "ready", func(o platform.Observed) bool { return o.Replicas[0].State == "ready" })
}

func drains(t *testing.T, w *World) {
	w.Apply(w.Deployment("f", "1"))
	url := "http://" + w.See("f").Address + "/slow?for=2s"
	type reply struct {
		status int
		err    error
	}
	replies := make(chan reply, 1)
	sent := make(chan struct{})
	go func() {
		close(sent)
		resp, err := w.fresh.Get(url)
		if err != nil {
			replies <- reply{err: err}
			return
		}
		resp.Body.Close()
		replies <- reply{status: resp.StatusCode}
	}()
	<-sent
	w.Apply(w.Deployment("f", "2"))
	if r := <-replies; r.err != nil || r.status != http.StatusOK {
		t.Errorf("got %+v", r)
	}
}

func scales(t *testing.T, w *World) {
	d := w.Deployment("f", "1")
	d.Replicas = 3
	w.Apply(d)
	lives := map[string]bool{}
	for deadline := time.Now().Add(patience); len(lives) < 3 && time.Now().Before(deadline); {
		lives[w.ask("f").Life] = true
	}
	if len(lives) != 3 {
		t.Errorf("%d processes answered, want 3", len(lives))
	}
	d.Replicas = 1
	w.Apply(d)
	w.Await("f", "one replica", func(o platform.Observed) bool { return len(o.Replicas) == 1 })
	w.ask("f")
}

func removes(t *testing.T, w *World) {
	w.Apply(w.Deployment("f", "1"))
	o := w.See("f")
	if err := w.Remove(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	if err := w.Remove(t.Context(), "f"); err != nil {
		t.Errorf("second remove: %v", err)
	}
	if got := w.See("f"); got.Name != "" {
		t.Errorf("observed %+v", got)
	}
	l, err := net.Listen("tcp", o.Address)
	if err != nil {
		t.Fatalf("the address is not free: %v", err)
	}
	l.Close()
}

func addressInUse(t *testing.T, w *World) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := w.Deployment("f", "1")
	d.Address = l.Addr().String()
	if err := w.Platform.Apply(t.Context(), d); err == nil || !strings.Contains(err.Error(), d.Address+": address already in use") {
		t.Errorf("got %v", err)
	}
}

// calledOffRemove removes, calls that off and removes again, as when a function
// is disabled and then deleted: what was being served is served to its end.
func calledOffRemove(t *testing.T, w *World) {
	w.Apply(w.Deployment("f", "1"))
	address := w.See("f").Address
	resp, err := w.fresh.Get("http://" + address + "/slow?for=3s&begin=true")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	ctx, callOff := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Remove(ctx, "f") }()
	w.Await("f", "draining", func(o platform.Observed) bool { return len(o.Replicas) == 1 && o.Replicas[0].State == "draining" })
	callOff()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a Remove that was called off: %v", err)
	}
	if err := w.Remove(t.Context(), "f"); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "1" {
		t.Errorf("what was being served was not: %q, %v", b, err)
	}
	if got := w.See("f"); got.Name != "" {
		t.Errorf("observed %+v", got)
	}
}

// calledOff applies again, at the same address, while what a called-off Apply
// started is still going away: as when a function is deployed anew in the
// moment in which a control plane begins.
func calledOff(t *testing.T, w *World) {
	first := w.Deployment("f", "1")
	w.Apply(first)
	address := w.See("f").Address
	if err := w.Remove(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	slow := mode(w.Deployment("f", "2"), "stubborn")
	slow.Address = address
	ctx, callOff := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Platform.Apply(ctx, slow) }()
	w.Await("f", "a process", func(o platform.Observed) bool { return len(o.Replicas) == 1 && o.Replicas[0].PID > 0 })
	callOff()
	if err := <-done; err == nil {
		t.Error("an Apply that was called off succeeded")
	}
	next := w.Deployment("f", "3")
	next.Address = address
	w.Apply(next)
	if got := w.See("f").Address; got != address {
		t.Errorf("answers at %s, not at %s", got, address)
	}
	if a := w.ask("f"); a.Version != "3" {
		t.Errorf("version %s answers", a.Version)
	}
}
