// Package dashboard_test looks at the dashboard with a real browser, over a real
// `myelin up` with functions deployed. It needs bin/myelin and bin/processor
// (make build), and what scripts/servers.sh installs: Chromium and the tools of
// dashboard/web. What is looked at is in dashboard/web/e2e.
package dashboard_test

import (
	"bufio"
	"bytes"
	"context"
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
	"time"

	"github.com/myelin-run/myelin/test/port"
)

// patience is how long anything may take on a busy machine.
const patience = 3 * time.Minute

// machine is a control plane of the built programs that can be ended and started
// again at the same addresses.
type machine struct {
	*testing.T
	root, data, api, gateway string
	env, flags               []string
	up                       *exec.Cmd
	said                     *bytes.Buffer
}

func newMachine(t *testing.T, flags ...string) *machine {
	t.Helper()
	return newMachineAt(t, addr(t), flags...)
}

// newMachineAt is one whose API, and with it the dashboard, is at an address.
func newMachineAt(t *testing.T, api string, flags ...string) *machine {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bin/myelin", "bin/processor"} {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Fatalf("%s is not built: run make build (%v)", name, err)
		}
	}
	m := &machine{T: t, flags: flags, root: root, data: readable(t, "mydash"), api: api, gateway: addr(t)}
	m.env = append(os.Environ(), "MYELIN_API="+m.api, "MYELIN_CACHE="+readable(t, "mycache"), "MYELIN_PROCESSOR="+filepath.Join(root, "bin/processor"), "NO_COLOR=1")
	t.Cleanup(m.stop)
	m.start()
	return m
}

// readable makes a short-named directory that other users may enter, as
// functions have users of their own if this is root.
func readable(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", name)
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func addr(t *testing.T) string {
	t.Helper()
	p, err := port.Take()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Release() })
	return p.Addr()
}

func (m *machine) start() {
	m.Helper()
	m.said = &bytes.Buffer{}
	args := append([]string{"up", "--data", m.data, "--api-addr", m.api, "--gateway-addr", m.gateway, "--warm", "none"}, m.flags...)
	m.up = exec.Command(filepath.Join(m.root, "bin/myelin"), args...)
	m.up.Env, m.up.Stdout, m.up.Stderr = m.env, m.said, m.said
	if err := m.up.Start(); err != nil {
		m.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get("http://" + m.api + "/api/v1/healthz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			m.Fatalf("the control plane does not answer: %v", err)
		}
	}
}

func (m *machine) stop() {
	if m.up == nil {
		return
	}
	_ = m.up.Process.Signal(syscall.SIGINT)
	hard := time.AfterFunc(patience, func() { _ = m.up.Process.Kill() })
	defer hard.Stop()
	if err := m.up.Wait(); err != nil {
		m.Errorf("the control plane ended with %v:\n%s", err, m.said)
	}
	m.up = nil
}

// deploy deploys a function of one file; one that is broken fails to start.
func (m *machine) deploy(file, source string, broken bool, flags ...string) {
	m.Helper()
	path := filepath.Join(m.TempDir(), file)
	if err := os.WriteFile(path, []byte(source), 0o644); err != nil {
		m.Fatal(err)
	}
	if out, err := m.try(path, flags...); (err != nil) != broken {
		m.Fatalf("deploy %s: %v\n%s", file, err, out)
	}
}

// run deploys what is at path.
func (m *machine) run(path string, flags ...string) {
	m.Helper()
	if out, err := m.try(path, flags...); err != nil {
		m.Fatalf("deploy %s: %v\n%s", path, err, out)
	}
}

func (m *machine) try(path string, flags ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(m.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(m.root, "bin/myelin"), append([]string{"run", path}, flags...)...)
	c.Env = m.env
	return c.CombinedOutput()
}

const greet = `# @nuclio.configure
#
# function.yaml:
#   spec:
#     triggers:
#       web: {kind: http, numWorkers: 2}
def handler(context, event):
    text = event.body.decode()
    if text == "fail":
        raise ValueError("asked to fail")
    context.logger.info_with("greeting", to=text or "stranger")
    if text == "<evil>":
        return context.Response(body="<img src=x onerror=\"window.hacked=1\">\u202egnp", content_type="text/html", status_code=418)
    return {"hello": text or "stranger"}
`

const hostile = `
def handler(context, event):
    context.logger.warn("<script>window.hacked=1</script> \x1b[31mred\x1b[0m \u202eevil")
    context.logger.error("x" * 100000)
    return "logged"
`

func TestPages(t *testing.T) {
	m := newMachine(t)
	m.deploy("greet.py", greet, false)
	m.deploy("hostile.py", hostile, false)
	m.deploy("broken.py", "import a_module_that_is_not_there\n\ndef handler(context, event):\n    pass\n", true, "--readiness-timeout", "20")
	m.browse("pages.mjs", func(what string) {
		switch what {
		case "deploy":
			m.deploy("late.sh", "#!/bin/sh\ncat\n", false)
		case "stop":
			m.stop()
		case "start":
			m.start()
		default:
			t.Errorf("the browser's script wants %q", what)
		}
	})
}

// browse runs a script of dashboard/web/e2e. A line "do: WHAT" of it is done
// before it goes on.
func (m *machine) browse(script string, do func(what string)) {
	m.Helper()
	if out, err := exec.CommandContext(m.Context(), filepath.Join(m.root, "scripts/dashboard.sh"), "install").CombinedOutput(); err != nil {
		m.Fatalf("%v\n%s", err, out)
	}
	scripts, err := filepath.Glob(filepath.Join(m.root, "dashboard/web/e2e/*.mjs"))
	for _, s := range scripts { // so that go test's cache knows when they change
		_, rerr := os.ReadFile(s)
		err = errors.Join(err, rerr)
	}
	if err != nil || len(scripts) == 0 {
		m.Fatalf("no scripts: %v", err)
	}
	ctx, cancel := context.WithTimeout(m.Context(), 4*patience+*long)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(m.root, "scripts/dashboard.sh"), "node", "e2e/"+script)
	c.Env = append(m.env, "DASHBOARD_URL=http://"+m.api+"/", "GATEWAY_URL=http://"+m.gateway+"/")
	c.Stderr = m.Output()
	answers, err := c.StdinPipe()
	if err != nil {
		m.Fatal(err)
	}
	asked, err := c.StdoutPipe()
	if err != nil {
		m.Fatal(err)
	}
	if err := c.Start(); err != nil {
		m.Fatal(err)
	}
	lines := bufio.NewScanner(asked)
	for lines.Scan() {
		what, ok := strings.CutPrefix(lines.Text(), "do: ")
		if !ok {
			m.Log(lines.Text())
			continue
		}
		do(what)
		fmt.Fprintln(answers, "done")
	}
	_, _ = io.Copy(io.Discard, asked)
	if err := c.Wait(); err != nil {
		m.Errorf("%s: %v", script, err)
	}
	if dir := os.Getenv("DASHBOARD_PICTURES"); dir != "" {
		shrink(m.T, dir)
	}
}
