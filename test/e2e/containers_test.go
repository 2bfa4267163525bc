package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/test/servers"
)

const asker = `
import os, myelin
def handler(context, event):
    context.logger.info("asked by " + event.body.decode())
    try:
        open("/here", "w")
        return "the root can be written"
    except OSError:
        open("/tmp/here", "w").close()
    r = context.platform.call_function("greeter", myelin.Event(body=event.body))
    return "%s %d %s" % (r.body.decode(), os.getuid(), VERSION)
VERSION = "one"
`

// TestContainers: the same story as on the local platform, with functions as
// containers of a Docker engine.
func TestContainers(t *testing.T) {
	engine := servers.Docker(t)
	base := pythonBase(t)
	p := newPlane(t, "--platform", "docker", "--docker-host", engine.Addr, "--base", "python="+base)
	p.run("greeter", "f.go", "package main\n\nimport \"github.com/nuclio/nuclio-sdk-go\"\n\nfunc Handler(context *nuclio.Context, event nuclio.Event) (interface{}, error) {\n\treturn \"hello \" + string(event.GetBody()), nil\n}\n")
	p.run("asker", "f.py", asker)
	if status, text := p.ask("asker", "me"); status != 200 || !strings.HasPrefix(text, "hello me 60") || !strings.HasSuffix(text, " one") {
		t.Fatalf("%d %s", status, text)
	}
	if text := p.says("logs", "asker"); !strings.Contains(text, "asked by me") {
		t.Errorf("logs: %s", text)
	}
	running := func() string { return docker(t, engine, "ps", "--no-trunc", "--format", "{{.ID}}") }
	was := running()
	p.kill()
	p.up()
	if status, text := p.ask("asker", "you"); status != 200 || !strings.HasPrefix(text, "hello you 60") {
		t.Errorf("after a restart of the control plane: %d %s", status, text)
	}
	if is := running(); is != was {
		t.Errorf("containers\n%s\nwere\n%s", is, was)
	}
	images := func() string {
		return docker(t, engine, "images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}", "--filter", "label=run.myelin.function=asker")
	}
	had, began := images(), time.Now()
	p.run("asker", "f.py", strings.Replace(asker, `"one"`, `"two"`, 1))
	t.Logf("a change of the code serves after %s", time.Since(began).Round(time.Millisecond))
	p.until("the change", func() bool { // which comes with the next connection
		status, text := p.ask("asker", "us")
		return status == 200 && strings.HasSuffix(text, " two")
	})
	if have := images(); have != had || len(strings.Split(had, "\n")) != 1 {
		t.Errorf("images\n%s\nafter a change of the code, and before it\n%s", have, had)
	}
	// What happens to the engine and to containers is told, and mended.
	if err := engine.Kill(); err != nil {
		t.Fatal(err)
	}
	if status, text := p.ask("asker", "all"); status != 200 {
		t.Errorf("without an engine: %d %s", status, text)
	}
	p.until("the engine's absence to be told", func() bool {
		return strings.Contains(p.says("describe", "function", "asker"), "cannot be reached")
	})
	if err := engine.Start(); err != nil {
		t.Fatal(err)
	}
	p.until("the engine's return to be told", func() bool {
		return !strings.Contains(p.says("describe", "function", "asker"), "cannot be reached")
	})
	for id := range strings.FieldsSeq(running()) {
		docker(t, engine, "rm", "--force", id)
	}
	if status, text := p.ask("asker", "after all"); status != 200 || !strings.HasPrefix(text, "hello after all") {
		t.Errorf("after its container was removed: %d %s", status, text)
	}
	p.says("delete", "function", "asker", "--wait")
	p.until("its container's end", func() bool { return len(strings.Fields(running())) == 1 })
}
