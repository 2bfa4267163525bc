package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform/platformtest"
)

// greet asks the shell function.
func greet(c *http.Client, url string) error {
	resp, err := c.Post(url, "text/plain", strings.NewReader("World"))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || string(b) != "Hello, World") {
		err = errors.New(resp.Status + ": " + string(b))
	}
	return err
}

// plantShell makes an artefact of a script, for the generic processor.
func (w *world) plantShell(digest string) {
	w.Helper()
	dir := filepath.Join(w.dir, "artefacts", digest, "src")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.Fatal(err)
	}
	b, err := json.Marshal(build.Artefact{Digest: digest, Runtime: "shell"})
	if err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "..", "artefact.json"), b, 0o644); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hello.sh"), []byte("#!/bin/sh\nprintf 'Hello, %s' \"$(cat)\"\n"), 0o755); err != nil {
		w.Fatal(err)
	}
}

// The real processor keeps to the protocol as the small one of the tests does.
func TestRealProcessor(t *testing.T) {
	w := newWorld(t)
	w.processor = filepath.Join(w.dir, "processor")
	if out, err := exec.Command("go", "build", "-o", w.processor, "../cmd/processor").CombinedOutput(); err != nil {
		t.Fatalf("build processor: %v: %s", err, out)
	}
	digest := strings.Repeat("ef", 32)
	w.plantShell(digest)
	version := func(v string) function.Config {
		cfg := config("hello", v)
		cfg.Metadata.Annotations["myelin.run/artefact"] = digest
		cfg.Spec.Handler = "hello.sh"
		return cfg
	}
	w.start()
	f := w.deploy(version("0"), function.Ready)
	direct := "http://" + f.Status.Address + "/"
	kept, fresh := keepAlive(t), platformtest.Fresh()
	stops := []func() (int64, error){
		platformtest.Load(1, func() error { return greet(kept, f.Status.URL) }),
		platformtest.Load(1, func() error { return greet(kept, direct) }),
		platformtest.Load(1, func() error { return greet(fresh, direct) }),
	}
	for i := range 5 {
		w.deploy(version(fmt.Sprint(i+1)), function.Ready)
	}
	w.kill()
	w.start()
	f = w.deploy(version("6"), function.Ready)
	for i, stop := range stops {
		if n, err := stop(); err != nil || n == 0 {
			t.Errorf("load %d: %d requests: %v", i, n, err)
		}
	}
	if err := syscall.Kill(f.Status.Replicas[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := greet(fresh, direct); err != nil {
		t.Errorf("after a kill: %v", err)
	}
}

// A gateway that is killed is started again, told its routes, and answers what
// waited meanwhile.
func TestKilledGatewayIsHealed(t *testing.T) {
	w := newWorld(t)
	w.start()
	f := w.deploy(config("hello", "1"), function.Ready)
	for range 3 {
		paths, err := filepath.Glob(filepath.Join(w.dir, "gateway", "*.json"))
		if err != nil || len(paths) != 1 {
			t.Fatalf("records %v, %v", paths, err)
		}
		var kept struct {
			PID int `json:"pid"`
		}
		text, err := os.ReadFile(paths[0])
		if err == nil {
			err = json.Unmarshal(text, &kept)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(kept.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		w.await("the gateway", func(context.Context) error {
			_, err := platformtest.Ask(platformtest.Fresh(), f.Status.URL, "x")
			if err != nil {
				return err
			}
			if now, err := os.ReadFile(paths[0]); err != nil || string(now) == string(text) {
				return errors.New("it is the killed one still")
			}
			return nil
		})
	}
}
