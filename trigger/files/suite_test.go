package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/mortal"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	if mortal.Main(func(arg string) (trigger.Trigger, error) {
		return Factory().New(trigger.Settings{Name: "in", Function: "f"}, []byte(arg))
	}) {
		return
	}
	mortal.Beside()
	os.Exit(m.Run())
}

// broker is a directory; files are written elsewhere and moved into it.
type broker struct {
	dir, aside string
	n          atomic.Int64
}

func newBroker(t testing.TB) *broker {
	t.Helper()
	b := &broker{dir: filepath.Join(t.TempDir(), "in"), aside: t.TempDir()}
	must(t, os.Mkdir(b.dir, 0o755))
	return b
}

func (b *broker) attributes(more map[string]any) map[string]any {
	m := map[string]any{"directory": b.dir, "interval": "50ms", "settle": "100ms"}
	maps.Copy(m, more)
	return m
}

func at(t testing.TB, s trigger.Settings, attributes map[string]any) trigger.Trigger {
	t.Helper()
	raw, err := json.Marshal(attributes)
	must(t, err)
	trg, err := Factory().New(s, raw)
	must(t, err)
	return trg
}

// Trigger implements triggertest.Broker: what fails goes to the letters of the
// suite.
func (b *broker) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	t.Helper()
	if s.Spec.OnFailure == nil {
		s.Spec.OnFailure = &function.Destination{Kind: "store"}
	}
	return at(t, s, b.attributes(nil))
}

// Produce implements triggertest.Broker.
func (b *broker) Produce(t testing.TB, rs ...triggertest.Record) {
	t.Helper()
	for _, r := range rs {
		b.put(t, fmt.Sprintf("%06d.txt", b.n.Add(1)), r.Body)
	}
}

// put moves a file into the directory.
func (b *broker) put(t testing.TB, name, content string) {
	t.Helper()
	from := filepath.Join(b.aside, name)
	must(t, os.WriteFile(from, []byte(content), 0o600))
	must(t, os.Rename(from, filepath.Join(b.dir, name)))
}

// Broken implements triggertest.Breaker.
func (b *broker) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	absent := b.dir + "-absent"
	return map[string]triggertest.Broken{"directory": {Trigger: at(t, s, b.attributes(map[string]any{"directory": absent})), Says: "no such file or directory",
		Mend: func() { must(t, os.Mkdir(absent, 0o755)) }}}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSuite(t *testing.T) {
	triggertest.QueueSuite(t, triggertest.Guarantees{NoKeys: true, NoHeaders: true, Parallel: true, New: func(t testing.TB) triggertest.Broker { return newBroker(t) }})
}

// running is a trigger that runs, and the files that its function saw.
type running struct {
	trigger.Reporter
	t    testing.TB
	mu   sync.Mutex
	seen []*event.Event
	end  func()
}

func run(t testing.TB, attributes map[string]any, then func(*event.Event) error) *running {
	t.Helper()
	trg := at(t, trigger.Settings{Name: "in", Function: "f", Workers: 2, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}, attributes)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Reporter: trg.(trigger.Reporter), t: t}
	done := make(chan error, 1)
	go func() {
		done <- trg.Run(ctx, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, _ *event.Response) error {
			r.mu.Lock()
			r.seen = append(r.seen, ev.Clone())
			r.mu.Unlock()
			if then != nil {
				return then(ev)
			}
			return nil
		}))
	}()
	r.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(r.end)
	return r
}

func (r *running) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited for %s: %+v", what, r.Report())
		}
	}
}

// bodies are the contents of the files that ran, by name.
func (r *running) bodies() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := map[string]string{}
	for _, ev := range r.seen {
		m[string(ev.Header("file-name"))] = string(ev.Body)
	}
	return m
}

func there(path ...string) bool {
	_, err := os.Lstat(filepath.Join(path...))
	return err == nil
}

func content(t testing.TB, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	must(t, err)
	return string(b)
}

