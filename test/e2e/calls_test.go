package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// plane is a control plane with functions, as `myelin up` and `myelin run` make it.
type plane struct {
	*testing.T
	data, api, gateway string
	args               []string
	cmd                *exec.Cmd
	// start starts a program where control plane and gateway are to be; nil: on this
	// machine.
	start func(*exec.Cmd) error
}

// newPlane starts a control plane with further arguments of `myelin up`.
func newPlane(t *testing.T, args ...string) *plane {
	t.Helper()
	return newPlaneAt(t, planeData(t), args...)
}

// planeData is a data directory that every user may pass through.
func planeData(t *testing.T) string {
	t.Helper()
	data, err := os.MkdirTemp("", "mye2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	return data
}

// newPlaneAt is newPlane on a data directory.
func newPlaneAt(t *testing.T, data string, args ...string) *plane {
	t.Helper()
	return newPlaneBehind(t, data, freeAddress(t), args...)
}

// newPlaneBehind is newPlaneAt with a gateway at an address that was free.
func newPlaneBehind(t *testing.T, data, gateway string, args ...string) *plane {
	t.Helper()
	p := &plane{T: t, data: data, api: freeAddress(t), gateway: gateway}
	p.begin(args...)
	return p
}

// begin starts a control plane that ends with the test.
func (p *plane) begin(args ...string) {
	p.Helper()
	p.args = append([]string{"up", "--data", p.data, "--api-addr", p.api, "--gateway-addr", p.gateway}, args...)
	p.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		if err := p.cmd.Wait(); err != nil {
			p.Errorf("myelin up: %v", err)
		}
	})
	p.up()
}

// up starts the first process of the control plane, or one after another.
func (p *plane) up() {
	p.Helper()
	p.cmd = exec.Command(bin(p, "myelin"), p.args...)
	p.cmd.Stdout, p.cmd.Stderr = p.Output(), p.Output()
	if p.start == nil {
		p.start = (*exec.Cmd).Start
	}
	if err := p.start(p.cmd); err != nil {
		p.Fatal(err)
	}
	for _, url := range []string{"http://" + p.gateway + "/healthz", "http://" + p.api + "/"} { // a gateway may be a former one's
		p.until(url, func() bool {
			resp, err := http.Get(url)
			if err == nil {
				resp.Body.Close()
			}
			return err == nil
		})
	}
}

// kill kills the control plane and leaves all else.
func (p *plane) kill() {
	p.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.Fatal(err)
	}
	_ = p.cmd.Wait()
}

// says is what the command line answers.
func (p *plane) says(args ...string) string {
	p.Helper()
	out, err := exec.Command(bin(p, "myelin"), append(args, "--api", p.api)...).CombinedOutput()
	if err != nil {
		p.Fatalf("myelin %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// freeAddress is one that was free a moment ago, outside the range from which
// the kernel chooses.
func freeAddress(t *testing.T) string {
	t.Helper()
	for port := 12000 + os.Getpid()%2000; port < 15000; port++ {
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			defer l.Close()
			if !taken[port] {
				taken[port] = true
				return l.Addr().String()
			}
		}
	}
	t.Fatal("no port is free")
	return ""
}

var taken = map[int]bool{} // by freeAddress; tests of this package run one after the other

func (p *plane) until(what string, ok func() bool) {
	p.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			p.Fatalf("waited for %s", what)
		}
	}
}

// run deploys the source of one file and waits until it serves.
func (p *plane) run(name, file, source string, args ...string) {
	p.Helper()
	path := filepath.Join(p.TempDir(), file)
	write(p, path, source)
	args = append([]string{"run", path, "--name", name, "--api", p.api}, args...)
	if out, err := exec.Command(bin(p, "myelin"), args...).CombinedOutput(); err != nil {
		p.Fatalf("run %s: %v\n%s", name, err, out)
	}
}

func (p *plane) ask(name, body string, header ...string) (int, string) {
	p.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+p.gateway+"/"+name, strings.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Timeout: 2 * time.Minute}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		p.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

const bigBodies = `--triggers={"http":{"kind":"http","numWorkers":2,"attributes":{"maxRequestBodySize":"80Mi"}}}`

// The trace of a request goes through three functions in three languages; each
// has a span of its own, and the request's id is theirs too.
func TestTraceThroughThreeLanguages(t *testing.T) {
	p := newPlane(t)
	p.run("first", "f.py", `
import json, myelin
def handler(context, event):
    r = context.platform.call_function("second", myelin.Event(body="on", path="/way?x=1"))
    return json.dumps([[event.get_header("traceparent"), event.id]] + json.loads(r.body))
`)
	p.run("second", "f.js", `
exports.handler = async (context, event) => {
  const r = await context.platform.callFunction('third', { body: event.body })
  return JSON.stringify([[event.getHeader('traceparent') || null, event.id], ...JSON.parse(r.body)])
}
`)
	p.run("third", "f.go", `package main

import (
	"fmt"

	"github.com/nuclio/nuclio-sdk-go"
)

func Handler(context *nuclio.Context, event nuclio.Event) (interface{}, error) {
	return fmt.Sprintf("[[%q, %q]]", event.GetHeaderString("traceparent"), event.GetID()), nil
}
`)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	for _, given := range []string{"00-" + trace + "-b7ad6b7169203331-01", ""} {
		header := []string{"X-Request-Id", "my-request"}
		if given != "" {
			header = append(header, "traceparent", given)
		}
		status, text := p.ask("first", "go", header...)
		var hops [][2]string
		if err := json.Unmarshal([]byte(text), &hops); err != nil || status != 200 || len(hops) != 3 {
			t.Fatalf("%d %s: %v", status, text, err)
		}
		spans := map[string]bool{}
		for i, hop := range hops {
			if hop[1] != "my-request" {
				t.Errorf("the event of function %d is %q", i+1, hop[1])
			}
			if i == 0 {
				if hop[0] != given {
					t.Errorf("the first function got %q of %q", hop[0], given)
				}
				if given == "" {
					continue // the trace begins with its call
				}
			}
			parts := strings.Split(hop[0], "-")
			if len(parts) != 4 || len(parts[1]) != 32 || given != "" && parts[1] != trace || given == "" && parts[1] != strings.Split(hops[1][0], "-")[1] {
				t.Errorf("function %d: traceparent %q after %q", i+1, hop[0], given)
				continue
			}
			spans[parts[2]] = true
		}
		if want := map[bool]int{true: 3, false: 2}[given != ""]; len(spans) != want {
			t.Errorf("%d spans of %d calls: %v", len(spans), want, hops)
		}
	}
}

