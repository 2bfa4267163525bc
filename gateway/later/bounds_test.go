package later

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// request is one that has an hour.
func request(body string) Request {
	return Request{Until: time.Now().Add(time.Hour), Keep: 3600, Attempts: 1, Body: []byte(body)}
}

func put(t *testing.T, s *Store, r Request) string {
	t.Helper()
	id, err := s.Put(r)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// files are those of a directory that end so.
func files(t *testing.T, dir, end string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*"+end))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What waits is bounded, by number and by size, also of what another process had
// put in; there is room again once it is done.
func TestFull(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]load{"number": {3, 1 << 20}, "size": {100, 1000}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			first, err := New(dir, nil, quiet)
			if err != nil {
				t.Fatal(err)
			}
			first.limits.requests = l
			body := strings.Repeat("x", 300)
			ids := []string{put(t, first, request(body)), put(t, first, request(body)), put(t, first, request(body))}
			if _, err := first.Put(request(body)); !errors.Is(err, ErrFull) {
				t.Errorf("put: %v", err)
			}
			if got := files(t, dir, ""); len(got) != 3 {
				t.Errorf("files %v", got)
			}
			gate := make(chan struct{})
			t.Cleanup(func() { sendOff(gate) })
			second := open(t, dir, func(r *Request) (Result, Outcome) {
				<-gate
				return Result{Status: 200, Body: r.Body}, Done
			})
			second.mu.Lock()
			second.limits.requests = l
			second.mu.Unlock()
			eventually(t, "what another put in to be counted", func() bool {
				second.mu.Lock()
				defer second.mu.Unlock()
				return second.waiting.n == 3
			})
			if _, err := second.Put(request(body)); !errors.Is(err, ErrFull) {
				t.Errorf("put: %v", err)
			}
			sendOff(gate)
			for _, id := range ids {
				await(t, second, id)
			}
			eventually(t, "room", func() bool { _, err := second.Put(request(body)); return err == nil })
		})
	}
}

func sendOff(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s", what)
		}
	}
}

// On a full disk nothing is taken, and nothing half-written stays; an answer that
// cannot be kept is kept when there is room, and its request is not done again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var full atomic.Bool
	var refused, done atomic.Int64
	s := unopened(t, dir, func(r *Request) (Result, Outcome) {
		done.Add(1)
		full.Store(true)
		return Result{Status: 200, Body: r.Body}, Done
	})
	s.retry = 10 * time.Millisecond
	s.fill = func(f *os.File, b []byte) error {
		if !full.Load() {
			return fill(f, b)
		}
		refused.Add(1)
		_, _ = f.Write(b[:len(b)/2])
		return &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	running(t, s)
	full.Store(true)
	if _, err := s.Put(request("a")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("put on a full disk: %v", err)
	}
	if got, _ := os.ReadDir(dir); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
	full.Store(false)
	before := refused.Load()
	id := put(t, s, request("b"))
	eventually(t, "the answer to be refused twice", func() bool { return refused.Load() >= before+2 })
	full.Store(false)
	if r := await(t, s, id); string(r.Body) != "b" || done.Load() != 1 {
		t.Errorf("%q after %d runs", r.Body, done.Load())
	}
	eventually(t, "the request to go", func() bool { return len(files(t, dir, asked)) == 0 })
}

// Answers are bounded: those whose time would be over next go first.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := unopened(t, dir, func(r *Request) (Result, Outcome) { return Result{Status: 200, Body: r.Body}, Done })
	s.limits.answers = load{3, 1 << 20}
	running(t, s)
	var ids []string
	for n := range 5 {
		r := request(fmt.Sprint(n))
		r.Keep += int64(n) * 60
		ids = append(ids, put(t, s, r))
	}
	eventually(t, "two to be forgotten", func() bool { return len(files(t, dir, asked)) == 0 && len(files(t, dir, answered)) == 3 })
	for n, id := range ids {
		if _, err := s.Get(id, time.Now()); (err == nil) != (n >= 2) {
			t.Errorf("answer %d: %v", n, err)
		}
	}
}

// A request whose answer was kept, and whose process died before it was cleared away,
// is not done again.
func TestAnsweredAlready(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var done atomic.Int64
	s := unopened(t, dir, func(*Request) (Result, Outcome) { done.Add(1); return Result{Status: 200}, Done })
	id := put(t, s, request("x"))
	if err := s.write(id+answered, Result{Until: time.Now().Add(time.Hour), Status: 201}, nil, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	running(t, s)
	eventually(t, "the request to go", func() bool { return len(files(t, dir, asked)) == 0 })
	if r := await(t, s, id); r.Status != 201 || done.Load() != 0 {
		t.Errorf("%+v after %d runs", r, done.Load())
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	for tried, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 6: 30 * time.Second, 1000: 30 * time.Second} {
		if got := pause(tried); got != want {
			t.Errorf("after %d: %v, want %v", tried, got, want)
		}
	}
}

// What was promised by a process that is killed is done by the next.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), "LATER_DIR="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	promised := map[string]string{} // ids, and what was asked
	for lines := bufio.NewScanner(out); len(promised) < 60 && lines.Scan(); {
		if id, body, ok := strings.Cut(lines.Text(), " asks "); ok {
			promised[id] = body
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	if len(promised) < 60 {
		t.Fatalf("only %d were promised", len(promised))
	}
	answeredBy := map[string]int{}
	s := open(t, dir, func(r *Request) (Result, Outcome) {
		return Result{Status: 200, Fields: [][2]string{{"By", "heir"}}, Body: r.Body}, Done
	})
	for id, body := range promised {
		r := await(t, s, id)
		if string(r.Body) != body {
			t.Errorf("%s: %q, want %q", id, r.Body, body)
		}
		answeredBy[r.Fields[0][1]]++
	}
	t.Logf("answered by %v", answeredBy)
}

// TestMain is also the process that TestKilled kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("LATER_DIR"); dir != "" {
		fmt.Fprintln(os.Stderr, promise(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// promise puts requests in, says which, and does them, until it is killed.
func promise(dir string) error {
	s, err := New(dir, func(r *Request) (Result, Outcome) {
		<-time.After(3 * time.Millisecond)
		return Result{Status: 200, Fields: [][2]string{{"By", "dead"}}, Body: r.Body}, Done
	}, quiet)
	if err != nil {
		return err
	}
	go func() { _ = s.Run(context.Background()) }()
	for n := 0; ; n++ {
		body := fmt.Sprint("n", n)
		id, err := s.Put(request(body))
		if errors.Is(err, ErrFull) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Println(id + " asks " + body); err != nil {
			return err
		}
	}
}
