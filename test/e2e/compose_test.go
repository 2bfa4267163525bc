package e2e

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/test/servers"
)

// composeFile is the one that the page has.
var composeFile = regexp.MustCompile("(?s)```yaml\n(services:\n.*?)```")

// TestCompose: the Compose file of the page runs two functions of which one calls the
// other.
func TestCompose(t *testing.T) {
	const composer = "/usr/bin/docker-compose"
	if _, err := os.Stat(composer); err != nil {
		t.Fatalf("docker-compose is not there: run scripts/servers.sh (%v)", err)
	}
	page, err := os.ReadFile("../../docs/platform-docker.md")
	if err != nil {
		t.Fatal(err)
	}
	found := composeFile.FindSubmatch(page)
	if found == nil {
		t.Fatal("the page has no Compose file")
	}
	engine, dir, file := servers.Docker(t), t.TempDir(), string(found[1])
	for name, on := range map[string]string{"call-go": pythonBase(t), "hello-go": "scratch"} {
		source, err := filepath.Abs("../../examples/" + name)
		if err != nil {
			t.Fatal(err)
		}
		archive := filepath.Join(dir, name+".tar")
		runs(t, dir, "build", source, "--base", on, "-o", "tar:"+archive)
		_, image, _ := strings.Cut(docker(t, engine, "load", "--quiet", "--input", archive), "Loaded image: ")
		if !strings.HasPrefix(image, name+":") || !strings.Contains(file, name+":<tag>") {
			t.Fatalf("the image of %s is %q, the file\n%s", name, image, file)
		}
		file = strings.ReplaceAll(file, name+":<tag>", image)
	}
	write(t, filepath.Join(dir, "docker-compose.yml"), file)
	compose := func(args ...string) {
		t.Helper()
		cmd := exec.Command(composer, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "DOCKER_HOST="+engine.Addr)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("docker-compose %q: %v: %s", args, err, out)
		}
	}
	compose("up", "--detach")
	c := http.Client{Transport: &http.Transport{DialContext: engine.Dial, DisableKeepAlives: true}, Timeout: 30 * time.Second}
	got := ""
	for end := time.Now().Add(time.Minute); got != "Hello, World\nHello, Moon"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it answers %q", got)
		}
		resp, err := c.Post("http://127.0.0.1:8080/", "text/plain", strings.NewReader("World, Moon"))
		if err != nil {
			got = err.Error()
			continue
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got = string(text); err != nil {
			got = err.Error()
		}
	}
	compose("stop")
	for id := range strings.FieldsSeq(docker(t, engine, "ps", "--all", "--quiet")) {
		if code := docker(t, engine, "inspect", "--format", "{{.Name}} {{.State.ExitCode}}", id); !strings.HasSuffix(code, " 0") {
			t.Errorf("stopped with %s: %s", code, docker(t, engine, "logs", id))
		}
	}
	compose("down")
}
