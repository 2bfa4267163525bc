package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/processor/parked"
)

// park starts a processor of a Python function that waits to be told to serve,
// and returns the pipe to tell it by.
func park(t *testing.T, source string) (*Processor, *os.File) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "src", "f.py"), source)
	write(t, filepath.Join(dir, "processor.yaml"), fmt.Sprintf(`
dir: %[1]s
scratch: %[1]s/scratch
admin: {listen: "127.0.0.1:0"}
logs: {processor: {file: %[1]s/processor.log, level: debug}, function: {file: %[1]s/function.log}}
function: {metadata: {name: f}, spec: {runtime: python, handler: "f:handler"}}
`, dir))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	t.Cleanup(func() { w.Close() })
	p := &Processor{t: t, dir: dir, out: &bytes.Buffer{}, exit: make(chan error, 1)}
	p.cmd = exec.Command(bin(t, "processor"), "-listen", "127.0.0.1:0", "-parked", "3")
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr, p.cmd.ExtraFiles = dir, p.out, p.out, []*os.File{r}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.exit <- p.cmd.Wait() }()
	t.Cleanup(p.kill)
	eventually(t, "a worker is begun", func() bool { return len(p.begun()) > 0 })
	return p, w
}

// begun are the pids of the worker processes, without those that only ask the
// interpreter what it is.
func (p *Processor) begun() []int {
	return slices.DeleteFunc(p.workers(), func(pid int) bool { return !isWorker(pid) })
}

func isWorker(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && strings.Contains(string(b), "_myelin_main")
}

// A processor that is told to serve does, with the worker that was begun, and
// tells what its start took.
func TestAParkedProcessor(t *testing.T) {
	p, gate := park(t, "import os\ndef handler(context, event):\n    return str(os.getpid())\n")
	if _, err := os.Stat(filepath.Join(p.dir, "ready.json")); err == nil {
		t.Fatal("it serves before it was told to")
	}
	begun := p.begun()
	now := time.Now()
	if err := parked.Tell(int(gate.Fd()), parked.Times{Seen: now, Decided: now, Told: now}); err != nil {
		t.Fatal(err)
	}
	if err := p.awaitReady(); err != nil {
		t.Fatal(err)
	}
	code, body, err := post(p.URL, "x")
	if err != nil || code != 200 || body != fmt.Sprint(begun[0]) {
		t.Errorf("answer %d %q %v, want that of process %v", code, body, err, begun)
	}
	var s *processor.Start // an answer may be there before it is counted
	eventually(t, "the start is told of", func() bool { s = p.lastStart(); return s != nil })
	if s.Way != "warm" || s.Total <= 0 || s.Phases["answer"] <= 0 || s.Phases["worker"]+s.Phases["import"] <= 0 || s.Phases["config"] != 0 {
		t.Errorf("start %+v", s)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func (p *Processor) lastStart() *processor.Start {
	p.t.Helper()
	resp, err := fresh.Get(p.Admin + "/load")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var load processor.Load
	if err := json.NewDecoder(resp.Body).Decode(&load); err != nil {
		p.t.Fatal(err)
	}
	return load.Start
}

// A parked processor ends when whoever started it has gone, and its worker too.
func TestAParkedProcessorThatNobodyNeeds(t *testing.T) {
	p, gate := park(t, "def handler(context, event):\n    return 'ok'\n")
	workers := p.begun()
	if err := gate.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-p.exit:
		p.exit <- err
		if err != nil {
			t.Errorf("it ended with %v: %s", err, p.out)
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	for _, pid := range workers {
		eventually(t, "the worker's end", func() bool { return !isWorker(pid) })
	}
	if log := p.read("function.log"); log != "" {
		t.Errorf("the function's log has %q", log)
	}
}
