package local

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/platformtest"
)

// What a former life left and no longer runs is cleared away, and a number that
// is somebody else's by now is left alone.
func TestStaleReplicasAreCleared(t *testing.T) {
	dir := platformtest.OpenDir(t)
	run := filepath.Join(dir, "run", "default.f")
	scratch := filepath.Join(dir, "s", "s1")
	for _, d := range []string{filepath.Join(run, "r1"), filepath.Join(run, "unknown"), scratch} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"r1.json": fmt.Sprintf(`{"pid":%d,"start":1,"boot":"x","name":"r1","scratch":%q}`, os.Getpid(), scratch),
		"r2.json": `{"pid":1,"name":"../../../r2"}`,
		"r3.json": `not JSON`,
	} {
		if err := os.WriteFile(filepath.Join(run, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := harness(t, dir).(*Platform)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	if got, err := p.Observe(ctx, ""); err != nil || len(got) != 0 {
		t.Errorf("observed %+v, %v", got, err)
	}
	for _, gone := range []string{filepath.Join(run, "r1"), filepath.Join(run, "r1.json"), filepath.Join(run, "unknown"), scratch} {
		if _, err := os.Stat(gone); !os.IsNotExist(err) {
			t.Errorf("%s is still there (%v)", gone, err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A function that is to answer elsewhere does, and its old address ends.
func TestAddressChanges(t *testing.T) {
	w := platformtest.NewWorld(t, platformtest.Harness{New: harness})
	d := w.Deployment("f", "1")
	w.Apply(d)
	old := w.See("f").Address
	port := 0
	if _, err := fmt.Sscanf(old, "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	for { // the next free one
		port++
		d.Address = fmt.Sprintf("127.0.0.1:%d", port)
		err := w.Platform.Apply(t.Context(), d)
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "address already in use") {
			t.Fatal(err)
		}
	}
	if got := w.See("f").Address; got != d.Address {
		t.Errorf("at %s, want %s", got, d.Address)
	}
	ask(t, w, "f", "/")
	w.Await("f", "the old one's end", func(o platform.Observed) bool { return len(o.Replicas) == 1 })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		resp, err := platformtest.Fresh().Get("http://" + old + "/")
		if err != nil {
			break
		}
		resp.Body.Close()
		if time.Now().After(deadline) {
			t.Fatal("the old address still answers")
		}
	}
}

func TestLogReaderFollowsRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.log")
	add := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	l := &logReader{path: path, w: &out}
	defer l.close()
	step := func(err error, want string) {
		t.Helper()
		if err != nil || out.String() != want {
			t.Errorf("got %q, %v, want %q", out.String(), err, want)
		}
		out.Reset()
	}
	step(l.tail(3), "")
	add("1\n2\n")
	step(l.more(), "1\n2\n")
	add("3\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	step(l.more(), "3\n")
	add("4\n")
	step(l.more(), "4\n")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	add("5\n")
	l.more() // what was emptied meanwhile may be seen now or next time
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/hostname", path); err != nil {
		t.Fatal(err)
	}
	if err := (&logReader{path: path, w: &out}).tail(1); err == nil {
		t.Error("followed a link out of the directory")
	}
}

func TestLastLines(t *testing.T) {
	text := strings.Repeat("some line\n", 9000) + "a\nb\nlast without end"
	for n, want := range map[int]string{0: "", 1: "last without end", 2: "b\nlast without end", 3: "a\nb\nlast without end", 100000: text} {
		from, err := lastLines(strings.NewReader(text), int64(len(text)), n)
		if err != nil || text[from:] != want {
			t.Errorf("%d lines: got %d bytes, %v", n, len(text)-int(from), err)
		}
	}
}

func TestUsersAreKept(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives functions users of their own")
	}
	path := filepath.Join(t.TempDir(), "users.json")
	number := func(name string) uint32 {
		t.Helper()
		u, err := loadUsers(path) // anew each time, as after a restart
		if err != nil {
			t.Fatal(err)
		}
		c, err := u.of(name)
		if err != nil {
			t.Fatal(err)
		}
		return c.Uid
	}
	a, b := number("a"), number("b")
	if a == b || number("a") != a {
		t.Errorf("users %d, %d, then %d", a, b, number("a"))
	}
	u, err := loadUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.free("a"); err != nil {
		t.Fatal(err)
	}
	if c := number("c"); c != a {
		t.Errorf("a freed user was not used again: %d", c)
	}
	text, err := os.ReadFile(path)
	if err != nil || !json.Valid(text) {
		t.Errorf("%s, %v", text, err)
	}
}
