package e2e

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/test/servers"
)

// docker runs Docker's command line with an engine.
func docker(t *testing.T, engine *servers.Server, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	at := []string{"--host", engine.Addr}
	if c := engine.Certificates; c != "" {
		at = append(at, "--tlsverify", "--tlscacert", filepath.Join(c, "ca.pem"), "--tlscert", filepath.Join(c, "cert.pem"), "--tlskey", filepath.Join(c, "key.pem"))
	}
	cmd := exec.CommandContext(ctx, "/usr/bin/docker", append(at, args...)...)
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker %q: %v: %s", args, err, problems.String())
	}
	return strings.TrimSpace(string(out))
}

// runsInDocker loads an image from an archive into an engine, runs it as the page
// says, and asks it.
func runsInDocker(t *testing.T, engine *servers.Server, archive, body, want string) {
	t.Helper()
	loaded := docker(t, engine, "load", "--quiet", "--input", archive)
	_, tag, found := strings.Cut(loaded, "Loaded image: ")
	if !found {
		t.Fatalf("docker load: %s", loaded)
	}
	id := docker(t, engine, "run", "--detach", "--publish", "127.0.0.1::8080", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", tag)
	at := docker(t, engine, "port", id, "8080/tcp")
	c := http.Client{Transport: &http.Transport{DialContext: engine.Dial, DisableKeepAlives: true}, Timeout: 30 * time.Second}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		resp, err := c.Post("http://"+at, "text/plain", strings.NewReader(body))
		if err == nil {
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || string(text) != want {
				t.Errorf("%s %q, %v", resp.Status, text, err)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not answer: %v: %s", tag, err, docker(t, engine, "logs", id))
		}
	}
	docker(t, engine, "stop", "--time", "30", id)
	if code := docker(t, engine, "inspect", "--format", "{{.State.ExitCode}}", id); code != "0" {
		t.Errorf("stopped with exit code %s: %s", code, docker(t, engine, "logs", id))
	}
}

// TestGoImageRunsInDocker: an image of a Go function is the program and nothing
// else, and a plain engine runs it.
func TestGoImageRunsInDocker(t *testing.T) {
	engine := servers.Docker(t)
	dir := t.TempDir()
	archive := filepath.Join(dir, "hello.tar")
	source, err := filepath.Abs("../../examples/hello-go")
	if err != nil {
		t.Fatal(err)
	}
	runs(t, dir, "build", source, "-o", "tar:"+archive)
	runsInDocker(t, engine, archive, "Docker", "Hello, Docker")
}
