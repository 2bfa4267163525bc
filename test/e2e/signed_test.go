package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/test/servers"
)

var commands = regexp.MustCompile("(?s)```sh\n(.*?)```")

// TestSignedExample does what the example's page says.
func TestSignedExample(t *testing.T) {
	engine, dir, data := servers.Docker(t), t.TempDir(), planeData(t)
	for _, name := range []string{"signed", "hello-go"} {
		if err := os.CopyFS(filepath.Join(dir, "examples", name), os.DirFS("../../examples/"+name)); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "examples/signed/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var p *plane
	do := func(script string, wants ...string) {
		t.Helper()
		script = strings.ReplaceAll(script, "/tmp/myelin-signed", data)
		cmd := exec.Command("/bin/bash", "-euo", "pipefail", "-c", script)
		cmd.Dir = filepath.Join(dir, "examples/signed")
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(bin(t, "myelin"))+":"+os.Getenv("PATH"), "DOCKER_HOST="+engine.Addr)
		if p == nil {
			cmd.Dir = dir
		} else {
			cmd.Env = append(cmd.Env, "MYELIN_DATA="+data, "MYELIN_API="+p.api)
		}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		start := cmd.Start
		if strings.Contains(script, "docker run") { // where its ports are
			start = func() error { return engine.Inside(cmd.Start) }
		}
		err := start()
		if err == nil {
			err = cmd.Wait()
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out.String())
		}
		for _, want := range wants {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: %q is not in\n%s", script, want, out.String())
			}
		}
	}
	parts := commands.FindAllSubmatch(page, -1)
	if len(parts) != 4 {
		t.Fatalf("the page has %d parts", len(parts))
	}
	do(string(parts[0][1]))
	p = newPlaneAt(t, data)
	do(strings.ReplaceAll(string(parts[1][1]), "127.0.0.1:8080", p.gateway), "it is not signed", "refused: it is not signed", "I vow to sleep")
	do(string(parts[2][1]), "sha256:", "CycloneDX")
	do(string(parts[3][1]), "Hello, World")
}
