package kube

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/platformtest"
	"github.com/myelin-run/myelin/test/servers"
)

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
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil { // they wait for the cluster most of the time
		fmt.Fprintln(os.Stderr, err)
	}
	code := m.Run()
	if path, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(string(bytes.TrimSpace(b)))
	return len(b), nil
}

// site is a cluster with a registry that it pulls from.
type site struct {
	*servers.Kube
	registry *servers.Server
	kept     string

	mu     sync.Mutex
	spaces map[string]string // namespaces by data directory
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{Kube: servers.Kubernetes(t), registry: servers.Registry(t), kept: t.TempDir(), spaces: map[string]string{}}
	s.Reach(t, s.registry.Addr)
	return s
}

func (s *site) kubectl(t *testing.T, input string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := s.Kubectl(ctx, input, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// space is the namespace of a data directory, as restricted as there are, which goes
// with the test.
func (s *site) space(t *testing.T, dir string) string {
	t.Helper()
	s.mu.Lock()
	name, ok := s.spaces[dir]
	if !ok {
		name = fmt.Sprint("test-", len(s.spaces))
		s.spaces[dir] = name
	}
	s.mu.Unlock()
	if !ok {
		s.kubectl(t, "", "create", "namespace", name)
		s.kubectl(t, "", "label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
		t.Cleanup(func() { s.kubectl(t, "", "delete", "namespace", name, "--wait=false") })
	}
	return name
}

// leave is how long pods that are told to stop still take requests: a node that has
// much to do hears of it late.
const leave = 5 * time.Second

func (s *site) options(t *testing.T, dir string) Options {
	t.Helper()
	return Options{
		Config: s.Config, Namespace: s.space(t, dir), Key: fmt.Appendf(nil, "%064s", filepath.Base(dir)), Dial: s.dial, Leave: leave,
		Image: s.push, Log: slog.New(slog.NewTextHandler(testLog{t}, nil)),
	}
}

// push makes images that stand on nothing.
func (s *site) push(ctx context.Context, name string, a build.Artefact) (string, error) {
	depot := image.Depot{Layers: image.NewLayers(s.kept)}
	base, err := depot.Base(ctx, image.Scratch, image.Architecture())
	if err != nil {
		return "", err
	}
	img, err := image.Make(image.Parts{Base: base, Artefact: a, Layers: depot.Layers})
	if err != nil {
		return "", err
	}
	repository := s.registry.Addr + "/" + strings.ReplaceAll(name, ".", "-")
	digest, err := depot.Write(ctx, img, "image:"+repository+":latest", "")
	return repository + "@" + digest.String(), err
}

// dial connects as clients do that begin anew when nothing comes back: in the instant in
// which a node changes its rules it leads some new connections nowhere. A connection
// that is refused is an error.
func (s *site) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	for range 10 {
		once, cancel := context.WithTimeout(ctx, time.Second)
		conn, err = s.Dial(once, network, address)
		cancel()
		if err == nil || ctx.Err() != nil || errors.Is(err, syscall.ECONNREFUSED) {
			return conn, err
		}
	}
	return conn, err
}

// harness is the suite's.
func (s *site) harness() platformtest.Harness {
	return platformtest.Harness{
		Parallel: true, Dial: s.dial, Lags: true, Redeploys: 3,
		// A cluster has addresses of its own, its own back-off, nobody who keeps
		// connections while the only replica is away, and functions that go on when a
		// control plane ends.
		Without: []string{"AddressInUseIsAnError", "RemoveFreesTheAddress", "CalledOffApplyKeepsAddress", "CrashLoopBacksOffAndTells", "CrashIsRestartedQueueServed", "StopKeepsTheAddress"},
		New: func(t *testing.T, dir string) platform.Platform {
			t.Helper()
			p, err := New(s.options(t, dir))
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
			pid, err := pidOf(p.(*Platform), r.Name)
			if err != nil {
				return err
			}
			return syscall.Kill(pid, sig)
		},
	}
}

// pidOf is the process of a pod, which is one of this machine.
func pidOf(p *Platform, name string) (int, error) {
	for _, id := range p.seen.ids() {
		for _, pod := range p.seen.of(id).pods {
			if pod.Name != name {
				continue
			}
			groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
			if err != nil {
				return 0, err
			}
			for _, file := range groups {
				text, _ := os.ReadFile(file)
				program, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
				pid := 0
				if _, err := fmt.Sscanf(file, "/proc/%d/", &pid); err == nil && strings.Contains(string(text), string(pod.UID)) && strings.Contains(string(program), platformtest.ProcessorName) {
					return pid, nil
				}
			}
		}
	}
	return 0, fmt.Errorf("no process of pod %s", name)
}
