package local

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/platformtest"
	"github.com/myelin-run/myelin/processor/parked"
	"github.com/myelin-run/myelin/quantity"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == platformtest.ProcessorName {
		os.Exit(platformtest.Processor())
	}
	os.Exit(m.Run())
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(string(bytes.TrimSpace(b)))
	return len(b), nil
}

func harness(t *testing.T, dir string) platform.Platform {
	return New(Options{DataDir: dir, Processor: filepath.Join(dir, platformtest.ProcessorName), Log: slog.New(slog.NewTextHandler(testLog{t}, nil))})
}

func TestSuite(t *testing.T) { platformtest.Run(t, platformtest.Harness{New: harness}) }

func ask(t *testing.T, w *platformtest.World, name, path string) platformtest.Answer {
	t.Helper()
	a, err := platformtest.Ask(platformtest.Fresh(), "http://"+w.See(name).Address+path, "x")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestProcessesAreApart(t *testing.T) {
	t.Setenv("SECRET_OF_THE_PLATFORM", "x")
	w := platformtest.NewWorld(t, platformtest.Harness{New: harness})
	for _, name := range []string{"default.a", "default.b"} {
		d := w.Deployment(name, "1")
		d.Artefact.Command = nil // the generic processor
		w.Apply(d)
	}
	a, b := ask(t, w, "default.a", "/"), ask(t, w, "default.b", "/")
	if os.Geteuid() == 0 && (a.UID < firstUser || a.UID == b.UID) {
		t.Errorf("users %d and %d", a.UID, b.UID)
	}
	if a.FDs > 16 {
		t.Errorf("%d descriptors are open", a.FDs)
	}
	for _, e := range a.Env {
		switch name, _, _ := strings.Cut(e, "="); name {
		case "PATH", "HOME", "LANG", "TMPDIR", "LISTEN_FDS", "LISTEN_FDNAMES", parked.Variable:
		default:
			t.Errorf("the function sees %s", e)
		}
	}
	if filepath.Dir(a.Dir) != filepath.Join(w.Dir, "run", "default.a") {
		t.Errorf("runs in %s", a.Dir)
	}
	st, err := os.Stat(filepath.Join(a.Dir, "processor.yaml"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("processor.yaml: %v, %v", st.Mode(), err)
	}
}

func TestOutOfMemoryIsTold(t *testing.T) {
	w := platformtest.NewWorld(t, platformtest.Harness{New: harness})
	d := w.Deployment("f", "1")
	d.Config.Spec.Resources.Limits = map[string]quantity.Amount{"memory": "64Mi", "cpu": "2"}
	w.Apply(d)
	if m := w.See("f").Message; m != "" {
		if !strings.Contains(m, "resource limits are not in force") {
			t.Errorf("message %q", m)
		}
		t.Skipf("no control groups here: %s", m)
	}
	resp, err := platformtest.Fresh().Get("http://" + w.See("f").Address + "/grow")
	if err == nil {
		resp.Body.Close()
		t.Fatal("a function used more memory than its limit")
	}
	told := false
	w.Await("f", "a restart", func(o platform.Observed) bool {
		told = told || strings.Contains(o.Replicas[0].Message, "out of memory: killed at its limit of 64 MiB")
		return o.Replicas[0].Restarts == 1 && o.Replicas[0].State == "ready"
	})
	if !told {
		t.Error("the status did not say why")
	}
}

func TestRefusals(t *testing.T) {
	w := platformtest.NewWorld(t, platformtest.Harness{New: harness})
	d := w.Deployment("../escape", "1")
	if err := w.Platform.Apply(t.Context(), d); err == nil {
		t.Error("took a name that leads outside")
	}
	d = w.Deployment("f", "1")
	d.Artefact.Command = []string{"missing"}
	if err := w.Platform.Apply(t.Context(), d); err == nil || !strings.Contains(err.Error(), "find processor") {
		t.Errorf("got %v", err)
	}
	if err := New(Options{DataDir: "/" + strings.Repeat("x", 90)}).Run(t.Context()); err == nil {
		t.Error("took a directory whose sockets have no room")
	}
}
