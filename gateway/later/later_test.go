package later

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

var quiet = slog.New(slog.DiscardHandler)

func open(t *testing.T, dir string, do func(*Request) (Result, Outcome)) *Store {
	t.Helper()
	s := unopened(t, dir, do)
	running(t, s)
	return s
}

func unopened(t *testing.T, dir string, do func(*Request) (Result, Outcome)) *Store {
	t.Helper()
	s, err := New(dir, do, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// running runs a store until the test ends.
func running(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}

func await(t *testing.T, s *Store, id string) Result {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); ; <-tick.C {
		r, err := s.Get(id, time.Now())
		if err == nil {
			return r
		}
		if !errors.Is(err, ErrPending) || time.Now().After(end) {
			t.Fatalf("get: %v", err)
		}
	}
}

// Two that share a directory do each request once, though nobody tells them.
func TestTwoShare(t *testing.T) {
	dir := t.TempDir()
	var done atomic.Int64
	do := func(r *Request) (Result, Outcome) {
		done.Add(1)
		return Result{Status: 200, Body: append([]byte("to "), r.Body...)}, Done
	}
	a, b := open(t, dir, do), open(t, dir, do)
	const n = 50
	ids := make([]string, n)
	for i := range n {
		var err error
		if ids[i], err = a.Put(Request{Until: time.Now().Add(time.Hour), Keep: 3600, Attempts: 1, Body: []byte{byte(i), '\n', 0}}); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range ids {
		if r := await(t, b, id); string(r.Body) != "to "+string([]byte{byte(i), '\n', 0}) {
			t.Errorf("%q", r.Body)
		}
	}
	if done.Load() != n {
		t.Errorf("%d of %d were done", done.Load(), n)
	}
}

func TestAttemptsEnd(t *testing.T) {
	var asked atomic.Int64
	s := open(t, t.TempDir(), func(*Request) (Result, Outcome) { asked.Add(1); return Result{Status: 502}, Failed })
	id, err := s.Put(Request{Until: time.Now().Add(time.Hour), Keep: 3600, Attempts: 2})
	if err != nil {
		t.Fatal(err)
	}
	if r := await(t, s, id); r.Status != 502 || asked.Load() != 2 {
		t.Errorf("%+v after %d attempts", r, asked.Load())
	}
	if id, err = s.Put(Request{Until: time.Now().Add(-time.Second), Keep: 3600}); err != nil {
		t.Fatal(err)
	}
	if r := await(t, s, id); r.Status != 504 {
		t.Errorf("of one whose time was over: %+v", r)
	}
}

// Files that are not ours do no harm, and answers are forgotten.
func TestStrangeFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"00000000000000000000000000000001.req": "nonsense", "x.req": "", "00000000000000000000000000000002.res": "{}", ".new-1": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir, func(*Request) (Result, Outcome) { return Result{Status: 200}, Done })
	id, err := s.Put(Request{Until: time.Now().Add(time.Hour), Keep: -10, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(30 * time.Second); ; <-tick.C {
		if _, err := s.Get(id, time.Now()); errors.Is(err, ErrUnknown) {
			if _, err := os.Stat(filepath.Join(dir, id+answered)); err != nil {
				break
			}
		}
		if time.Now().After(end) {
			t.Fatal("the answer is not forgotten")
		}
	}
	for _, id := range []string{"", "x", "../x", "00000000000000000000000000000001", "00000000000000000000000000000002"} {
		if _, err := s.Get(id, time.Now()); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("{\"id\":\"x\"}\nbody"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Request
		if body, err := parse(b, &r); err == nil && len(body) >= len(b) {
			t.Error("a body of more than there is")
		}
	})
}