// TestWhereFilesGo: what is done is in done, what failed is in failed with the
// reason, a name that is taken there gets another, and what is no file of the
// pattern stays.
func TestWhereFilesGo(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	must(t, os.Mkdir(filepath.Join(b.dir, "done"), 0o755))
	must(t, os.WriteFile(filepath.Join(b.dir, "done", "a.csv"), []byte("before"), 0o600))
	outside := filepath.Join(b.aside, "secret")
	must(t, os.WriteFile(outside, []byte("secret"), 0o600))
	must(t, os.Symlink(outside, filepath.Join(b.dir, "link.csv")))
	must(t, os.Mkdir(filepath.Join(b.dir, "dir.csv"), 0o755))
	must(t, syscall.Mkfifo(filepath.Join(b.dir, "pipe.csv"), 0o600))
	for name, body := range map[string]string{"a.csv": "1", "bad.csv": "2", "large.csv": strings.Repeat("x", 2000), "other.txt": "3", ".hidden.csv": "4"} {
		b.put(t, name, body)
	}
	r := run(t, b.attributes(map[string]any{"pattern": "*.csv", "maxSize": "1Ki"}), func(ev *event.Event) error {
		if string(ev.Body) == "2" {
			return event.Permanent(fmt.Errorf("no good"))
		}
		return nil
	})
	r.until("all to be settled", func() bool {
		done, _ := filepath.Glob(filepath.Join(b.dir, "done", "a.csv.*"))
		return len(done) == 1 && there(b.dir, "failed", "bad.csv.reason") && there(b.dir, "failed", "large.csv.reason")
	})
	r.end()
	if got := r.bodies(); len(got) != 2 || got["a.csv"] != "1" || got["bad.csv"] != "2" {
		t.Errorf("ran %v", got)
	}
	if content(t, b.dir, "done", "a.csv") != "before" || !strings.Contains(content(t, b.dir, "failed", "bad.csv.reason"), "no good") ||
		!strings.Contains(content(t, b.dir, "failed", "large.csv.reason"), "2000 bytes") || len(content(t, b.dir, "failed", "large.csv")) != 2000 {
		t.Error("done or failed have something else")
	}
	for _, name := range []string{"link.csv", "dir.csv", "pipe.csv", "other.txt", ".hidden.csv"} {
		if !there(b.dir, name) {
			t.Errorf("%s is gone", name)
		}
	}
	if left, _ := os.ReadDir(filepath.Join(b.dir, owners)); len(left) != 0 {
		t.Errorf("a stopped trigger left %v", left)
	}
}

// TestDelete: a file that is done is deleted, and one whose content is not asked for
// can be read where it is.
func TestDelete(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.put(t, "a.json", "content")
	r := run(t, b.attributes(map[string]any{"after": "delete", "body": "none"}), func(ev *event.Event) error {
		text, err := os.ReadFile(string(ev.Header("file-path")))
		if err != nil || string(text) != "content" || len(ev.Body) != 0 || string(ev.Header("file-size")) != "7" || !strings.HasPrefix(string(ev.ContentType), "application/json") {
			t.Errorf("file %q, %v, body %q, size %s, type %s", text, err, ev.Body, ev.Header("file-size"), ev.ContentType)
		}
		return nil
	})
	r.until("the file", func() bool { return r.Report().Done == 1 })
	r.end()
	if there(b.dir, "done") || there(b.dir, "a.json") {
		t.Error("the file, or a directory for it, is there")
	}
}

// TestPartialWrites: a file is not taken while it is written, however slowly; one
// that is moved in is taken though it has just changed.
func TestPartialWrites(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	r := run(t, b.attributes(nil), nil)
	f, err := os.Create(filepath.Join(b.dir, "slow.txt"))
	must(t, err)
	defer f.Close()
	for range 3 {
		_, err := f.WriteString("part ")
		must(t, err)
		time.Sleep(300 * time.Millisecond) // longer than it would have to settle: what holds it back is that it is open
	}
	if got := r.bodies(); len(got) != 0 {
		t.Errorf("ran %v", got)
	}
	must(t, f.Close())
	r.until("the file", func() bool { return r.bodies()["slow.txt"] == "part part part " })
	r.end()
	s := run(t, b.attributes(map[string]any{"settle": "1h", "interval": "1h"}), nil)
	s.until("the watch", func() bool { return s.Report().State == trigger.Running })
	must(t, os.WriteFile(filepath.Join(b.dir, "fresh.txt"), nil, 0o600))
	b.put(t, "moved.txt", "all of it")
	s.until("the file", func() bool { return s.bodies()["moved.txt"] == "all of it" })
	if !there(b.dir, "fresh.txt") {
		t.Error("a file that has not settled was taken")
	}
}

