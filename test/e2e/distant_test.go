package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/test/servers"
)

const farSource = `package main

import (
	"errors"

	"github.com/nuclio/nuclio-sdk-go"
)

func Handler(context *nuclio.Context, event nuclio.Event) (interface{}, error) {
	switch string(event.GetBody()) {
	case "":
		return nil, errors.New("nothing to do")
	case "call":
		return context.Platform.CallFunction("far", &nuclio.MemoryEvent{Body: []byte("itself")})
	}
	context.Logger.InfoWith("asked by " + string(event.GetBody()))
	return "%s " + string(event.GetBody()), nil
}
`

// failing is a function each of whose events becomes a dead letter.
const failing = `package main

import (
	"errors"

	"github.com/nuclio/nuclio-sdk-go"
)

func Handler(context *nuclio.Context, event nuclio.Event) (interface{}, error) {
	return nil, errors.New("in vain")
}
`

// TestFarAway: functions as containers of an engine that shares nothing with this machine
// but a cable: built there if they have steps, deployed, asked, calling each other, replaced,
// adopted, looked at and deleted; their events can be captured, and their dead letters come here.
func TestFarAway(t *testing.T) {
	engine := servers.Docker(t, servers.Distant())
	store := servers.Redis(t)
	reached, gateway := engine.Let(t, store.Addr), freeAddress(t)
	base := "oci:" + filepath.Join(t.TempDir(), "shell")
	runs(t, t.TempDir(), "base", "shell", "-o", base)
	p := newPlaneBehind(t, planeData(t), gateway, "--platform", "docker", "--docker-host", engine.Addr, "--docker-cert-path", engine.Certificates,
		"--docker-gateway", "http://"+engine.Let(t, gateway), "--base", "shell="+base)
	p.run("far", "f.go", fmt.Sprintf(farSource, "one"))
	if status, text := p.ask("far", "me"); status != 200 || text != "one me" {
		t.Fatalf("%d %s", status, text)
	}
	p.until("its log", func() bool { return strings.Contains(p.says("logs", "far"), "asked by me") })
	if status, text := p.ask("far", "call"); status != 200 || text != "one itself" {
		t.Errorf("a call: %d %s", status, text)
	}
	captured := make(chan string, 1)
	go func() {
		out, err := exec.Command(bin(t, "myelin"), "capture", "far", "--count", "1", "--api", p.api).CombinedOutput()
		captured <- fmt.Sprint(string(out), err)
	}()
	p.until("an event captured", func() bool {
		p.ask("far", "seen")
		select {
		case text := <-captured:
			return strings.Contains(text, "seen")
		default:
			return false
		}
	})
	p.kill()
	p.up()
	if status, text := p.ask("far", "you"); status != 200 || text != "one you" {
		t.Errorf("after a restart of the control plane: %d %s", status, text)
	}
	p.run("far", "f.go", fmt.Sprintf(farSource, "two"))
	p.until("the change", func() bool {
		status, text := p.ask("far", "us")
		return status == 200 && text == "two us"
	})
	if text := p.says("describe", "function", "far"); !strings.Contains(text, "ready") {
		t.Errorf("described as\n%s", text)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "f.go"), failing)
	write(t, filepath.Join(dir, "function.yaml"), fmt.Sprintf("spec:\n  runtime: golang\n  handler: f:Handler\n  triggers:\n    in: {kind: redis, url: \"redis://%s\", attributes: {streams: [orders], bodyField: body, makeStreams: true}, retry: {attempts: 1}}\n", reached))
	p.says("run", dir, "--name", "failing")
	client := redis.NewClient(&redis.Options{Addr: store.Addr})
	defer client.Close()
	if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: "orders", Values: []any{"body", "x"}}).Err(); err != nil {
		t.Fatal(err)
	}
	p.until("its dead letter", func() bool { return strings.Contains(p.says("letters", "list", "failing"), "in vain") })
	if text := p.says("run", "../../examples/steps-shell"); !strings.Contains(text, "step 1 of 1, RUN wc -c") {
		t.Errorf("steps: %s", text)
	}
	if status, text := p.ask("steps-shell", "Mars"); status != 200 || text != "Hello, Mars\n" {
		t.Errorf("after steps: %d %s", status, text)
	}
	for _, name := range []string{"far", "failing", "steps-shell"} {
		p.says("delete", "function", name, "--wait")
	}
	if left := docker(t, engine, "ps", "--all", "--quiet"); left != "" {
		t.Errorf("containers %s are left", left)
	}
}
