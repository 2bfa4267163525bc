package chaos

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processor is a running processor of the system's function.
type processor struct {
	w    *world
	name string
	dir  string
	cmd  *exec.Cmd
	out  bytes.Buffer
	exit chan struct{}
}

const config = `
dir: %[1]s
scratch: %[1]s/scratch
admin: {listen: "127.0.0.1:0"}
logs:
  processor: {file: %[1]s/processor.log, level: info}
  function: {file: %[1]s/function.log, level: info}
function:
  metadata: {name: %[4]s}
  spec:
    runtime: python
    handler: %[4]s:handler
    %[5]s
    drainTimeout: 20s
    env: [{name: LEDGER, value: %[2]s}]
    triggers:
      in: %[3]s
%[6]s
`

// start starts a processor, and waits until it is ready. One of the same name has
// the same directories, as one that died and is started again by the platform.
func (w *world) start(name string) *processor {
	w.t.Helper()
	p := &processor{w: w, name: name, dir: filepath.Join(w.dir, name), exit: make(chan struct{})}
	w.must(os.RemoveAll(p.dir))
	function, more := "sink", ""
	if x, ok := w.sys.(Own); ok {
		function, more = x.Function()
	}
	dealer := ""
	if x, ok := w.sys.(Leased); ok {
		dealer = "dealer: " + x.Dealer()
	}
	source, err := os.ReadFile(filepath.Join("functions", function, function+".py"))
	w.must(err)
	w.must(os.MkdirAll(filepath.Join(p.dir, "src"), 0o755))
	w.must(os.WriteFile(filepath.Join(p.dir, "src", function+".py"), source, 0o644))
	w.must(os.WriteFile(filepath.Join(p.dir, "processor.yaml"), fmt.Appendf(nil, config, p.dir, w.file, w.sys.Trigger(name), function, more, dealer), 0o644))
	bin, err := filepath.Abs(filepath.Join("..", "..", "bin", "processor"))
	w.must(err)
	p.cmd = exec.Command(bin, "-listen", "127.0.0.1:0")
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.dir, &p.out, &p.out
	w.must(p.cmd.Start())
	go func() { _ = p.cmd.Wait(); close(p.exit) }()
	w.t.Cleanup(p.kill)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(p.dir, "ready.json")); err == nil {
			return p
		}
		if over(p.exit) {
			break
		}
	}
	w.t.Fatalf("processor %s is not ready: %s\n%s", name, &p.out, p.log())
	return nil
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (p *processor) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// kill ends it without a goodbye; its workers end with it.
func (p *processor) kill() {
	_ = p.signal(syscall.SIGKILL)
	<-p.exit
}

// end lets it drain.
func (p *processor) end() {
	_ = p.signal(syscall.SIGTERM)
	select {
	case <-p.exit:
	case <-time.After(patience):
		p.w.t.Errorf("processor %s does not end:\n%s", p.name, p.log())
		p.kill()
	}
}

// stacks ends it, and says where those of its goroutines stood that are about
// triggers.
func (p *processor) stacks() string {
	_ = p.signal(syscall.SIGQUIT)
	<-p.exit
	var about []string
	for g := range strings.SplitSeq(p.out.String(), "\n\n") {
		if strings.Contains(g, "myelin/trigger/") {
			about = append(about, g)
		}
	}
	return strings.Join(about, "\n\n")
}

// workers are the pids of its worker processes.
func (p *processor) workers() (pids []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		for f := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// log is the end of what it said.
func (p *processor) log() string {
	b, _ := os.ReadFile(filepath.Join(p.dir, "processor.log"))
	return string(b[max(0, len(b)-4000):])
}

// tell shows what the processors said.
func (w *world) tell() {
	for _, p := range w.processors {
		w.t.Logf("processor %s:\n%s", p.name, p.log())
	}
}
