package kube

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/control/kubeapi"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/control/store/mirror"
	"github.com/myelin-run/myelin/control/store/storetest"
	"github.com/myelin-run/myelin/test/servers"
)

// writerEnv makes the test binary a writer that is killed by its parent.
const writerEnv = "MYELIN_TEST_KUBE_WRITER"

func TestMain(m *testing.M) {
	if config := os.Getenv(writerEnv); config != "" {
		writeForEver(config)
	}
	os.Exit(m.Run())
}

// site is a cluster in which each store has a name of its own.
type site struct {
	*servers.Kube
	stores atomic.Int64
}

func (s *site) fresh() string { return fmt.Sprint("test-", s.stores.Add(1)) }

func connect(t *testing.T, config string, wrap func(http.RoundTripper) http.RoundTripper) *kubeapi.Client {
	t.Helper()
	c, err := kubeapi.Connect(kubeapi.Options{Config: config, Wrap: wrap})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (s *site) open(t *testing.T, name string, change func(*Options)) *Store {
	t.Helper()
	o := Options{Client: connect(t, s.Config, nil), Name: name}
	if change != nil {
		change(&o)
	}
	opened, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	return opened
}

// TestCluster: what all stores promise and what this one does besides, on the API server
// of a cluster.
func TestCluster(t *testing.T) {
	s := &site{Kube: servers.KubernetesAPI(t)}
	t.Run("Apart", func(t *testing.T) {
		t.Run("Suite", func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Store { return s.open(t, s.fresh(), nil) })
		})
		t.Run("SuiteBehindMirror", func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Store {
				m, err := mirror.Open(t.Context(), s.open(t, s.fresh(), nil))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(m.Close)
				return m
			})
		})
		for name, test := range map[string]func(*testing.T, *site){
			"TwoWriters": twoWriters, "Reopened": reopened, "Large": large, "OldRecordsGo": oldRecordsGo,
			"NothingIsAskedAtRest": nothingIsAskedAtRest, "KilledWriter": killedWriter, "LostAnswer": lostAnswer, "WrongName": wrongName,
			"NewerFormat": newerFormat,
		} {
			t.Run(name, func(t *testing.T) { test(t, s) })
		}
	})
	t.Run("ServerRestarts", func(t *testing.T) { serverRestarts(t, s) })
}

func put(key, value string) store.Op { return store.Op{Key: key, Value: []byte(value)} }

func must(t *testing.T, s store.Store, ops ...store.Op) store.Revision {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	rev, err := s.Commit(ctx, ops...)
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// await waits until a condition is true.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func text(t *testing.T, s store.Store) string {
	t.Helper()
	all, _, err := s.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range all {
		fmt.Fprintf(&b, "%s=%s@%d ", e.Key, e.Value, e.Revision)
	}
	return b.String()
}

