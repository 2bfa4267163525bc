package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/platformtest"
)

const patience = time.Minute

var modeFail = function.EnvVar{Name: "MODE", Value: "fail"}

// parking is a platform that keeps one processor parked.
func parking(t *testing.T, dir string) platform.Platform {
	return New(Options{
		DataDir: dir, Processor: filepath.Join(dir, platformtest.ProcessorName), Log: slog.New(slog.NewTextHandler(testLog{t}, nil)),
		Warm: map[string]int{"python": 1}, Wake: func(string) {},
	})
}

// sleeper is a deployment that has run and now sleeps.
func sleeper(w *platformtest.World, name, version string) platform.Deployment {
	d := w.Deployment(name, version)
	d.Config.Spec.Runtime = "python:3"
	w.Apply(d)
	d.Replicas = 0
	w.Apply(d)
	// One that drains may still answer.
	w.Await(name, "sleep", func(o platform.Observed) bool { return o.Asleep && len(o.Replicas) == 0 })
	return d
}

// await polls until ok says nothing is amiss.
func await(t *testing.T, what string, ok func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s: %v", what, err)
		}
	}
}

// processRecord is what the platform keeps of a process.
type processRecord struct {
	PID    int  `json:"pid"`
	Parked bool `json:"parked"`
}

func recordsOf(t *testing.T, w *platformtest.World, name string) (out []processRecord) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(w.Dir, "run", name, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		var r processRecord
		if err != nil || json.Unmarshal(b, &r) != nil {
			t.Fatalf("%s: %v: %s", path, err, b)
		}
		out = append(out, r)
	}
	return out
}

// parkedOf waits for the parked process of a function.
func parkedOf(t *testing.T, w *platformtest.World, name string) (pid int) {
	t.Helper()
	await(t, "a parked process of "+name, func() error {
		for _, r := range recordsOf(t, w, name) {
			if r.Parked {
				pid = r.PID
				return nil
			}
		}
		return errors.New("there is none")
	})
	return pid
}

// gone waits until a process is no more.
func gone(t *testing.T, pid int) {
	t.Helper()
	await(t, fmt.Sprint("the end of process ", pid), func() error {
		if !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return errors.New("it is there")
		}
		return nil
	})
}

func TestAParkedProcessServes(t *testing.T) {
	w := platformtest.NewWorld(t, platformtest.Harness{New: parking})
	d := sleeper(w, "f", "1")
	pid := parkedOf(t, w, "f")
	if o := w.See("f"); !o.Asleep {
		t.Errorf("does not sleep: %+v", o)
	}
	a := ask(t, w, "f", "/")
	if a.PID != pid || a.Version != "1" {
		t.Errorf("process %d answered, want %d: %+v", a.PID, pid, a)
	}
	if os.Geteuid() == 0 && a.UID < firstUser {
		t.Errorf("it runs as user %d", a.UID)
	}
	if filepath.Dir(a.Dir) != filepath.Join(w.Dir, "run", "f") {
		t.Errorf("it runs in %s", a.Dir)
	}
	for _, e := range a.Env {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "MYELIN") {
			t.Errorf("the function sees %s", e)
		}
	}
	w.Await("f", "readiness", func(o platform.Observed) bool {
		return len(o.Replicas) == 1 && o.Replicas[0].State == "ready" && o.Replicas[0].PID == pid && o.Replicas[0].Restarts == 0
	})
	w.Apply(d)
	next := parkedOf(t, w, "f")
	if next == pid {
		t.Fatal("the process that served is parked")
	}
	gone(t, pid)
	if err := w.Remove(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	gone(t, next)
}

func TestAParkedProcessThatDiedIsNotUsed(t *testing.T) {
	w := platformtest.NewWorld(t, platformtest.Harness{New: parking})
	sleeper(w, "f", "1")
	pid := parkedOf(t, w, "f")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if a := ask(t, w, "f", "/"); a.PID == pid || a.Version != "1" {
		t.Errorf("got %+v", a)
	}
}

