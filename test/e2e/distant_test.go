package e2e

import (
	"fmt"
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
	if string(event.GetBody()) == "" {
		return nil, errors.New("nothing to do")
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
// but a cable: deployed, asked, replaced, adopted, looked at and deleted, and their
// dead letters come here.
func TestFarAway(t *testing.T) {
	engine := servers.Docker(t, servers.Distant())
	store := servers.Redis(t)
	reached := engine.Let(t, store.Addr)
	p := newPlane(t, "--platform", "docker", "--docker-host", engine.Addr, "--docker-cert-path", engine.Certificates)
	p.run("far", "f.go", fmt.Sprintf(farSource, "one"))
	if status, text := p.ask("far", "me"); status != 200 || text != "one me" {
		t.Fatalf("%d %s", status, text)
	}
	p.until("its log", func() bool { return strings.Contains(p.says("logs", "far"), "asked by me") })
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
	p.says("delete", "function", "far", "--wait")
	p.says("delete", "function", "failing", "--wait")
	if left := docker(t, engine, "ps", "--all", "--quiet"); left != "" {
		t.Errorf("containers %s are left", left)
	}
}