// TestVanished: a file that is removed while the function runs, or between taking
// and reading, holds up nothing.
func TestVanished(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	b.put(t, "a", "1")
	r := run(t, b.attributes(nil), func(ev *event.Event) error { return os.RemoveAll(string(ev.Header("file-path"))) })
	r.until("the first", func() bool { return r.Report().Done == 1 })
	b.put(t, "b", "2")
	r.until("the second", func() bool { return r.Report().Done == 2 })
	if p := r.Report(); p.Problem != "" || p.Reconnects != 0 {
		t.Errorf("report %+v", p)
	}
	r.end()

	root, err := os.OpenRoot(b.dir)
	must(t, err)
	defer root.Close()
	c, err := newClaims(root)
	must(t, err)
	b.put(t, "c", "3")
	k, ok, err := c.take("c")
	if must(t, err); !ok {
		t.Fatal("not taken")
	}
	if _, ok, err := c.take("c"); ok || err != nil {
		t.Errorf("taken twice: %v, %v", ok, err)
	}
	must(t, root.Remove(k.file()))
	must(t, c.end()) // the claim is given back, and has no file
	b.put(t, "d", "4")
	s := run(t, b.attributes(nil), nil)
	s.until("the next", func() bool { return s.bodies()["d"] == "4" })
	s.until("the empty claim to go", func() bool { left, _ := os.ReadDir(filepath.Join(b.dir, back)); return len(left) == 0 })
}

// TestDirectoryReplaced: the trigger follows the name, and says meanwhile what is
// wrong.
func TestDirectoryReplaced(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	r := run(t, b.attributes(nil), nil)
	r.until("the watch", func() bool { return r.Report().State == trigger.Running })
	must(t, os.Rename(b.dir, b.dir+"-old"))
	r.until("the problem", func() bool { return r.Report().State == trigger.Connecting && r.Report().Problem != "" })
	must(t, os.Mkdir(b.dir, 0o755))
	b.put(t, "a", "1")
	r.until("the file", func() bool { return r.bodies()["a"] == "1" })
}

// TestShared: several processors share a directory, and no file runs twice.
func TestShared(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	const n = 200
	b.Produce(t, make([]triggertest.Record, n)...)
	var rs []*running
	for range 3 {
		rs = append(rs, run(t, b.attributes(nil), nil))
	}
	done := func() (k uint64) {
		for _, r := range rs {
			k += r.Report().Done
		}
		return k
	}
	rs[0].until("all files", func() bool {
		files, err := os.ReadDir(filepath.Join(b.dir, "done"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		return len(files) == n && done() >= n // a run counts before its file is moved
	})
	if done() != n {
		t.Errorf("%d runs, want %d", done(), n)
	}
}

// TestKilled: what a processor had when it was killed comes again; none is lost.
func TestKilled(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	const n = 300
	for i := range n {
		b.Produce(t, triggertest.Record{Body: fmt.Sprint(i)})
	}
	attributes, err := json.Marshal(b.attributes(nil))
	must(t, err)
	seen := mortal.Run(t, string(attributes), 3, 60, n)
	again := 0
	for _, k := range seen {
		again += k - 1
	}
	files, err := os.ReadDir(filepath.Join(b.dir, "done"))
	if must(t, err); len(seen) != n || len(files) != n {
		t.Errorf("%d of %d files have run, and %d are done", len(seen), n, len(files))
	}
	t.Logf("%d runs more than files over 3 kills", again)
}

func TestWrongConfigurations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ attributes, want string }{
		"none":     {`{}`, "directory: is required"},
		"relative": {`{"directory":"in"}`, "absolute path"},
		"misspelt": {`{"directory":"/in","patern":"*"}`, "pattern"},
		"pattern":  {`{"directory":"/in","pattern":"["}`, "pattern: is"},
		"outside":  {`{"directory":"/in","done":"../done"}`, "done: is"},
		"private":  {`{"directory":"/in","failed":".myelin"}`, "failed: is"},
		"same":     {`{"directory":"/in","failed":"done"}`, `and so is done`},
		"after":    {`{"directory":"/in","after":"delte"}`, `did you mean "delete"`},
		"size":     {`{"directory":"/in","maxSize":"3Gi"}`, "maxSize: is"},
	} {
		_, err := Factory().New(trigger.Settings{Name: "in", Function: "f"}, []byte(c.attributes))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q in it", name, err, c.want)
		}
	}
}
