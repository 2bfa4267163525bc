package e2e

import (
	"encoding/json"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
)

// TestTroublesAreTold: what befalls a function's container and the engine is said by its
// status and by `myelin describe`, and mended.
func TestTroublesAreTold(t *testing.T) {
	engine := servers.Docker(t, servers.Room("384m"))
	p := newPlane(t, "--platform", "docker", "--docker-host", engine.Addr)
	source := filepath.Join(t.TempDir(), "f.go")
	write(t, source, "package main\n\nimport myelin \"github.com/myelin-run/myelin/sdk/go\"\n\nfunc Handler(ctx *myelin.Context, ev *myelin.Event) (any, error) { return \"here\", nil }\n")
	p.says("run", source, "--name", "f")
	serves := func(after string) {
		t.Helper()
		if status, text := p.ask("f", "x"); status != 200 || text != "here" {
			t.Errorf("after %s: %d %s", after, status, text)
		}
	}
	returns := func() { // with the pauses of who crashed before
		t.Helper()
		p.until("it to serve again", func() bool { status, text := p.ask("f", "x"); return status == 200 && text == "here" })
	}
	container := func() string { return docker(t, engine, "ps", "--quiet", "--no-trunc") }
	image := func() string { return docker(t, engine, "inspect", "--format", "{{.Config.Image}}", container()) }
	network := func() string {
		return docker(t, engine, "inspect", "--format", "{{.HostConfig.NetworkMode}}", container())
	}

	docker(t, engine, "kill", container())
	p.told("f", "killed by signal 9")
	returns()

	docker(t, engine, "rmi", "--force", image())
	serves("its image was removed")
	docker(t, engine, "kill", container())
	p.told("f", "killed by signal 9", "its image was gone from the engine and was made again")
	returns()

	is := network()
	docker(t, engine, "network", "disconnect", "--force", is, container())
	docker(t, engine, "network", "rm", is)
	serves("its network was removed")
	docker(t, engine, "kill", container())
	p.told("f", "its network was gone from the engine and was made again")
	returns()

	docker(t, engine, "rm", "--force", container())
	returns()

	taken, err := net.Listen("tcp", freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	at := `--triggers={"http":{"kind":"http","attributes":{"host":"127.0.0.1","port":` + port + `}}}`
	p.refuses("run", source, "--name", "g", at)
	p.told("g", "address already in use")
	taken.Close()
	p.says("run", source, "--name", "g", at)
	p.untold("g", "address already in use")

	if err := engine.Fill(); err != nil {
		t.Fatal(err)
	}
	p.refuses("run", source, "--name", "f", "--env", "NEXT=1")
	p.told("f", "no space left on device", "the former one still serves")
	serves("the disk was full")
	if err := engine.Clear(); err != nil {
		t.Fatal(err)
	}
	p.says("run", source, "--name", "f", "--env", "NEXT=1")
	p.untold("f", "no space left on device")

	for what, end := range map[string]func() error{"killed": engine.Kill, "stopped": engine.Stop} {
		if err := end(); err != nil {
			t.Fatal(err)
		}
		p.told("f", "cannot be reached")
		serves("the engine was " + what)
		if err := engine.Start(); err != nil {
			t.Fatal(err)
		}
		p.untold("f", "cannot be reached")
		serves("the engine was started")
	}
	p.says("run", source, "--name", "f", "--env", "NEXT=2")
	serves("a deploy after all that")
}

// status is all that a function's status says about what is wrong.
func (p *plane) status(name string) string {
	p.Helper()
	var f function.Function
	if err := json.Unmarshal([]byte(p.says("get", "function", name, "-o", "json")), &f); err != nil {
		p.Fatal(err)
	}
	all := append([]string{f.Status.Message}, f.Status.Logs...)
	for _, r := range f.Status.Replicas {
		all = append(all, r.Message, r.LastEnd)
	}
	return strings.Join(all, "\n")
}

// told waits until status and description of a function say all of this.
func (p *plane) told(name string, all ...string) {
	p.Helper()
	for _, text := range all {
		p.until("the status to say "+text, func() bool { return strings.Contains(p.status(name), text) })
		p.until("the description to say "+text, func() bool { return strings.Contains(p.says("describe", "function", name), text) })
	}
}

// untold waits until neither says this, and the function is ready.
func (p *plane) untold(name, text string) {
	p.Helper()
	p.until("nothing to say "+text, func() bool {
		page := p.says("describe", "function", name)
		return !strings.Contains(page, text) && !strings.Contains(p.status(name), text) && strings.Contains(page, string(function.Ready))
	})
}

// refuses wants the command line to fail.
func (p *plane) refuses(args ...string) {
	p.Helper()
	if out, err := exec.Command(bin(p, "myelin"), append(args, "--api", p.api)...).CombinedOutput(); err == nil {
		p.Errorf("myelin %q was done: %s", args, out)
	}
}
