package docker

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/docker/relay"
	"github.com/myelin-run/myelin/platform/local/process"
	"github.com/myelin-run/myelin/platform/local/supervise"
	"github.com/myelin-run/myelin/platform/platformtest"
	"github.com/myelin-run/myelin/test/servers"
)

// TestSuiteFarAway: the suite of platforms with an engine that shares nothing with this
// machine but a cable.
func TestSuiteFarAway(t *testing.T) {
	h := on(shared.DistantDocker(t))
	h.Redeploys = 5
	platformtest.Run(t, h)
}

// TestFarAway: what befalls an engine of another machine, and the way to it.
func TestFarAway(t *testing.T) {
	t.Parallel()
	engine := servers.Docker(t, servers.Distant())
	w := &world{platformtest.NewWorld(t, on(engine, func(o *Options) { o.Patience = 2 * time.Second })), t}
	w.Apply(w.Deployment("f", "1"))
	first := w.ask()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	trouble := func(is bool) func(platform.Observed) bool {
		return func(o platform.Observed) bool { return strings.Contains(o.Message, "cannot be reached") == is }
	}
	c := w.containers()
	if len(c) != 1 || len(c[0].Mounts) != 1 || c[0].Mounts[0].Type != "volume" {
		t.Errorf("containers %+v", c)
	}
	// Cut off, who comes waits; a control plane that is started meanwhile takes over.
	must(engine.Cut())
	w.Await("f", "word of the cut", trouble(true))
	waited, at := make(chan error, 1), "http://"+w.See("f").Address+"/"
	go func() {
		a, err := platformtest.Ask(platformtest.Fresh(), at, "x")
		if err == nil && a.Life != first.Life {
			err = errors.New("another process answers")
		}
		waited <- err
	}()
	w.End()
	w.Start()
	o := w.Await("f", "the replica of before", func(o platform.Observed) bool { return len(o.Replicas) == 1 })
	if o.Replicas[0].State != "ready" {
		t.Errorf("adopted %+v", o)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := w.Platform.Apply(ctx, w.Deployment("f", "2")); err == nil {
		t.Error("a version was started on an engine that is not reached")
	}
	must(engine.Mend())
	must(<-waited)
	w.Await("f", "word of the return", trouble(false))
	w.Apply(w.Deployment("f", "2"))
	w.Await("f", "the new replica alone", func(o platform.Observed) bool { return len(o.Replicas) == 1 })
	if a := w.ask(); a.Version != "2" {
		t.Errorf("version %s answers", a.Version)
	}
	// An engine that is gone for a while leaves what serves.
	second := w.ask()
	must(engine.Kill())
	if a := w.ask(); a.Life != second.Life {
		t.Error("another process answers without an engine")
	}
	must(engine.Start())
	w.Await("f", "one replica", func(o platform.Observed) bool { return len(o.Replicas) == 1 && o.Message == "" })
	// A stand-in that is killed is started anew, with a new container.
	p, err := process.Adopt(w.identity())
	must(err)
	p.Kill()
	p.Release()
	w.Await("f", "a restart", restarted)
	if a := w.ask(); a.Life == second.Life {
		t.Error("the container without a stand-in answers")
	}
	w.until("one container", func() bool { return len(w.containers()) == 1 })
	must(w.Remove(t.Context(), "f"))
	w.until("no container and no volume", func() bool {
		volumes, err := w.engine().client.VolumeList(t.Context(), client.VolumeListOptions{})
		return err == nil && len(volumes.Items) == 0 && len(w.containers()) == 0
	})
}

// identity is that of the stand-in of the only replica of f.
func (w *world) identity() process.Identity {
	w.t.Helper()
	records, err := supervise.Processes(filepath.Join(w.Dir, "run", "f")).Kept(w.t.Context())
	if err != nil || len(records) != 1 {
		w.t.Fatalf("records %+v, %v", records, err)
	}
	return records[0].Identity
}

// containers are those that the engine has of this platform.
func (w *world) containers() []container.Summary {
	w.t.Helper()
	all, err := w.engine().client.ContainerList(w.t.Context(), client.ContainerListOptions{All: true, Filters: w.engine().ours("")})
	if err != nil {
		w.t.Fatal(err)
	}
	return all.Items
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited for %s", what)
		}
	}
}

