package platformtest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/logline"
	"github.com/myelin-run/myelin/platform"
)

func adopts(t *testing.T, w *World) {
	if _, ok := w.Platform.(platform.Runner); !ok {
		t.Skip("this platform does not supervise")
	}
	d := w.Deployment("f", "1")
	w.Apply(d)
	before, at := w.ask("f"), w.See("f").Address
	url := "http://" + at + "/"
	stop := Load(2, func() error { _, err := Ask(w.fresh, url, "x"); return err })
	w.End()
	if a, err := Ask(w.fresh, url, "alone"); err != nil || a.Life != before.Life {
		t.Errorf("without a platform: %+v, %v", a, err)
	}
	w.Start()
	w.Apply(d)
	if a := w.ask("f"); a.Life != before.Life || w.See("f").Address != at {
		t.Errorf("process %s at %s was not adopted: %+v at %s", before.Life, at, a, w.See("f").Address)
	}
	w.Apply(w.Deployment("f", "2"))
	settle(w, "f")
	if n, err := stop(); err != nil || n == 0 {
		t.Errorf("%d requests: %v", n, err)
	}
	if a := w.ask("f"); a.Version != "2" || w.See("f").Address != at {
		t.Errorf("after a new version: %+v", a)
	}
	// The successor restarts what it adopted, at the same address.
	w.End()
	w.Start()
	w.Apply(w.Deployment("f", "2"))
	settle(w, "f")
	killed := w.Kill("f")
	w.Await("f", "another process", func(o platform.Observed) bool {
		return len(o.Replicas) == 1 && o.Replicas[0].State == "ready" && o.Replicas[0].Restarts > killed.Restarts
	})
	w.ask("f")
}

func stopKeeps(t *testing.T, w *World) {
	s, ok := w.Platform.(platform.Stopper)
	if !ok {
		t.Skip("this platform does not stop")
	}
	d := w.Deployment("f", "1")
	w.Apply(d)
	d.Address = w.See("f").Address
	old := w.See("f").Replicas[0]
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.h.Signal(w.Platform, old, 0); err == nil {
		t.Errorf("process %d still runs", old.PID)
	}
	w.End()
	w.Start()
	w.Apply(d)
	if got := w.See("f").Address; got != d.Address {
		t.Errorf("at %s, was at %s", got, d.Address)
	}
	w.ask("f")
}

// lockedBuffer is written by one goroutine and read by another.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// messages are those of the lines of a log, whatever its form.
func messages(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		fmt.Fprintln(&b, logline.Parse(strings.TrimSuffix(line, "\n")).Message)
	}
	return b.String()
}

func logsFollow(t *testing.T, w *World) {
	logs, ok := w.Platform.(platform.Logs)
	if !ok {
		t.Skip("this platform keeps no logs")
	}
	w.Apply(w.Deployment("f", "1"))
	say := func(text string) {
		t.Helper()
		resp, err := w.fresh.Post("http://"+w.See("f").Address+"/log", "", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	for i := range 5 {
		say(fmt.Sprintf("line %d", i))
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // it may come from afar
		var out bytes.Buffer
		err := logs.Logs(t.Context(), "f", platform.FunctionLog, 2, false, &out)
		if err == nil && messages(out.String()) == "line 3\nline 4\n" {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("tail: %q, %v", out.String(), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var followed lockedBuffer
	done := make(chan error, 1)
	go func() { done <- logs.Logs(ctx, "f", platform.FunctionLog, 0, true, &followed) }()
	for deadline := time.Now().Add(patience); !strings.Contains(messages(followed.String()), "later\n"); time.Sleep(20 * time.Millisecond) {
		say("later")
		if time.Now().After(deadline) {
			t.Fatalf("followed %q", followed.String())
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("follow: %v", err)
	}
	if strings.Contains(followed.String(), "line") {
		t.Errorf("followed from too early: %q", followed.String())
	}
}
