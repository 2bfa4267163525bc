package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform/platformtest"
	"github.com/myelin-run/myelin/quantity"
)

// sleeper is a function that sleeps when nothing came for a moment.
func sleeper(name string, most int) function.Config {
	cfg := config(name, "1")
	cfg.Spec.MinReplicas, cfg.Spec.MaxReplicas = new(0), new(most)
	cfg.Spec.Scale = &function.Scale{ZeroAfter: quantity.Duration(500 * time.Millisecond)}
	return cfg
}

// asleep waits until nothing of a function runs.
func (w *world) asleep(name string) function.Function {
	w.Helper()
	var f function.Function
	w.await("sleep of "+name, func(ctx context.Context) (err error) {
		f, err = w.client.Function(ctx, name)
		if err == nil && (f.Status.State != function.Asleep || f.Status.Scaling == nil || f.Status.Scaling.Replicas > 0) {
			err = fmt.Errorf("status %+v", f.Status)
		}
		return err
	})
	return f
}

// burst asks so many times at once, and says what went wrong.
func burst(n int, url string) error {
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr, Timeout: patience}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			body := fmt.Sprint(i)
			a, err := platformtest.Ask(c, url, body)
			if err == nil && a.Body != body {
				err = fmt.Errorf("asked %s, got %s", body, a.Body)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// A burst that finds nobody is answered, every request of it, by the gateway and
// at the function's own address.
func TestBurstsFromZero(t *testing.T) {
	w := newWorld(t)
	w.start()
	f := w.deploy(sleeper("hello", 1), function.Ready)
	bursts, size := 2, 200
	if *long {
		bursts, size = 10, 500
	}
	for i := range bursts {
		w.asleep("hello")
		if err := burst(size, f.Status.URL); err != nil {
			t.Fatalf("burst %d: %v", i, err)
		}
	}
	w.asleep("hello")
	if err := burst(20, "http://"+f.Status.Address+"/"); err != nil {
		t.Errorf("at its own address: %v", err)
	}
	got := w.asleep("hello")
	if s := got.Status.Scaling; s == nil || s.Replicas != 0 || len(s.Moves) < 2 || s.Moves[0].To != 0 || !strings.Contains(s.Moves[0].Why, "nothing to do") {
		t.Errorf("scaling %+v", s)
	}
}

// A function that sleeps is woken although the control plane was killed
// meanwhile; the gateway keeps what comes while nobody is there to wake it.
func TestKilledWhileItSleeps(t *testing.T) {
	w := newWorld(t)
	w.start()
	cfg := sleeper("hello", 1)
	cfg.Spec.Env = append(cfg.Spec.Env, function.EnvVar{Name: "MODE", Value: "lingering"}) // and so has its address when the next one wants it
	f := w.deploy(cfg, function.Ready)
	w.asleep("hello")
	w.kill()
	held := make(chan error, 1)
	go func() { held <- burst(20, f.Status.URL) }()
	w.start()
	if err := <-held; err != nil {
		t.Errorf("what came meanwhile: %v", err)
	}
	w.asleep("hello")
	w.kill()
	w.start()
	if err := burst(20, f.Status.URL); err != nil {
		t.Errorf("what came afterwards: %v", err)
	}
	if got := w.asleep("hello"); got.Status.Address != f.Status.Address {
		t.Errorf("moved from %s to %s", f.Status.Address, got.Status.Address)
	}
}

// After all was ended, functions that answered before are waited for instead of
// being refused, whether they are asked by name or by alias.
func TestAllStartedAnew(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.deploy(config("hello", "1"), function.Ready)
	w.publish("hello")
	w.move(alias("prod", 1, 100))
	w.end()
	var asked sync.WaitGroup
	for _, path := range []string{"/hello", "/hello:prod"} {
		asked.Go(func() {
			w.await(path, func(context.Context) error {
				resp, err := platformtest.Fresh().Get("http://" + w.gateway + path)
				if err != nil {
					return err // the gateway is not there yet
				}
				defer resp.Body.Close()
				body, _ := io.ReadAll(resp.Body)
				if strings.Contains(string(body), "the gateway is starting") {
					return errors.New("it has no table yet")
				}
				if resp.StatusCode != http.StatusOK {
					t.Errorf("%s: %d %s", path, resp.StatusCode, body)
				}
				return nil
			})
		})
	}
	w.start()
	asked.Wait()
}

// The number of replicas follows the events at once, up and down again.
func TestReplicasFollowTheLoad(t *testing.T) {
	w := newWorld(t)
	w.start()
	cfg := sleeper("hello", 4)
	cfg.Spec.MinReplicas = new(1)
	cfg.Spec.Scale = &function.Scale{Target: 2, Window: quantity.Duration(2 * time.Second), CoolDown: quantity.Duration(2 * time.Second)}
	f := w.deploy(cfg, function.Ready)
	stop := platformtest.Load(8, func() error {
		resp, err := platformtest.Fresh().Get(f.Status.URL + "/slow?for=2s")
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
	replicas := func(n int) {
		t.Helper()
		w.await(fmt.Sprint(n, " replicas"), func(ctx context.Context) error {
			got, err := w.client.Function(ctx, "hello")
			if err == nil && (got.Status.State != function.Ready || len(got.Status.Replicas) != n) {
				err = fmt.Errorf("status %+v", got.Status)
			}
			return err
		})
	}
	replicas(4)
	if n, err := stop(); err != nil || n == 0 {
		t.Errorf("%d requests: %v", n, err)
	}
	replicas(1)
}

// What sleeps and cannot start says why, and answers so.
func TestWhatDoesNotWakeIsTold(t *testing.T) {
	w := newWorld(t)
	w.start()
	f := w.deploy(sleeper("hello", 1), function.Ready)
	w.asleep("hello")
	if err := os.Remove(filepath.Join(w.dir, platformtest.ProcessorName)); err != nil {
		t.Fatal(err)
	}
	w.await("an answer that says why", func(ctx context.Context) error {
		code, text := get(t, f.Status.URL)
		if code != http.StatusBadGateway || !strings.Contains(text, "is down") {
			return fmt.Errorf("%d %s", code, text)
		}
		return nil
	})
}

// A function that other things than requests come to, which nobody can watch,
// keeps a replica and says so.
func TestWhatCannotSleepSaysSo(t *testing.T) {
	w := newWorld(t)
	w.start()
	cfg := sleeper("hello", 1)
	cfg.Spec.Triggers = map[string]function.Trigger{"in": {Kind: "mqtt", URL: "tcp://127.0.0.1:1"}, "web": {Kind: "http"}}
	f := w.deploy(cfg, function.Ready)
	if s := f.Status.Scaling; s == nil || s.Replicas != 1 || !strings.Contains(s.Kept, "trigger in: the kind mqtt") {
		t.Errorf("scaling %+v", s)
	}
}