// TestNotLetIn: an engine is not taken for another, nor reached in clear, and what it
// cannot do is told before anything is replaced.
func TestNotLetIn(t *testing.T) {
	t.Parallel()
	engine := shared.DistantDocker(t)
	for name, at := range map[string]relay.Host{
		"tls: ":                         {Address: engine.Addr, Certificates: engine.Strangers},
		"no such file":                  {Address: engine.Addr, Certificates: "/nowhere"},
		"HTTP request to an HTTPS serv": {Address: engine.Addr, Insecure: true},
		"without TLS":                   {Address: engine.Addr},
	} {
		o := options(t, "", platformtest.OpenDir(t))
		o.Host = at
		p, err := New(o)
		if err == nil {
			err = p.Run(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newWorld(t, engine)
	d := w.Deployment("f", "1")
	d.Config.Spec.Triggers = map[string]function.Trigger{"in": {Kind: "redis", Attributes: []byte(`{"shards": 3}`)}}
	if err := w.Platform.Apply(t.Context(), d); err == nil || !strings.Contains(err.Error(), "dealer") {
		t.Errorf("dealt shards: %v", err)
	}
}

// TestForwarded: an engine whose socket ssh forwards to this machine. While it does not,
// functions go on.
func TestForwarded(t *testing.T) {
	t.Parallel()
	engine := shared.DistantDocker(t)
	socket := filepath.Join(platformtest.OpenDir(t), "far.sock")
	from, _ := strings.CutPrefix(engine.Advertised, "unix://")
	ssh := slices.Insert(engine.SSH(t), 1, "-N", "-o", "StreamLocalBindUnlink=yes", "-o", "ExitOnForwardFailure=yes", "-L", socket+":"+from)
	at, err := netip.ParseAddrPort(strings.TrimPrefix(engine.Addr, "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	stop := forwards(t, ssh, socket)
	w := &world{platformtest.NewWorld(t, on(engine, func(o *Options) {
		o.Host, o.Publish, o.Patience = relay.Host{Address: "unix://" + socket, Forwarded: true}, at.Addr().String(), 2*time.Second
	})), t}
	w.Apply(w.Deployment("f", "1"))
	first := w.ask()
	stop()
	w.Await("f", "word of the loss", func(o platform.Observed) bool { return strings.Contains(o.Message, "cannot be reached") })
	if a := w.ask(); a.Life != first.Life {
		t.Error("another process answers while nothing is forwarded")
	}
	forwards(t, ssh, socket)
	w.Await("f", "word of the return", func(o platform.Observed) bool { return o.Message == "" })
	w.Apply(w.Deployment("f", "2"))
	if a := w.ask(); a.Version != "2" {
		t.Errorf("version %s answers", a.Version)
	}
	if err := w.Remove(t.Context(), "f"); err != nil {
		t.Error(err)
	}
	for _, publish := range []string{"", "0.0.0.0", "elsewhere"} {
		if _, err := New(Options{Relay: []string{"x"}, Host: relay.Host{Address: "unix://" + socket, Forwarded: true}, Publish: publish}); err == nil || !strings.Contains(err.Error(), "--docker-publish") {
			t.Errorf("published at %q: %v", publish, err)
		}
	}
}

// forwards has ssh forward a socket, until it is stopped.
func forwards(t *testing.T, ssh []string, socket string) (stop func()) {
	t.Helper()
	cmd := exec.Command(ssh[0], ssh[1:]...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	stop = sync.OnceFunc(func() { _ = cmd.Process.Kill(); <-done })
	t.Cleanup(stop)
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
			return stop
		}
		select {
		case <-done:
			t.Fatalf("ssh ended: %s", said.String())
		default:
		}
		if time.Now().After(end) {
			stop()
			t.Fatalf("ssh does not forward: %v: %s", err, said.String())
		}
	}
}

// An engine whose machine cannot run what is built here is told from one that can.
func TestOtherKindsOfMachines(t *testing.T) {
	for _, c := range []struct {
		engines, ours string
		same          bool
	}{{"x86_64", "amd64", true}, {"aarch64", "arm64", true}, {"aarch64", "amd64", false}, {"x86_64", "arm64", false}, {"riscv64", "riscv64", true}} {
		if sameKind(c.engines, c.ours) != c.same {
			t.Errorf("%s is %s: want %v", c.engines, c.ours, c.same)
		}
	}
}
