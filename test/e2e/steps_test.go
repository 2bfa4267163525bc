package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/test/servers"
)

// TestStepsExample: a function whose image needs steps is built by the control plane
// of the Docker platform, and by `myelin build`; a change of its code runs none but
// the last ones again; a step that fails is told, and what serves goes on.
func TestStepsExample(t *testing.T) {
	engine := servers.Docker(t)
	dir := t.TempDir()
	base := "oci:" + filepath.Join(dir, "shell")
	runs(t, dir, "base", "shell", "-o", base)
	source := filepath.Join(dir, "steps-shell")
	if err := os.CopyFS(source, os.DirFS("../../examples/steps-shell")); err != nil {
		t.Fatal(err)
	}
	p := newPlane(t, "--platform", "docker", "--docker-host", engine.Addr, "--base", "shell="+base)
	const steps = "step 2 of 2, RUN while read -r name"
	if text := p.says("run", source); !strings.Contains(text, steps) || !strings.Contains(text, "step 1 of 1, RUN wc -c") {
		t.Errorf("run: %s", text)
	}
	if status, text := p.ask("steps-shell", "Mars"); status != 200 || text != "Hello, Mars\n" {
		t.Errorf("%d %s", status, text)
	}
	change(t, filepath.Join(source, "tell.sh"), "nobody of that name", "no such name")
	if text := p.says("run", source, "-v"); strings.Count(text, " was done before\n") != 2 || !strings.Contains(text, "step 1 of 1, RUN wc -c") {
		t.Errorf("run after a change of the code: %s", text)
	}
	p.until("the change", func() bool { _, text := p.ask("steps-shell", "Io"); return text == "no such name\n" })

	change(t, filepath.Join(source, "function.yaml"), "wc -c <", "echo it cannot be; exit 9; cat <")
	out, err := exec.Command(bin(t, "myelin"), "run", source, "--api", p.api).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "step 1 of 1, RUN echo it cannot be; exit 9;") || !strings.Contains(string(out), "ended with exit code 9") || !strings.Contains(string(out), "\n  it cannot be") {
		t.Errorf("a step that fails: %v: %s", err, out)
	}
	if status, text := p.ask("steps-shell", "World"); status != 200 || text != "Hello, World\n" {
		t.Errorf("after a step that failed: %d %s", status, text)
	}

	archive := filepath.Join(dir, "steps.tar")
	example, err := filepath.Abs("../../examples/steps-shell")
	if err != nil {
		t.Fatal(err)
	}
	runs(t, dir, "build", example, "--docker-host", engine.Addr, "--base", base, "-o", "tar:"+archive)
	runsInDocker(t, engine, archive, "World", "Hello, World\n")
	local := exec.Command(bin(t, "myelin"), "build", example)
	local.Env = append(os.Environ(), "MYELIN_DATA="+filepath.Join(dir, "data"))
	if out, err := local.CombinedOutput(); err == nil || !strings.Contains(string(out), "myelin up --platform docker") {
		t.Errorf("built as a process: %v: %s", err, out)
	}
}

func change(t *testing.T, path, from, to string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), from) {
		t.Fatalf("%s has no %q", path, from)
	}
	write(t, path, strings.ReplaceAll(string(text), from, to))
}