// Two functions that call each other, bodies of all sizes, errors, and a
// function that calls itself though its only worker is busy.
func TestFunctionsCallEachOther(t *testing.T) {
	p := newPlane(t)
	p.run("ping", "f.py", `
import asyncio, myelin
async def handler(context, event):
    what, _, rest = event.body.decode().partition(" ")
    call = context.platform.call_function_async
    if what == "down":
        n = int(rest)
        return "bottom" if n == 0 else (await call("pong", myelin.Event(body="down %d" % (n - 1)))).body
    if what == "big":
        body = b"b" * int(rest)
        r = await call("pong", myelin.Event(body=body, path="/echo"))
        return "%d %s" % (r.status_code, r.body == body)
    if what == "many":
        rs = await asyncio.gather(*(call("pong", myelin.Event(body=str(i), path="/echo")) for i in range(int(rest))))
        return str(sum(r.body == str(i).encode() for i, r in enumerate(rs)))
    try:
        r = await call(rest, myelin.Event(body="x"), timeout=1)
        return "%d %s" % (r.status_code, r.body)
    except myelin.CallError as exc:
        return "%s: %s" % (type(exc).__name__, exc)
`, bigBodies)
	p.run("pong", "f.py", `
import myelin
def handler(context, event):
    if event.path == "/echo":
        return event.body
    what, _, rest = event.body.decode().partition(" ")
    if what == "down":
        n = int(rest)
        return "bottom" if n == 0 else context.platform.call_function("ping", myelin.Event(body="down %d" % (n - 1))).body
    raise ValueError("deliberate")
`, strings.Replace(bigBodies, `"numWorkers":2`, `"numWorkers":8`, 1))
	p.run("self", "f.py", `
import myelin
def handler(context, event):
    if event.body == b"inner":
        return "inner"
    try:
        return context.platform.call_function("self", myelin.Event(body="inner"), timeout=0.5).body
    except myelin.CallTimeout as exc:
        return "timeout: %s" % exc
`)
	for _, c := range [][2]string{
		{"down 5", "bottom"}, {"big 0", "200 True"}, {"big 1000000", "200 True"}, {"big 1048576", "200 True"}, {"big 67108864", "200 True"}, {"many 1000", "1000"},
	} {
		if status, text := p.ask("ping", c[0]); status != 200 || text != c[1] {
			t.Errorf("%s: %d %.300s", c[0], status, text)
		}
	}
	for body, want := range map[string]string{
		"try nowhere": "UnknownFunction: function \"nowhere\" is not known here", "try ../x": "UnknownFunction", "try pong": "500 ", "try self": "200 ",
	} {
		if status, text := p.ask("ping", body); status != 200 || !strings.HasPrefix(text, want) {
			t.Errorf("%s: %d %.300s", body, status, text)
		}
	}
	if status, text := p.ask("self", "outer"); status != 200 || !strings.HasPrefix(text, "timeout: function self did not answer in") {
		t.Errorf("a function that calls itself: %d %s", status, text)
	}
}

// A worker that is killed in the middle of its calls fails its event only; the
// next worker calls as ever.
func TestKilledCaller(t *testing.T) {
	p := newPlane(t)
	p.run("slow", "f.js", `let begun = 0
exports.handler = async (context, event) => {
  if (event.text() === 'begun') return String(begun)
  if (event.text() === 'wait') begun++
  if (event.text() === 'wait') await new Promise((go) => setTimeout(go, 3000))
  return 'done'
}`)
	p.run("caller", "f.py", `
import os, myelin
def handler(context, event):
    if event.body == b"pid":
        return str(os.getpid())
    return context.platform.call_function("slow", myelin.Event(body=event.body)).body
`)
	if status, text := p.ask("caller", "x"); status != 200 || text != "done" {
		t.Fatal(status, text)
	}
	for i := range 3 {
		_, text := p.ask("caller", "pid")
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(text)
		}
		answered := make(chan string, 1)
		go func() {
			status, text := p.ask("caller", "wait")
			answered <- fmt.Sprint(status, " ", text)
		}()
		p.until("the call", func() bool { _, n := p.ask("slow", "begun"); return n == strconv.Itoa(i+1) })
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if got := <-answered; strings.HasPrefix(got, "200") {
			t.Errorf("the event of a dead worker: %s", got)
		}
		if status, text := p.ask("caller", "x"); status != 200 || text != "done" {
			t.Errorf("after the kill: %d %s", status, text)
		}
	}
}
