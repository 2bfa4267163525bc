package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/docker/relay"
	"github.com/myelin-run/myelin/platform/platformtest"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
)

// world is a platform on an engine, and what the tests do to that behind its back.
type world struct {
	*platformtest.World
	t *testing.T
}

func newWorld(t *testing.T, engine *servers.Server) *world {
	t.Helper()
	return &world{platformtest.NewWorld(t, on(engine)), t}
}

func (w *world) engine() *engine { return w.Platform.(*Platform).engine }

func (w *world) ask() platformtest.Answer {
	w.t.Helper()
	a, err := platformtest.Ask(platformtest.Fresh(), "http://"+w.See("f").Address+"/", "x")
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// container is the only container of the deployment f.
func (w *world) container() container.InspectResponse {
	w.t.Helper()
	id, err := w.engine().containerOf(w.See("f").Replicas[0].Name)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := w.engine().client.ContainerInspect(w.t.Context(), id, client.ContainerInspectOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return c.Container
}

func restarted(o platform.Observed) bool {
	return len(o.Replicas) == 1 && o.Replicas[0].State == "ready" && o.Replicas[0].Restarts > 0
}

// TestContained: a container has what it was given and no more.
func TestContained(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared.Docker(t))
	d := w.Deployment("shop.f", "1")
	d.Config.Spec.Resources.Limits = map[string]quantity.Amount{"memory": "64Mi", "cpu": "500m"}
	given := t.TempDir()
	d.Config.Spec.Volumes = json.RawMessage(fmt.Sprintf(`[{"volume": {"name": "data", "hostPath": {"path": %q}}, "volumeMount": {"name": "data", "mountPath": "/data", "readOnly": true}}]`, given))
	w.Apply(d)
	a, err := platformtest.Ask(platformtest.Fresh(), "http://"+w.See("shop.f").Address+"/", "x")
	if err != nil {
		t.Fatal(err)
	}
	if a.UID < 60000 || a.PID != 1 || a.Dir != runDir || a.FDs > 16 {
		t.Errorf("the function sees %+v", a)
	}
	id, err := w.engine().containerOf(w.See("shop.f").Replicas[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.engine().client.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := got.Container
	h := c.HostConfig
	if !h.ReadonlyRootfs || h.Privileged || !slices.Equal(h.CapDrop, []string{"ALL"}) || h.Memory != 64<<20 || h.NanoCPUs != 5e8 || len(h.PortBindings) > 0 || !h.RestartPolicy.IsNone() {
		t.Errorf("the container is %+v", h)
	}
	if !slices.Contains(h.Binds, given+":/data:ro") || string(h.NetworkMode) != "myelin-"+w.engine().id+"-shop" {
		t.Errorf("mounts %q, network %s", h.Binds, h.NetworkMode)
	}
	resp, err := platformtest.Fresh().Get("http://" + w.See("shop.f").Address + "/grow")
	if err == nil {
		resp.Body.Close()
		t.Fatal("it used more memory than its limit")
	}
	w.Await("shop.f", "a restart", restarted)
	if said := w.See("shop.f").Replicas[0].LastEnd; !strings.Contains(said, "out of memory: killed at its limit of 64 MiB") {
		t.Errorf("the status says that it ended so: %q", said)
	}
}

// TestRefused: what cannot be is told before anything is replaced.
func TestRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared.Docker(t))
	w.Apply(w.Deployment("f", "1"))
	for want, change := range map[string]func(*platform.Deployment){
		"gpu":           func(d *platform.Deployment) { d.Config.Spec.Resources.Limits = map[string]quantity.Amount{gpus: "1"} },
		"spec.volumes:": func(d *platform.Deployment) { d.Config.Spec.Volumes = json.RawMessage(`{}`) },
		"no place for a": func(d *platform.Deployment) {
			d.Config.Spec.Volumes = json.RawMessage(`[{"volume": {"name": "x"}, "volumeMount": {"mountPath": "/myelin/x"}}]`)
		},
		"absolute path": func(d *platform.Deployment) {
			d.Config.Spec.Volumes = json.RawMessage(`[{"volume": {"hostPath": {"path": "x"}}, "volumeMount": {"mountPath": "/x"}}]`)
		},
		"is not in the artefact": func(d *platform.Deployment) { d.Artefact.Command, d.Artefact.Digest = []string{"/bin/true"}, "other" },
	} {
		d := w.Deployment("f", "2")
		change(&d)
		if err := w.Platform.Apply(t.Context(), d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if a := w.ask(); a.Version != "1" {
		t.Errorf("version %s answers", a.Version)
	}
	for host, want := range map[string]string{"http://127.0.0.1:2375": "unix:///path", "unix": "unix:///path", "tcp://198.51.100.1:2375": "without TLS"} {
		if _, err := New(Options{Host: relay.Host{Address: host}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", host, err)
		}
	}
	p, err := New(options(t, "unix:///nowhere/docker.sock", t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "reach the Docker engine") {
		t.Errorf("without an engine: %v", err)
	}
}

// TestWhatIsTakenAway: an image, a network, and the container itself are there again
// when they are needed.
func TestWhatIsTakenAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared.Docker(t))
	ctx := t.Context()
	w.Apply(w.Deployment("f", "1"))
	c := w.container()
	network := string(c.HostConfig.NetworkMode)
	cl := w.engine().client
	_, imageErr := cl.ImageRemove(ctx, c.Config.Image, client.ImageRemoveOptions{Force: true})
	_, leaveErr := cl.NetworkDisconnect(ctx, network, client.NetworkDisconnectOptions{Container: c.ID, Force: true})
	_, networkErr := cl.NetworkRemove(ctx, network, client.NetworkRemoveOptions{})
	if err := errors.Join(imageErr, leaveErr, networkErr); err != nil {
		t.Fatal(err)
	}
	was := w.ask()
	w.Kill("f")
	w.Await("f", "a restart without image and network", restarted)
	if is := w.ask(); is.Life == was.Life {
		t.Error("the killed process answers")
	}
	removed, id := make(chan error, 1), w.container().ID
	go func() { removed <- w.engine().remove(ctx, id) }() // it is seen while that is under way
	w.Await("f", "a restart of what was removed", func(o platform.Observed) bool { return o.Replicas[0].Restarts >= 2 && o.Replicas[0].State == "ready" })
	said := w.See("f").Replicas[0].LastEnd // a container is killed, and then removed
	if err := <-removed; err != nil || !strings.Contains(said, "its container was removed") && !strings.Contains(said, "killed by signal 9") {
		t.Errorf("the status says of the container: %q, %v", said, err)
	}
	w.ask()
}

// TestLeftovers: what a former life left is taken over by its labels alone, or goes;
// a stranger's container of the same name is in nobody's way.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared.Docker(t))
	w.Apply(w.Deployment("f", "1"))
	was, c := w.ask(), w.container()
	cl := w.engine().client
	labels := map[string]string{labelPlatform: w.engine().id, labelDeployment: "f", labelReplica: "rogue", labelRecord: `{"name":"other"}`}
	rogue, err := cl.ContainerCreate(t.Context(), client.ContainerCreateOptions{Config: &container.Config{Image: c.Config.Image, Labels: labels}})
	if err != nil {
		t.Fatal(err)
	}
	w.End()
	w.Start()
	if is := w.ask(); is.Life != was.Life {
		t.Errorf("process %s was replaced by %s", was.Life, is.Life)
	}
	if _, err := w.engine().client.ContainerInspect(t.Context(), rogue.ID, client.ContainerInspectOptions{}); err == nil {
		t.Error("a container without a record is still there")
	}
	if err := w.Remove(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	left, err := w.engine().client.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: w.engine().ours("")})
	images, ierr := w.engine().client.ImageList(t.Context(), client.ImageListOptions{Filters: make(client.Filters).Add("reference", w.engine().repository("f"))})
	if err := errors.Join(err, ierr); err != nil || len(left.Items) > 0 || len(images.Items) > 0 {
		t.Errorf("%d containers and %d images are left, %v", len(left.Items), len(images.Items), err)
	}
}

// TestEngineRestarts: functions go on while the engine is away, which is told; what
// is to happen to them meanwhile happens when it is back.
func TestEngineRestarts(t *testing.T) {
	t.Parallel()
	engine := servers.Docker(t)
	w := newWorld(t, engine)
	w.Apply(w.Deployment("f", "1"))
	was := w.ask()
	url := "http://" + w.See("f").Address + "/"
	stop := platformtest.Load(2, func() error { _, err := platformtest.Ask(platformtest.Fresh(), url, "x"); return err })
	for name, end := range map[string]func() error{"killed": engine.Kill, "stopped": engine.Stop} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
		w.Await("f", "the absence to be told", func(o platform.Observed) bool { return strings.Contains(o.Message, "cannot be reached") })
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if err := w.Platform.Apply(ctx, w.Deployment("f", "9")); err == nil || !strings.Contains(err.Error(), "docker.sock") {
			t.Errorf("an engine that was %s took a version: %v", name, err)
		}
		cancel()
		if err := engine.Start(); err != nil {
			t.Fatal(err)
		}
		w.Await("f", "the return to be told", func(o platform.Observed) bool { return o.Message == "" })
	}
	if is := w.ask(); is.Life != was.Life {
		t.Errorf("process %s was replaced by %s", was.Life, is.Life)
	}
	w.Apply(w.Deployment("f", "2"))
	if n, err := stop(); err != nil || n == 0 {
		t.Errorf("%d requests: %v", n, err)
	}
	w.Await("f", "one replica", func(o platform.Observed) bool { return len(o.Replicas) == 1 })
	// The engine is away while a container is told to end.
	if err := engine.Kill(); err != nil {
		t.Fatal(err)
	}
	removed := make(chan error, 1)
	go func() { removed <- w.Remove(t.Context(), "f") }()
	w.Await("f", "draining", func(o platform.Observed) bool { return len(o.Replicas) == 1 && o.Replicas[0].State == "draining" })
	if err := engine.Start(); err != nil {
		t.Fatal(err)
	}
	if err := <-removed; err != nil {
		t.Error(err)
	}
	if got := w.See("f"); got.Name != "" {
		t.Errorf("observed %+v", got)
	}
	// It is away while all is to stop.
	w.Apply(w.Deployment("f", "3"))
	if err := engine.Kill(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := w.Platform.(platform.Stopper).Stop(ctx); err == nil {
		t.Error("all was stopped without an engine")
	}
	if err := engine.Start(); err != nil {
		t.Fatal(err)
	}
	w.End()
	w.Start()
	w.Apply(w.Deployment("f", "4"))
	w.Await("f", "the newest version alone", func(o platform.Observed) bool { return len(o.Replicas) == 1 && o.Fingerprint == "4" })
}

// TestDiskIsFull: an engine that has no room says so, the old version stays, and the
// new one comes when there is room.
func TestDiskIsFull(t *testing.T) {
	t.Parallel()
	engine := servers.Docker(t, servers.Room("256m"))
	w := newWorld(t, engine)
	w.Apply(w.Deployment("f", "1"))
	if err := engine.Fill(); err != nil {
		t.Fatal(err)
	}
	next := w.Deployment("f", "2")
	if err := w.Platform.Apply(t.Context(), next); err == nil || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("a full disk took a version: %v", err)
	}
	if a := w.ask(); a.Version != "1" {
		t.Errorf("version %s answers", a.Version)
	}
	if err := engine.Clear(); err != nil {
		t.Fatal(err)
	}
	w.Apply(next)
	w.Await("f", "one replica", func(o platform.Observed) bool { return len(o.Replicas) == 1 })
	if a := w.ask(); a.Version != "2" {
		t.Errorf("version %s answers", a.Version)
	}
}

// TestDeaf: a program that serves somewhere else than at the socket that it was
// offered does not get ready, and the error says why.
func TestDeaf(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared.Docker(t))
	d := w.Deployment("f", "1")
	d.Config.Spec.Env = append(d.Config.Spec.Env, function.EnvVar{Name: "MODE", Value: "deaf"})
	d.Config.Spec.ReadinessTimeoutSeconds = 3
	if err := w.Platform.Apply(t.Context(), d); err == nil || !strings.Contains(err.Error(), "did not fetch its listening socket") {
		t.Errorf("got %v", err)
	}
}
