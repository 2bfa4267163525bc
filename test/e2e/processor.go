// Package e2e runs the built programs as a user does, against real functions,
// and breaks them. It needs bin/myelin and bin/processor: `make build`.
package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bin is the path of a built program.
func bin(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not built: run make build (%v)", name, err)
	}
	return path
}

// Processor is a running processor of one function.
type Processor struct {
	t     testing.TB
	dir   string
	cmd   *exec.Cmd
	out   *bytes.Buffer
	exit  chan error
	URL   string
	Admin string
}

// startPython serves source with the generic processor. spec is the YAML of
// further fields, indented by two.
func startPython(t testing.TB, source, spec string) *Processor {
	t.Helper()
	p, err := tryPython(t, source, spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func tryPython(t testing.TB, source, spec string) (*Processor, error) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "src", "f.py"), source)
	return start(t, dir, "runtime: python\n    handler: f:handler\n"+spec)
}

func start(t testing.TB, dir, spec string) (*Processor, error) {
	t.Helper()
	write(t, filepath.Join(dir, "processor.yaml"), fmt.Sprintf(`
dir: %[1]s
scratch: %[1]s/scratch
admin: {listen: "127.0.0.1:0"}
logs:
  processor: {file: %[1]s/processor.log, level: debug}
  function: {file: %[1]s/function.log, level: debug}
function:
  metadata: {name: f}
  spec:
    %[2]s`, dir, spec))
	p := &Processor{t: t, dir: dir, out: &bytes.Buffer{}, exit: make(chan error, 1)}
	p.cmd = exec.Command(bin(t, "processor"), "-listen", "127.0.0.1:0")
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.out, p.out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.exit <- p.cmd.Wait() }()
	t.Cleanup(func() { p.kill() })
	return p, p.awaitReady()
}

func (p *Processor) awaitReady() error {
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		select {
		case err := <-p.exit:
			p.exit <- err
			return fmt.Errorf("processor ended: %w\n%s%s", err, p.out, p.read("processor.log"))
		default:
		}
		b, err := os.ReadFile(filepath.Join(p.dir, "ready.json"))
		if err != nil {
			continue
		}
		var r struct {
			Addresses map[string]string
			Admin     string
		}
		if err := json.Unmarshal(b, &r); err != nil {
			return err
		}
		p.URL, p.Admin = "http://"+r.Addresses["default-http"]+"/", "http://"+r.Admin
		return nil
	}
	return fmt.Errorf("processor is not ready after 60 s:\n%s", p.read("processor.log"))
}

// kill ends the processor at once, if it still runs.
func (p *Processor) kill() {
	_ = p.cmd.Process.Kill()
	select {
	case err := <-p.exit:
		p.exit <- err
	case <-time.After(10 * time.Second):
		p.t.Error("processor does not die")
	}
}

// stop drains the processor and returns its exit code.
func (p *Processor) stop() int {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-p.exit:
		p.exit <- err
	case <-time.After(60 * time.Second):
		p.t.Fatal("processor does not stop")
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *Processor) read(name string) string {
	b, _ := os.ReadFile(filepath.Join(p.dir, name))
	return string(b)
}

// workers are the pids of the processor's worker processes.
func (p *Processor) workers() (pids []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

var fresh = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 60 * time.Second}

// post sends body on a connection of its own.
func post(url, body string) (int, string, error) {
	resp, err := fresh.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// eventually waits until ok, and fails after a minute.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen within a minute: %s", what)
		}
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