// twoWriters: of two control planes that write at once none loses what the other wrote,
// each sees all of it in the same order, and commits are not divided.
func twoWriters(t *testing.T, s *site) {
	name := s.fresh()
	a, b := s.open(t, name, nil), s.open(t, name, nil)
	must(t, a, put("n", "0"), put("twin", "0"))
	const each = 25
	done := make(chan error, 2)
	for _, w := range []*Store{a, b} {
		go func() {
			for made := 0; made < each; {
				e, err := w.Get(t.Context(), "n")
				if err != nil { // it has not heard of it yet
					continue
				}
				var n int
				_, _ = fmt.Sscan(string(e.Value), &n)
				next := fmt.Sprint(n + 1)
				_, err = w.Commit(t.Context(), store.Op{Key: "n", Value: []byte(next), Check: true, If: e.Revision}, put("twin", next))
				switch {
				case err == nil:
					made++
				case !errors.Is(err, store.ErrConflict):
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	last := must(t, a, put("end", ""))
	await(t, "the other hears of all", func() bool { _, rev, _ := b.List(t.Context(), ""); return rev == last })
	if d := cmp.Diff(text(t, a), text(t, b)); d != "" {
		t.Error(d)
	}
	if e, _ := a.Get(t.Context(), "n"); string(e.Value) != fmt.Sprint(2*each) {
		t.Errorf("counted %s, want %d", e.Value, 2*each)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	followed := b.Follow(ctx, last-3)
	for range 2 {
		if c := <-followed; len(c) != 2 || string(c[0].Value) != string(c[1].Value) {
			t.Errorf("a commit was divided: %v", c)
		}
	}
}

// reopened: what is there after closing is what was there, at the same revisions.
func reopened(t *testing.T, s *site) {
	name := s.fresh()
	a := s.open(t, name, nil)
	must(t, a, put("x", "1"), put("y", "1"))
	must(t, a, put("y", "2"), put("empty", ""))
	must(t, a, store.Op{Key: "x"})
	last := must(t, a, put("x", "3"))
	must(t, a, store.Op{Key: "x"})
	before := text(t, a)
	b := s.open(t, name, nil)
	if d := cmp.Diff(before, text(t, b)); d != "" {
		t.Error(d)
	}
	if next := must(t, b, put("z", "1")); next != last+2 {
		t.Errorf("the next revision is %d, want %d", next, last+2)
	}
}

// large: values of a mebibyte, several of them in one commit, and what a seal adds.
func large(t *testing.T, s *site) {
	name := s.fresh()
	wide := func(o *Options) { o.Wrapping = 36 }
	a := s.open(t, name, wide)
	watching := s.open(t, name, wide)
	big := func(c string) []byte { return []byte(strings.Repeat(c, 1<<20+36)) }
	must(t, a, store.Op{Key: "1", Value: big("a")})
	rev := must(t, a, store.Op{Key: "1", Value: big("b")}, store.Op{Key: "2", Value: big("c")}, put("3", "small"))
	await(t, "the other hears of it", func() bool { _, at, _ := watching.List(t.Context(), ""); return at == rev })
	for _, w := range []*Store{a, watching, s.open(t, name, wide)} {
		for key, want := range map[string][]byte{"1": big("b"), "2": big("c"), "3": []byte("small")} {
			if e, err := w.Get(t.Context(), key); err != nil || !cmp.Equal(e.Value, want) {
				t.Errorf("%s: %d bytes, %v", key, len(e.Value), err)
			}
		}
	}
}

// oldRecordsGo: records of which nothing is needed are removed, and what is left is the
// same store.
func oldRecordsGo(t *testing.T, s *site) {
	name := s.fresh()
	a := s.open(t, name, func(o *Options) { o.keep, o.heap = time.Nanosecond, 10 })
	must(t, a, put("stays", "1"), put("twice", strings.Repeat("x", inlineValue+1)))
	must(t, a, put("goes", "1"))
	must(t, a, store.Op{Key: "goes"})
	for i := range 60 {
		must(t, a, put("k", fmt.Sprint(i)), put("twice", strings.Repeat("y", inlineValue+1)))
	}
	records := func() int {
		n := 0
		_, err := a.client.List(t.Context(), a.at(""), a.label(), func(json.RawMessage) error { n++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	await(t, "few records are left", func() bool {
		must(t, a, put("k", "last"))
		return records() < 25
	})
	if d := cmp.Diff(text(t, a), text(t, s.open(t, name, nil))); d != "" {
		t.Error(d)
	}
}

// nothingIsAskedAtRest: a store in which nothing happens asks the API server for nothing.
func nothingIsAskedAtRest(t *testing.T, s *site) {
	var asked atomic.Int64
	var watched = make(chan struct{}, 16)
	client := connect(t, s.Config, func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Query().Get("watch") == "true" {
				watched <- struct{}{}
			}
			asked.Add(1)
			return next.RoundTrip(r)
		})
	})
	a := s.open(t, s.fresh(), func(o *Options) { o.Client = client })
	must(t, a, put("k", "1"))
	<-watched
	before := asked.Load()
	time.Sleep(2 * time.Second) // a moment of rest is what is tested
	if n := asked.Load() - before; n > 0 {
		t.Errorf("asked %d times", n)
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// lostAnswer: a commit whose answer was lost is found to have happened, once.
func lostAnswer(t *testing.T, s *site) {
	var lose atomic.Int64
	client := connect(t, s.Config, func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if r.Method == http.MethodPost && err == nil && lose.Add(-1) >= 0 {
				resp.Body.Close()
				return nil, errors.New("connection reset by peer")
			}
			return resp, err
		})
	})
	name := s.fresh()
	a := s.open(t, name, func(o *Options) { o.Client = client })
	rev := must(t, a, put("k", "1"))
	lose.Store(1)
	if next := must(t, a, store.Op{Key: "k", Value: []byte("2"), Check: true, If: rev}); next != rev+1 {
		t.Errorf("committed at %d, want %d", next, rev+1)
	}
	if got, want := text(t, s.open(t, name, nil)), fmt.Sprintf("k=2@%d ", rev+1); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func wrongName(t *testing.T, s *site) {
	for _, name := range []string{"Upper", "a_b", strings.Repeat("x", 31), "-a"} {
		if _, err := Open(t.Context(), Options{Client: connect(t, s.Config, nil), Name: name}); err == nil || !strings.Contains(err.Error(), "DNS label") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// newerFormat: a program that does not know the format of a cluster leaves it alone.
func newerFormat(t *testing.T, s *site) {
	c := connect(t, s.Config, nil)
	kind := []byte(strings.ReplaceAll(string(definition), "internal.myelin.run", "other.myelin.run"))
	for i, want := range []string{"", "", "a newer Myelin uses the cluster"} {
		d, err := kubeapi.Define([]int{1, 2, 1}[i], kind)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Establish(t.Context(), d)
		if fmt.Sprint(err) == want || want == "" && err == nil {
			continue
		}
		if want == "" || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("format %d: %v, want %q", i, err, want)
		}
	}
}

// writeForEver writes pairs until it is killed.
func writeForEver(config string) {
	c, err := kubeapi.Connect(kubeapi.Options{Config: config})
	if err == nil {
		var s *Store
		if s, err = Open(context.Background(), Options{Client: c, Name: os.Getenv("MYELIN_TEST_KUBE_STORE")}); err == nil {
			for i := 1; err == nil; i++ {
				value := fmt.Sprint(i)
				if _, err = s.Commit(context.Background(), put("a", value), put("b", value), put("c", value+strings.Repeat(" ", inlineValue))); err == nil {
					fmt.Println(i)
				}
			}
		}
	}
	fmt.Println("error:", err)
	os.Exit(1)
}

// killedWriter: what a writer that was killed had acknowledged is there, and all or
// nothing of what it had not.
func killedWriter(t *testing.T, s *site) {
	name := s.fresh()
	acknowledged := 0
	for round := range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerEnv+"="+s.Config, "MYELIN_TEST_KUBE_STORE="+name)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 5+3*round && lines.Scan(); n++ {
			if _, err := fmt.Sscan(lines.Text(), &acknowledged); err != nil {
				t.Fatal(lines.Text())
			}
		}
		_ = cmd.Process.Kill()
		for lines.Scan() {
			_, _ = fmt.Sscan(lines.Text(), &acknowledged)
		}
		_ = cmd.Wait()
		a := s.open(t, name, nil)
		var got []string
		for _, key := range []string{"a", "b", "c"} {
			e, err := a.Get(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, strings.TrimSpace(string(e.Value)))
		}
		n := 0
		_, _ = fmt.Sscan(got[0], &n)
		if got[0] != got[1] || got[1] != got[2] || n < acknowledged {
			t.Errorf("after %d was acknowledged there is %v", acknowledged, got)
		}
	}
}

// serverRestarts: a store goes on where it was when API server and etcd were away, and a
// commit waits for them.
func serverRestarts(t *testing.T, s *site) {
	name := s.fresh()
	a, b := s.open(t, name, nil), s.open(t, name, nil)
	from := must(t, a, put("k", "0"))
	await(t, "the other hears of it", func() bool { _, at, _ := b.List(t.Context(), ""); return at == from })
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	changes := b.Watch(ctx, "k", from)
	for i, part := range []string{servers.APIServer, servers.ClusterStore} {
		if err := s.Parts[part].Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Get(ctx, "k"); err != nil {
			t.Errorf("read while the %s is away: %v", part, err)
		}
		done := make(chan error, 1)
		go func() { _, err := a.Commit(ctx, put("k", part)); done <- err }()
		if err := s.Parts[part].Start(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatalf("commit while the %s was away: %v", part, err)
		}
		select {
		case c, ok := <-changes:
			if !ok || string(c.Value) != part || c.Revision != from+store.Revision(i)+1 {
				t.Fatalf("after the %s was away the watch says %v, %v", part, c, ok)
			}
		case <-ctx.Done():
			t.Fatalf("after the %s was away the watch says nothing", part)
		}
	}
}