// It dies when it has been told to serve, and before it could.
func TestAParkedProcessThatDiesWhenItIsUsed(t *testing.T) {
	w := platformtest.NewWorld(t, platformtest.Harness{New: parking})
	sleeper(w, "f", "1")
	pid := parkedOf(t, w, "f")
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	url := "http://" + w.See("f").Address + "/"
	answered := make(chan error, 1)
	var a platformtest.Answer
	go func() {
		var err error
		a, err = platformtest.Ask(platformtest.Fresh(), url, "x")
		answered <- err
	}()
	await(t, "the word to serve", func() error {
		if rs := recordsOf(t, w, "f"); len(rs) != 1 || rs[0].Parked {
			return fmt.Errorf("see %+v", rs)
		}
		return nil
	})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	if a.PID == pid || a.Version != "1" {
		t.Errorf("got %+v", a)
	}
}

func TestAnotherVersionEndsTheParkedProcess(t *testing.T) {
	w := platformtest.NewWorld(t, platformtest.Harness{New: parking})
	sleeper(w, "f", "1")
	old := parkedOf(t, w, "f")
	sleeper(w, "f", "2")
	gone(t, old)
	pid := parkedOf(t, w, "f")
	if a := ask(t, w, "f", "/"); a.Version != "2" || a.PID != pid {
		t.Errorf("got %+v, want process %d", a, pid)
	}
}

func TestPlacesGoToWhoFellAsleepLast(t *testing.T) {
	w := platformtest.NewWorld(t, platformtest.Harness{New: parking})
	sleeper(w, "f", "1")
	first := parkedOf(t, w, "f")
	sleeper(w, "g", "1")
	second := parkedOf(t, w, "g")
	gone(t, first)
	if a := ask(t, w, "f", "/"); a.PID == first {
		t.Errorf("got %+v", a)
	}
	if a := ask(t, w, "g", "/"); a.PID != second {
		t.Errorf("process %d answered, want %d", a.PID, second)
	}
}

// A version whose start fails says why, whether or not it was parked.
func TestAParkedProcessThatCannotServe(t *testing.T) {
	w := platformtest.NewWorld(t, platformtest.Harness{New: parking})
	d := w.Deployment("f", "1")
	d.Config.Spec.Runtime = "python"
	d.Config.Spec.Env = append(d.Config.Spec.Env, modeFail)
	d.Replicas = 0
	w.Apply(d)
	pid := parkedOf(t, w, "f")
	d.Replicas = 1
	err := w.Platform.Apply(t.Context(), d)
	var se *platform.StartError
	if !errors.As(err, &se) || !strings.Contains(err.Error(), `cannot import module "numpyy"`) {
		t.Errorf("got %v", err)
	}
	gone(t, pid)
}

// One that does not listen any more goes with its platform all the same.
func TestAParkedProcessGoesWithItsPlatform(t *testing.T) {
	w := platformtest.NewWorld(t, platformtest.Harness{New: parking})
	sleeper(w, "f", "1")
	pid := parkedOf(t, w, "f")
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w.End()
	gone(t, pid)
	if rs := recordsOf(t, w, "f"); len(rs) > 0 {
		t.Errorf("left %+v", rs)
	}
	w.Start()
}

func TestWarm(t *testing.T) {
	w := newWarm(map[string]int{"python": 2})
	if b, _ := w.enter("x", "golang"); b != nil {
		t.Error("a place for a runtime that has none")
	}
	a, out := w.enter("a", "python")
	if a == nil || out != "" {
		t.Errorf("got %v, %q", a, out)
	}
	_, _ = w.enter("b", "python")
	c, out := w.enter("c", "python")
	if out != "a" {
		t.Errorf("%q has to go, want a", out)
	}
	w.leave(a, "python") // it has gone already
	again, out := w.enter("a", "python")
	if out != "b" {
		t.Errorf("%q has to go, want b", out)
	}
	w.leave(c, "python")
	w.leave(again, "python")
	if n := len(w.parked["python"]); n != 0 {
		t.Errorf("%d places are taken", n)
	}
}
