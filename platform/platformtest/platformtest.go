// Package platformtest is the suite that every platform passes, and the small
// processor that it deploys. It knows no platform.
package platformtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/quantity"
)

// patience bounds every wait of the suite; it is long because machines that
// test are busy.
const patience = 60 * time.Second

// Harness is a platform under test.
type Harness struct {
	// New returns a platform on a data directory; a later one on the same
	// directory takes over from a former one that no longer runs.
	New func(t *testing.T, dir string) platform.Platform
	// Command puts the test processor into a directory of its own below dir, which
	// becomes an artefact, and returns its path; nil: a copy of this program, in dir.
	Command func(t *testing.T, dir string) string
	// Signal sends a signal to the process of a replica of p, or with 0 asks whether
	// there is one; nil: by its number.
	Signal func(p platform.Platform, r function.Replica, sig syscall.Signal) error
	// Parallel runs tests beside each other, which wait for long.
	Parallel bool
	// Redeploys is how many versions follow each other under load; 0: 20.
	// MYELIN_TEST_REDEPLOYS says it for all.
	Redeploys int
	// Dial connects to the addresses of functions; nil: as this machine does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Lags says that an address may refuse connections for a moment after something
	// behind it got ready, unless something else was before.
	Lags bool
	// Without names the tests of what the platform does not promise. Its page says so.
	Without []string
}

// Run tests a platform.
func Run(t *testing.T, h Harness) {
	for name, test := range map[string]func(*testing.T, *World){
		"DeployAnswers":                 deployAnswers,
		"ApplyAgainChangesNothing":      applyAgain,
		"NewReplacesOld":                newReplacesOld,
		"FailedVersionLeavesTheOld":     failedVersion,
		"HangingVersionLeavesTheOld":    hangingVersion,
		"CalledOffApplyKeepsAddress":    calledOff,
		"RedeployUnderLoadLosesNothing": redeployUnderLoad,
		"CrashIsRestartedQueueServed":   crashRestarted,
		"CrashLoopBacksOffAndTells":     crashLoop,
		"OldFinishesWhatItTook":         drains,
		"ReplicasShareTheAddress":       scales,
		"RemoveFreesTheAddress":         removes,
		"CalledOffRemoveDrainsOn":       calledOffRemove,
		"SuccessorAdopts":               adopts,
		"StopKeepsTheAddress":           stopKeeps,
		"LogsFollow":                    logsFollow,
		"AddressInUseIsAnError":         addressInUse,
		"SharesAreTold":                 sharesAreTold,
	} {
		if slices.Contains(h.Without, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if h.Parallel {
				t.Parallel()
			}
			test(t, NewWorld(t, h))
		})
	}
}

// World is one platform with its data directory.
type World struct {
	platform.Platform
	Dir     string
	Command string // the test processor
	h       Harness
	t       *testing.T
	fresh   *http.Client // asks with a new connection each time
	end     func()
}

// NewWorld starts a platform on a new data directory, and ends it, and all
// that it runs, with the test.
func NewWorld(t *testing.T, h Harness) *World {
	t.Helper()
	w := &World{h: h, t: t, Dir: OpenDir(t)}
	if w.h.Command == nil {
		w.h.Command = CopySelf
	}
	if w.h.Signal == nil {
		w.h.Signal = func(_ platform.Platform, r function.Replica, sig syscall.Signal) error {
			return syscall.Kill(r.PID, sig)
		}
	}
	w.fresh = w.client(patience)
	w.Command = w.h.Command(t, w.Dir)
	w.Start()
	t.Cleanup(w.stopAll)
	return w
}

// OpenDir is a temporary directory that every user may pass through, and whose
// path is short enough for sockets.
func OpenDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "myelin")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// CopySelf copies the running test binary to where every user may run it.
func CopySelf(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, ProcessorName)
	in, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// Start starts a platform, the first or a successor.
func (w *World) Start() {
	w.t.Helper()
	w.Platform = w.h.New(w.t, w.Dir)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	w.end = cancel
	if r, ok := w.Platform.(platform.Runner); ok {
		go func() { done <- r.Run(ctx) }()
		w.end = func() {
			cancel()
			if err := <-done; err != nil {
				w.t.Errorf("run: %v", err)
			}
		}
	}
}

// Kill kills the only process of a deployment, and returns what replica it was of.
func (w *World) Kill(name string) function.Replica {
	w.t.Helper()
	o := w.See(name)
	if len(o.Replicas) != 1 {
		w.t.Fatalf("kill: observed %+v", o)
	}
	if err := w.h.Signal(w.Platform, o.Replicas[0], syscall.SIGKILL); err != nil {
		w.t.Fatalf("kill: %v", err)
	}
	return o.Replicas[0]
}

// End ends the platform and leaves its functions running.
func (w *World) End() { w.end() }

func (w *World) stopAll() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if s, ok := w.Platform.(platform.Stopper); ok {
		if err := s.Stop(ctx); err != nil {
			w.t.Errorf("stop: %v", err)
		}
	}
	w.end()
}

// Deployment is one of the test processor's function.
func (w *World) Deployment(name, version string) platform.Deployment {
	cfg := function.Config{Metadata: function.Metadata{Name: name}}
	cfg.Spec.Env = []function.EnvVar{{Name: "VERSION", Value: version}}
	cfg.Spec.DrainTimeout = quantity.Duration(20 * time.Second)
	cfg.Spec.ReadinessTimeoutSeconds = 30
	return platform.Deployment{
		Name: name, Fingerprint: version, Replicas: 1, Config: cfg,
		Artefact: build.Artefact{Digest: "sha256-" + version, Dir: filepath.Dir(w.Command), Command: []string{w.Command}},
	}
}

// Apply applies and wants success.
func (w *World) Apply(d platform.Deployment) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := w.Platform.Apply(ctx, d); err != nil {
		w.t.Fatalf("apply: %v", err)
	}
}

// See observes one deployment.
func (w *World) See(name string) platform.Observed {
	w.t.Helper()
	os, err := w.Observe(w.t.Context(), name)
	if err != nil {
		w.t.Fatalf("observe: %v", err)
	}
	if len(os) == 0 {
		return platform.Observed{}
	}
	return os[0]
}

// Await observes until what it sees is as wanted.
func (w *World) Await(name, what string, ok func(platform.Observed) bool) platform.Observed {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		o := w.See(name)
		if ok(o) {
			return o
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("waited for %s, see %+v", what, o)
		}
	}
}

// client reaches the functions of w, with a new connection each time.
func (w *World) client(timeout time.Duration) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: w.h.Dial}, Timeout: timeout}
}

// Fresh returns a client that makes a new connection for every request.
func Fresh() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
}

// Ask posts a body and returns the answer of the function at address.
func Ask(c *http.Client, url, body string) (Answer, error) {
	resp, err := c.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, err
	}
	var a Answer
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&a); err != nil || resp.StatusCode != http.StatusOK {
		return a, errors.Join(err, errors.New(resp.Status+": "+string(b)))
	}
	if a.Body != body {
		return a, errors.New("another body came back: " + a.Body)
	}
	return a, nil
}

func (w *World) ask(name string) Answer {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		a, err := Ask(w.fresh, "http://"+w.See(name).Address+"/", "hello")
		if err == nil {
			return a
		}
		if !w.h.Lags || !errors.Is(err, syscall.ECONNREFUSED) || time.Now().After(deadline) {
			w.t.Fatalf("ask %s: %v", name, err)
		}
	}
}
