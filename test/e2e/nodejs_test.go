package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

const misbehavingNode = `
exports.handler = (context, event) => {
  switch (String(event.body)) {
    case 'throw': throw new Error('planted')
    case 'reject': return Promise.reject(new Error('planted'))
    case 'exit': return process.exit(3)
    case 'uncaught': setTimeout(() => { throw new Error('outside') }); return
    case 'loop': for (;;) ;
    case 'never': return
    case 'twice': context.callback('first'); return context.callback('second')
    case 'status': return context.callback([418, 'teapot'])
    case 'json': return { a: [1, null] }
    case 'huge': return Buffer.alloc(100 * 1000 * 1000, 'x')
  }
  context.logger.infoWith('greeting', { name: String(event.body) })
  setImmediate(() => context.callback('Hello, ' + event.body))
}
`

func startNode(t testing.TB, source, spec string) *Processor {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "src", "f.js"), source)
	p, err := start(t, dir, "runtime: nodejs\n    handler: f:handler\n"+spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Whatever a handler does is that event's outcome, and the next event is served.
func TestNodeHandlersThatMisbehave(t *testing.T) {
	p := startNode(t, misbehavingNode, "    eventTimeout: 2s\n")
	for _, c := range []struct {
		give   string
		status int
		body   string
	}{
		{"throw", 500, "Error in handler: Error: planted"},
		{"reject", 500, "Error in handler: Error: planted"},
		{"exit", 502, "worker died"},
		{"uncaught", 502, "worker died"},
		{"loop", 408, "timed out"},
		{"never", 408, "timed out"},
		{"twice", 200, "first"},
		{"status", 418, "teapot"},
		{"json", 200, `{"a":[1,null]}`},
	} {
		code, body, err := post(p.URL, c.give)
		if err != nil || code != c.status || !strings.Contains(body, c.body) {
			t.Errorf("%s: %d %.200q %v, want %d %q", c.give, code, body, err, c.status, c.body)
		}
		if code, body, err := post(p.URL, "next"); err != nil || code != 200 || body != "Hello, next" {
			t.Errorf("after %s: %d %.200q %v", c.give, code, body, err)
		}
	}
	if code, body, err := post(p.URL, "huge"); err != nil || code != 200 || len(body) != 100*1000*1000 {
		t.Errorf("100 MB: %d, %d bytes, %v", code, len(body), err)
	}
	for _, want := range []string{"planted", "f.js:4", "outside", "answered already"} {
		if log := p.read("function.log"); !strings.Contains(log, want) {
			t.Errorf("no %q in the function's log:\n%.3000s", want, log)
		}
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// kill -9 of a worker under load fails the events in it and nothing else.
func TestKillNodeWorkerUnderLoad(t *testing.T) {
	p := startNode(t, "exports.handler = async () => { await new Promise((go) => setTimeout(go, 2)); return String(process.pid) }",
		"    triggers: {default-http: {kind: http, numWorkers: 2}}\n")
	const clients, kills = 16, 3
	var ok, crashed atomic.Int64
	var wg sync.WaitGroup
	done := make(chan struct{})
	problems := make(chan error, clients)
	for range clients {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				switch code, body, err := post(p.URL, "x"); {
				case err != nil || code != http.StatusOK && code != http.StatusBadGateway:
					problems <- fmt.Errorf("%d %q %w", code, body, err)
					return
				case code == http.StatusOK:
					ok.Add(1)
				default:
					crashed.Add(1)
				}
			}
		})
	}
	for range kills {
		before := ok.Load()
		eventually(t, "events are served", func() bool { return ok.Load() > before+200 })
		workers := p.workers()
		if len(workers) == 0 {
			t.Fatal("no worker to kill")
		}
		_ = syscall.Kill(workers[0], syscall.SIGKILL)
	}
	before := ok.Load()
	eventually(t, "events are served after the last kill", func() bool { return ok.Load() > before+200 })
	close(done)
	wg.Wait()
	select {
	case err := <-problems:
		t.Error(err)
	default:
	}
	// Each worker has at most all clients' events begun when it dies.
	if n := crashed.Load(); n > kills*clients {
		t.Errorf("%d events crashed in %d kills with %d clients", n, kills, clients)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
