package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/docker/relay"
	"github.com/myelin-run/myelin/platform/local"
	"github.com/myelin-run/myelin/platform/platformtest"
	"github.com/myelin-run/myelin/test/servers"
)

var shared servers.Pool

// program is the test processor, which needs nothing but the kernel.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "myelin-testprocessor-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, platformtest.ProcessorName)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "../platformtest/testprocessor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build test processor: %w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "relay" {
		os.Exit(standsIn(os.Args[3]))
	}
	code := shared.Run(m)
	if path, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// standsIn has this program stand in for a container.
func standsIn(settings string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var s relay.Settings
	err := document.DecodeJSON([]byte(settings), &s)
	if err == nil {
		err = relay.Run(ctx, s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(string(bytes.TrimSpace(b)))
	return len(b), nil
}

// onScratch makes images that stand on nothing, compressing what they share once.
func onScratch(layers *image.Layers, put func(image.Parts) (v1.Image, error)) maker {
	return func(ctx context.Context, a build.Artefact) (v1.Image, func(), error) {
		base, err := image.Depot{Layers: layers}.Base(ctx, image.Scratch, image.Architecture())
		if err != nil {
			return nil, nil, err
		}
		img, err := put(image.Parts{Base: base, Artefact: a, Layers: layers})
		return img, func() {}, err
	}
}

// ranges of ports are each directory's own: tests run beside each other, and what one
// frees another would take.
var ranges struct {
	sync.Mutex
	of map[string]int
}

func firstPort(dir string) int {
	ranges.Lock()
	defer ranges.Unlock()
	if ranges.of == nil {
		ranges.of = map[string]int{}
	}
	n, ok := ranges.of[dir]
	if !ok {
		n = len(ranges.of)
		ranges.of[dir] = n
	}
	return 32000 + n%portRanges*portsEach
}

const portRanges, portsEach = 38, 20 // below those that the kernel chooses from, above those of package port

func options(t *testing.T, host, dir string) Options {
	first, layers := firstPort(dir), image.NewLayers(filepath.Join(dir, "kept"))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Relay: []string{self, "relay"},
		Local: local.Options{DataDir: dir, FirstPort: first, LastPort: first + portsEach - 1, Log: slog.New(slog.NewTextHandler(testLog{t}, nil))},
		Host:  relay.Host{Address: host}, Image: onScratch(layers, image.Make), Ground: onScratch(layers, image.Ground),
	}
}

// on is the suite's harness with an engine.
func on(engine *servers.Server, change ...func(*Options)) platformtest.Harness {
	return platformtest.Harness{
		Parallel: true,
		New: func(t *testing.T, dir string) platform.Platform {
			o := options(t, engine.Addr, dir)
			o.Host.Certificates = engine.Certificates
			for _, c := range change {
				c(&o)
			}
			p, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Command: func(t *testing.T, dir string) string {
			t.Helper()
			path, err := program()
			if err != nil {
				t.Fatal(err)
			}
			artefact := filepath.Join(dir, "artefact")
			to := filepath.Join(artefact, platformtest.ProcessorName)
			if err := errors.Join(os.Mkdir(artefact, 0o755), os.Link(path, to)); err != nil {
				t.Fatal(err)
			}
			return to
		},
		Signal: func(p platform.Platform, r function.Replica, sig syscall.Signal) error {
			e := p.(*Platform).engine
			c, err := e.containerOf(r.Name)
			if err != nil || sig == 0 {
				return err
			}
			_, err = e.client.ContainerKill(context.Background(), c, client.ContainerKillOptions{Signal: "SIGKILL"})
			return err
		},
	}
}

// containerOf is the container of a replica that runs.
func (e *engine) containerOf(replica string) (string, error) {
	all, err := e.client.ContainerList(context.Background(), client.ContainerListOptions{Filters: e.ours("").Add("label", labelReplica+"="+replica)})
	if err != nil || len(all.Items) != 1 {
		return "", errors.Join(fmt.Errorf("%d containers of replica %s run", len(all.Items), replica), err)
	}
	return all.Items[0].ID, nil
}

func TestSuite(t *testing.T) { platformtest.Run(t, on(shared.Docker(t))) }

// TestOtherCode: other code of a function is no other image, its containers see it and
// cannot change it, and code that is gone is told.
func TestOtherCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shared.Docker(t))
	w.Apply(w.Deployment("f", "1"))
	image := w.container().Image
	d := w.Deployment("f", "2")
	dir := filepath.Join(t.TempDir(), "other")
	program := filepath.Join(dir, platformtest.ProcessorName)
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Mkdir(dir, 0o755), os.Link(d.Artefact.Command[0], program)); err != nil {
		t.Fatal(err)
	}
	d.Artefact.Dir, d.Artefact.Command = dir, []string{program}
	w.Apply(d)
	w.Await("f", "one replica", func(o platform.Observed) bool { return len(o.Replicas) == 1 })
	c := w.container()
	if a := w.ask(); a.Version != "2" || c.Image != image {
		t.Errorf("version %s answers from image %s, the one before was %s", a.Version, c.Image, image)
	}
	if !slices.ContainsFunc(c.Mounts, func(m container.MountPoint) bool {
		return m.Source == dir && m.Destination == functionDir && !m.RW
	}) {
		t.Errorf("mounts %+v", c.Mounts)
	}
	w.engine().mu.Lock()
	known := len(w.engine().images)
	w.engine().mu.Unlock()
	if known != 3 {
		t.Errorf("%d names of images are remembered, of one image", known)
	}
	d = w.Deployment("f", "3")
	d.Artefact.Dir, d.Artefact.Command = "/nowhere", []string{"/nowhere/processor"}
	if err := w.Platform.Apply(t.Context(), d); err == nil || !strings.Contains(err.Error(), "deploy its sources again") {
		t.Errorf("code that is gone: %v", err)
	}
	if _, err := os.Stat("/nowhere"); err == nil {
		t.Error("the engine made a directory of what was gone")
	}
	if a := w.ask(); a.Version != "2" {
		t.Errorf("version %s answers", a.Version)
	}
}
