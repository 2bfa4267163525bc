package client_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/dealer"
	"github.com/myelin-run/myelin/dealer/client"
	"github.com/myelin-run/myelin/dealer/server"
)

// The tests here are of processes that are killed: this program is also the
// dealers and the processors.
const roleEnv = "MYELIN_DEALER_ROLE"

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var err error
	role, name, _ := strings.Cut(os.Getenv(roleEnv), " ")
	switch role {
	case "dealer":
		err = deal(ctx, name)
	case "processor":
		err = process(ctx, name)
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, name, err)
		os.Exit(1)
	}
}

const (
	ttl    = 2 * time.Second
	shards = 24
)

// disk is a store in a file that several processes share: a server.Store and, in
// another file, the checkpoints.
type disk struct{ path string }

type content struct {
	Rev    int64
	Pages  map[string][]byte
	Epochs map[string]dealer.Epoch // the greatest that was seen of a shard
	Users  map[string]string       // who used an epoch of a shard
	Counts map[string]int          // checkpoints of a shard
}

// change runs f on what is in the file and writes it if f says so.
func (d disk) change(f func(c *content) (write bool, err error)) error {
	lock, err := os.OpenFile(d.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	c := content{Pages: map[string][]byte{}, Epochs: map[string]dealer.Epoch{}, Users: map[string]string{}, Counts: map[string]int{}}
	b, err := os.ReadFile(d.path)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	write, err := f(&c)
	if err != nil || !write {
		return err
	}
	if b, err = json.Marshal(c); err != nil {
		return err
	}
	next := d.path + ".next"
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	return os.Rename(next, d.path)
}

func (d disk) Load(_ context.Context, prefix string) (pages map[string][]byte, rev int64, err error) {
	pages = map[string][]byte{}
	err = d.change(func(c *content) (bool, error) {
		rev = c.Rev
		for k, v := range c.Pages {
			if strings.HasPrefix(k, prefix) {
				pages[k] = v
			}
		}
		return false, nil
	})
	return pages, rev, err
}

func (d disk) Save(_ context.Context, pages map[string][]byte, rev int64) (int64, error) {
	err := d.change(func(c *content) (bool, error) {
		if c.Rev != rev {
			return false, server.ErrConflict
		}
		c.Rev++
		for k, v := range pages {
			if c.Pages[k] = v; v == nil {
				delete(c.Pages, k)
			}
		}
		return true, nil
	})
	return rev + 1, err
}

// checkpoint stores one, unless the lease is old.
func (d disk) checkpoint(who string, l dealer.Lease) (ok bool, err error) {
	err = d.change(func(c *content) (bool, error) {
		if l.Epoch < c.Epochs[l.Resource] {
			return false, nil
		}
		key := fmt.Sprintf("%s/%d", l.Resource, l.Epoch)
		if u := c.Users[key]; u != "" && u != who {
			return false, fmt.Errorf("%s is used by %s and %s", key, u, who)
		}
		c.Users[key], c.Epochs[l.Resource], ok = who, l.Epoch, true
		c.Counts[l.Resource]++
		return true, nil
	})
	return ok, err
}

// deal is a dealer: name is its own, in the current directory.
func deal(ctx context.Context, name string) error {
	_ = os.Remove(name + ".sock")
	l, err := net.Listen("unix", name+".sock")
	if err != nil {
		return err
	}
	s := server.New(server.Options{Store: disk{"dealer.json"}, ID: fmt.Sprint(name, os.Getpid()), TTL: ttl, Reign: time.Second, Tick: 50 * time.Millisecond, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	web := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Minute}
	var wg sync.WaitGroup
	wg.Go(func() { _ = web.Serve(l) })
	err = s.Run(ctx)
	_ = web.Close()
	wg.Wait()
	return err
}

// process is a processor: a goroutine for each lease that stores checkpoints.
func process(ctx context.Context, name string) error {
	p := &processor{name: fmt.Sprint(name, "/", os.Getpid()), store: disk{"checkpoints.json"}, works: map[dealer.Lease]context.CancelFunc{}}
	c, err := client.New(client.Options{Addresses: []string{"unix:a.sock", "unix:b.sock"}, Processor: name, Beat: 300 * time.Millisecond, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	var all []dealer.Resource
	for i := range shards {
		all = append(all, dealer.Resource{Name: fmt.Sprintf("shard-%02d", i)})
	}
	if p.member, err = c.Join("t", 1, all, p); err != nil {
		return err
	}
	err = c.Run(ctx)
	p.ends.Wait()
	return errors.Join(err, p.err)
}

type processor struct {
	name   string
	store  disk
	member *client.Member
	works  map[dealer.Lease]context.CancelFunc
	ends   sync.WaitGroup
	mu     sync.Mutex
	err    error
}

func (p *processor) Start(l dealer.Lease) {
	ctx, cancel := context.WithCancel(context.Background())
	p.works[l] = cancel
	p.ends.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			ok, err := p.store.checkpoint(p.name, l)
			if err != nil {
				p.mu.Lock()
				p.err = err
				p.mu.Unlock()
				fmt.Fprintln(os.Stderr, "WRONG:", err)
			}
			if !ok {
				break
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
		p.member.Released(l)
	})
}

func (p *processor) Stop(l dealer.Lease, _ bool) {
	if cancel := p.works[l]; cancel != nil {
		cancel()
		delete(p.works, l)
	}
}

// village is the processes of a test.
type village struct {
	t    *testing.T
	dir  string
	cmds map[string]*exec.Cmd
	mu   sync.Mutex
	said []string
	ends sync.WaitGroup
}

func newVillage(t *testing.T) *village {
	v := &village{t: t, dir: t.TempDir(), cmds: map[string]*exec.Cmd{}}
	t.Cleanup(func() {
		for name := range v.cmds {
			v.kill(name)
		}
		v.ends.Wait()
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, line := range v.said {
			if strings.Contains(line, "WRONG") || strings.Contains(line, "DATA RACE") || strings.Contains(line, "panic") {
				t.Error(line)
			}
		}
		if t.Failed() {
			t.Log(strings.Join(v.said[max(0, len(v.said)-80):], "\n"))
		}
	})
	return v
}

func (v *village) start(role, name string) {
	v.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		v.t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Dir = v.dir
	cmd.Env = append(os.Environ(), roleEnv+"="+role+" "+name)
	out, err := cmd.StderrPipe()
	if err != nil {
		v.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	v.cmds[name] = cmd
	v.ends.Go(func() { v.listen(name, out) })
}

func (v *village) listen(name string, out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		v.mu.Lock()
		v.said = append(v.said, name+": "+lines.Text())
		v.mu.Unlock()
	}
}

func (v *village) kill(name string) { v.end(name, syscall.SIGKILL) }

func (v *village) end(name string, sig syscall.Signal) {
	cmd := v.cmds[name]
	_ = cmd.Process.Signal(sig)
	_ = cmd.Wait()
	delete(v.cmds, name)
}

func (v *village) read() (c content) {
	v.t.Helper()
	if err := (disk{filepath.Join(v.dir, "checkpoints.json")}).change(func(now *content) (bool, error) { c = *now; return false, nil }); err != nil {
		v.t.Fatal(err)
	}
	return c
}

// alive waits until every shard is worked on by a process that lives, and says
// how long that took.
func (v *village) alive() time.Duration {
	v.t.Helper()
	begun := time.Now()
	first := v.read()
	for {
		now, missing := v.read(), ""
		for i := range shards {
			name := fmt.Sprintf("shard-%02d", i)
			who := now.Users[fmt.Sprintf("%s/%d", name, now.Epochs[name])]
			at, _, _ := strings.Cut(who, "/")
			if cmd := v.cmds[at]; cmd == nil || who != fmt.Sprintf("%s/%d", at, cmd.Process.Pid) || now.Counts[name] == first.Counts[name] {
				missing += " " + name
			}
		}
		if missing == "" {
			return time.Since(begun)
		}
		if time.Since(begun) > time.Minute {
			v.t.Fatalf("not worked on:%s", missing)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// spread waits until each of the processors has its share.
func (v *village) spread(names ...string) {
	v.t.Helper()
	begun := time.Now()
	for {
		now, has := v.read(), map[string]int{}
		for i := range shards {
			name := fmt.Sprintf("shard-%02d", i)
			at, _, _ := strings.Cut(now.Users[fmt.Sprintf("%s/%d", name, now.Epochs[name])], "/")
			has[at]++
		}
		even := true
		for _, n := range names {
			even = even && has[n] == shards/len(names)
		}
		if even {
			return
		}
		if time.Since(begun) > time.Minute {
			v.t.Fatalf("not even: %v", has)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Processors and dealers are killed: the shards are worked on again, under greater
// epochs, and nobody else can store checkpoints under one epoch.
func TestKilledProcesses(t *testing.T) {
	v := newVillage(t)
	v.start("dealer", "a")
	v.start("processor", "p1")
	v.alive()
	for _, p := range []string{"p2", "p3", "p4"} {
		v.start("processor", p)
	}
	v.spread("p1", "p2", "p3", "p4")

	v.kill("p2")
	t.Logf("shards of a killed processor are worked on again %v after its death (ttl %v)", v.alive(), ttl)
	v.spread("p1", "p3", "p4")

	// A second dealer waits; the first is killed, and nothing moves.
	v.start("dealer", "b")
	before := v.read()
	v.kill("a")
	time.Sleep(2 * ttl) // long enough for processors that are not heard to be buried
	v.alive()
	after := v.read()
	for shard, e := range before.Epochs {
		if after.Epochs[shard] != e {
			t.Errorf("%s moved in a takeover: epoch %d, was %d", shard, after.Epochs[shard], e)
		}
	}

	// Both are dead at once with a processor; the next dealer finds out.
	v.kill("b")
	v.kill("p3")
	v.start("dealer", "a")
	t.Logf("and %v after that and the dealer's, which begins again at once", v.alive())
	v.spread("p1", "p4")
}

// While there is no dealer, all work on.
func TestDealerIsAway(t *testing.T) {
	v := newVillage(t)
	v.start("dealer", "a")
	v.start("processor", "p1")
	v.start("processor", "p2")
	v.spread("p1", "p2")
	before := v.read()
	v.kill("a")
	for range 2 {
		time.Sleep(ttl) // nothing may happen when it passes
		v.alive()
	}
	v.start("dealer", "a")
	v.start("processor", "p3")
	v.spread("p1", "p2", "p3")
	moved, after := 0, v.read()
	for shard, e := range before.Epochs {
		if after.Epochs[shard] != e {
			moved++
		}
	}
	if moved != shards/3 {
		t.Errorf("%d shards moved to the third processor, 8 would have done", moved)
	}
}

// One that leaves gives its shards away in order, without a ttl's silence, and a
// paused one finds out that it lost them.
func TestLeaveAndPause(t *testing.T) {
	v := newVillage(t)
	v.start("dealer", "a")
	v.start("processor", "p1")
	v.start("processor", "p2")
	v.spread("p1", "p2")
	v.end("p2", syscall.SIGTERM)
	t.Logf("shards of one that leaves are worked on again after %v", v.alive())
	v.start("processor", "p2")
	v.spread("p1", "p2")
	paused := v.cmds["p2"].Process
	if err := paused.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	v.spread("p1")
	if err := paused.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	v.spread("p1", "p2")
}
