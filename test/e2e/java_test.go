package e2e

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/myelin-run/myelin/build"
	buildjava "github.com/myelin-run/myelin/build/java"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/runtime/java"
)

const misbehavingJava = `
import io.nuclio.*;
import java.util.ArrayList;
import java.util.List;

public class F implements EventHandler {
    private final List<byte[]> eaten = new ArrayList<>();

    @Override
    public Response handleEvent(Context context, Event event) {
        String body = new String(event.getBody());
        switch (body) {
            case "throw": throw new IllegalStateException("planted");
            case "exit": System.exit(3);
            case "loop": for (;;) { }
            case "eat": for (;;) eaten.add(new byte[1 << 20]);
            case "stack": return handleEvent(context, event);
            case "status": return new Response().setStatusCode(418).setBody("teapot");
            case "huge": return new Response().setBody("x".repeat(100_000_000));
        }
        context.getLogger().infoWith("greeting", "name", body);
        return new Response().setBody("Hello, " + body);
    }
}
`

// startJava builds a source as the control plane does and serves it with the
// generic processor. spec is the YAML of further fields, indented by four.
func startJava(t testing.TB, source, spec string) *Processor {
	t.Helper()
	dir, src := t.TempDir(), t.TempDir()
	write(t, filepath.Join(src, "F.java"), source)
	b := buildjava.New(buildjava.Options{Data: t.TempDir(), Find: java.Find,
		Prepare: func(ctx context.Context, home string, log io.Writer) (string, string, error) {
			return java.Prepare(ctx, home, "", slog.New(slog.NewTextHandler(log, nil)))
		}})
	s := build.Source{Dir: src, Config: function.Config{Spec: function.Spec{Runtime: "java", Handler: "F"}}}
	if _, err := b.Build(context.Background(), s, dir, io.Discard); err != nil {
		t.Fatal(err)
	}
	p, err := start(t, dir, "runtime: java\n    handler: F\n"+spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Whatever a handler does is that event's outcome, and the next event is served.
func TestJavaHandlersThatMisbehave(t *testing.T) {
	p := startJava(t, misbehavingJava, "    eventTimeout: 3s\n    runtimeAttributes: {jvmOptions: [-Xmx300m]}\n")
	for _, c := range []struct {
		give   string
		status int
		body   string
	}{
		{"throw", 500, "Exception in handler: java.lang.IllegalStateException: planted"},
		{"exit", 502, "worker died"},
		{"loop", 408, "timed out"},
		{"eat", 502, "worker died"},
		{"stack", 500, "StackOverflowError"},
		{"status", 418, "teapot"},
	} {
		code, body, err := post(p.URL, c.give)
		if err != nil || code != c.status || !strings.Contains(body, c.body) {
			t.Errorf("%s: %d %.200q %v, want %d %q", c.give, code, body, err, c.status, c.body)
		}
		if code, body, err := post(p.URL, "next"); err != nil || code != 200 || body != "Hello, next" {
			t.Errorf("after %s: %d %.200q %v", c.give, code, body, err)
		}
	}
	if code, body, err := post(p.URL, "huge"); err != nil || code != 200 || len(body) != 100_000_000 {
		t.Errorf("100 MB: %d, %d bytes, %v", code, len(body), err)
	}
	for _, want := range []string{"planted", "F.java:13", "Terminating due to java.lang.OutOfMemoryError"} {
		if log := p.read("function.log"); !strings.Contains(log, want) {
			t.Errorf("no %q in the function's log:\n%.3000s", want, log)
		}
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// kill -9 of a worker under load fails the events in it and nothing else.
func TestKillJavaWorkerUnderLoad(t *testing.T) {
	p := startJava(t, strings.Replace(misbehavingJava, `case "throw":`, `case "x": return new Response().setBody("ok"); case "throw":`, 1),
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
					problems <- fmt.Errorf("%d %q, %w", code, body, err)
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
	if n := crashed.Load(); n > kills*clients {
		t.Errorf("%d events crashed in %d kills with %d clients", n, kills, clients)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
