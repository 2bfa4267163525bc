package e2e

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/myelin-run/myelin/build"
	buildjava "github.com/myelin-run/myelin/build/java"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/processor/handoff"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/java"
	"github.com/myelin-run/myelin/runtime/native"
	"github.com/myelin-run/myelin/runtime/nodejs"
	"github.com/myelin-run/myelin/runtime/python"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/trigger"
	httptrigger "github.com/myelin-run/myelin/trigger/http"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/triggertest"
	"github.com/myelin-run/myelin/trigger/triggertest/memory"
)

// The functions keep what comes from the source in, and do over HTTP what they
// are told: "ack 3", "nack 3", "reject 3", "runs 3", "elsewhere 3" (an ack in the
// name of a trigger that is not there), "die".
const keepingPython = `
import os
import nuclio_sdk

kept, runs, leaving = {}, {}, []

def keep(event):
    body = event.body.decode()
    kept[body] = nuclio_sdk.QualifiedOffset.from_event(event)
    runs[body] = runs.get(body, 0) + 1
    response = nuclio_sdk.Response(body=body)
    response.ensure_no_ack()
    return response

def asked(event):
    verb, _, body = event.body.decode().partition(" ")
    if verb == "die":
        os._exit(3)
    if verb == "leave":
        leaving.append(body)
    offset = kept.get(body)
    if verb == "elsewhere":
        offset = nuclio_sdk.QualifiedOffset(offset.topic, offset.partition, offset.offset, "elsewhere")
    return verb, body, offset
`

var keeping = map[string]map[string]string{
	"python": {"f.py": keepingPython + `
def init_context(context):
    def drain():
        while leaving:
            context.platform.ack(kept[leaving.pop()])
    context.platform.set_drain_callback(drain)

def handler(context, event):
    if event.trigger.kind != "http":
        return keep(event)
    verb, body, offset = asked(event)
    try:
        if verb == "leave":
            return "ok"
        elif verb == "runs":
            return str(runs.get(body, 0))
        elif verb in ("ack", "elsewhere"):
            context.platform.ack(offset)
        else:
            context.platform.nack(offset, "not today", permanent=verb == "reject")
        return "ok"
    except nuclio_sdk.AckError as exc:
        return "%d %s" % (exc.status, exc)
`},
	"python async": {"f.py": keepingPython + `
def init_context(context):
    async def drain():
        while leaving:
            await context.platform.explicit_ack(kept[leaving.pop()])
    context.platform.set_drain_callback(drain)

async def handler(context, event):
    if event.trigger.kind != "http":
        return keep(event)
    verb, body, offset = asked(event)
    try:
        if verb == "leave":
            return "ok"
        elif verb == "runs":
            return str(runs.get(body, 0))
        elif verb in ("ack", "elsewhere"):
            await context.platform.explicit_ack(offset)
        else:
            await context.platform.explicit_nack(offset.compile_explicit_ack_message(), ValueError("not today"), verb == "reject")
        return "ok"
    except nuclio_sdk.AckError as exc:
        return "%d %s" % (exc.status, exc)
`},
	"nodejs": {"f.js": `
const kept = {}, runs = {};
exports.handler = async (context, event) => {
  const text = event.text();
  if (event.trigger.kind !== 'http') {
    kept[text] = event;
    runs[text] = (runs[text] || 0) + 1;
    return new context.Response(text, { 'x-nuclio-stream-no-ack': 'true' });
  }
  const [verb, body] = text.split(' '), event0 = kept[body];
  try {
    switch (verb) {
      case 'die': process.kill(process.pid, 'SIGKILL'); await new Promise(() => {}); break;
      case 'runs': return String(runs[body] || 0);
      case 'ack': await context.platform.ack(event0); break;
      case 'elsewhere': await context.platform.ack({ trigger: 'elsewhere', offset: event0.offset }); break;
      default: await context.platform.nack(event0, new Error('not today'), { permanent: verb === 'reject' });
    }
    return 'ok';
  } catch (err) {
    if (err.name !== 'AckError') throw err;
    return err.settleStatus + ' ' + err.message;
  }
};
`},
	"java": {"F.java": `
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import run.myelin.*;

public class F implements MyelinHandler {
    private static final Map<String, Offset> kept = new ConcurrentHashMap<>();
    private static final Map<String, Integer> runs = new ConcurrentHashMap<>();

    @Override
    public Object handle(Context context, Event event) {
        String text = event.text();
        if (!event.getTriggerName().equals("default-http")) {
            kept.put(text, Offset.of(event));
            runs.merge(text, 1, Integer::sum);
            return Response.of(text).header(Offset.NO_ACK, "true");
        }
        String[] said = text.split(" ");
        Offset o = said.length > 1 ? kept.get(said[1]) : null;
        Platform platform = context.getPlatform();
        try {
            switch (said[0]) {
                case "die": Runtime.getRuntime().halt(3);
                case "runs": return String.valueOf(runs.getOrDefault(said[1], 0));
                case "ack": platform.ack(o); break;
                case "elsewhere": platform.ack(new Offset("elsewhere", "", 0, o.offset())); break;
                case "nack": platform.nack(o, "not today"); break;
                default: platform.reject(o, "not today");
            }
            return "ok";
        } catch (AckError e) {
            return e.status() + " " + e.getMessage();
        }
    }
}
`},
	"golang": {},
}

// keepingGo is the same in Go.
func keepingGo() native.Function {
	var mu sync.Mutex
	kept, runs := map[string]myelin.Offset{}, map[string]int{}
	return native.Of(func(c *myelin.Context, ev *myelin.Event) (any, error) {
		text := string(ev.Body)
		mu.Lock()
		if ev.Source.Kind != "http" {
			defer mu.Unlock()
			kept[text] = myelin.OffsetOf(ev)
			runs[text]++
			return nil, myelin.ErrLater
		}
		verb, body, _ := strings.Cut(text, " ")
		o, n := kept[body], runs[body]
		mu.Unlock()
		var err error
		switch verb {
		case "runs":
			return fmt.Sprint(n), nil
		case "ack":
			err = c.Platform.Ack(c, o)
		case "elsewhere":
			o.Trigger = "elsewhere"
			err = c.Platform.Ack(c, o)
		case "nack":
			err = c.Platform.Nack(c, o, fmt.Errorf("not today"))
		default:
			err = c.Platform.Nack(c, o, myelin.Permanent(fmt.Errorf("not today")))
		}
		if e, ok := err.(*event.Error); ok { //nolint:errorlint // it is the error itself
			return fmt.Sprint(e.Status, " ", e), nil
		}
		return "ok", err
	}, nil)
}

// keeper is a processor in this process whose function keeps events open. Both
// triggers share its one worker.
type keeper struct {
	t    *testing.T
	url  string
	dir  string
	stop func()
}

func startKeeper(t *testing.T, lang string, b triggertest.Broker, mode string) *keeper {
	t.Helper()
	k := &keeper{t: t, dir: t.TempDir()}
	kind, _, _ := strings.Cut(lang, " ")
	if kind == "page" {
		kind = "python"
	}
	wait := "20ms"
	if strings.HasPrefix(t.Name(), "TestExplicitDrain") {
		wait = "30s" // no longer than it takes to settle
	}
	cfg := processor.Config{Dir: filepath.Join(k.dir, "f"), Scratch: filepath.Join(k.dir, "s"), Admin: processor.Admin{Listen: "none"},
		Letters: processor.Letters{Dir: filepath.Join(k.dir, "letters")}}
	l, err := function.Parse("function.yaml", []byte(fmt.Sprintf(`
metadata: {name: f}
spec:
  runtime: %s
  handler: %s
  triggers:
    default-http: {kind: http, numWorkers: 1, workerAllocatorName: one}
    in:
      kind: memory
      workerAllocatorName: one
      explicitAckMode: %s
      checkpointInterval: 5ms
      waitExplicitAckDuringRebalanceTimeout: %s
      retry: {attempts: 3, backoff: {initial: 1ms}}
`, kind, map[string]string{"java": "F"}[lang], mode, wait)))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Function = l.Config
	if kind != "java" && kind != "golang" {
		cfg.Function.Spec.Handler = "f:handler"
	}
	function.Defaults(&cfg.Function)
	if kind == "java" {
		cfg.Dir = buildKeeperJava(t, keeping[lang]["F.java"])
	} else {
		for name, text := range keeping[lang] {
			write(t, filepath.Join(cfg.Dir, "src", name), text)
		}
		_ = os.MkdirAll(cfg.Dir, 0o755)
	}
	k.url, k.stop = inProcess(t, cfg, b, keepingGo())
	return k
}

// inProcess runs a processor in this process, with the source b as the kind
// memory, on a socket of its own.
func inProcess(t *testing.T, cfg processor.Config, b triggertest.Broker, goFunction native.Function) (url string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url = "http://" + ln.Addr().String() + "/"
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close() // the copy remains
	in := component.Define("memory", "A source in memory.", func() struct{} { return struct{}{} },
		func(s trigger.Settings, _ struct{}) (trigger.Trigger, error) { return b.Trigger(t, s), nil })
	p, err := processor.New(cfg, processor.Parts{Triggers: trigger.NewSet(httptrigger.Factory(), in),
		Runtimes: runtime.NewSet(python.Factory(), nodejs.Factory(), java.Factory(), native.Factory(goFunction)),
		Sockets:  []handoff.Socket{{Name: function.DefaultHTTPTrigger, FD: int(f.Fd())}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = f.Close()
	})
	t.Cleanup(stop)
	return url, stop
}

// say tells the function something and returns what it answers.
func (k *keeper) say(what string) string {
	k.t.Helper()
	_, text, err := post(k.url, what)
	if err != nil {
		k.t.Fatal(err)
	}
	return text
}

func (k *keeper) is(what, answer string) {
	k.t.Helper()
	if got := k.say(what); !strings.HasPrefix(got, answer) {
		k.t.Errorf("%s: %s, want %s", what, got, answer)
	}
}

func (k *keeper) until(what, answer string) {
	k.t.Helper()
	eventually(k.t, what+": "+answer, func() bool { return k.say(what) == answer })
}

func (k *keeper) letters() (n int) {
	_ = filepath.WalkDir(filepath.Join(k.dir, "letters"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, _ := os.ReadFile(path)
			n += strings.Count(string(b), `"reason":"permanent"`)
		}
		return nil
	})
	return n
}

func records(from, to int) (rs []triggertest.Record) {
	for n := from; n < to; n++ {
		rs = append(rs, triggertest.Record{Body: fmt.Sprint(n)})
	}
	return rs
}

// An event of a stream is done when its function says so, from the handler of
// another event, and not before: the checkpoint waits for it.
func TestExplicitStream(t *testing.T) {
	for lang := range keeping {
		t.Run(lang, func(t *testing.T) {
			log := memory.NewLog(1)
			k := startKeeper(t, lang, log, "enable")
			log.Produce(t, records(0, 6)...)
			k.until("runs 5", "1")
			k.is("ack 1", "ok")
			k.is("ack 2", "ok")
			k.is("ack 1", "409 settle event 1 of shard 0: the event is not open")
			k.is("elsewhere 3", `404 settle event: the function has no trigger "elsewhere"`)
			if n := log.Committed(); n != 0 {
				t.Errorf("the checkpoint is %d, and 0 is open", n)
			}
			k.is("ack 0", "ok")
			eventually(t, "checkpoint 3", func() bool { return log.Committed() == 3 })
			k.is("nack 3", "ok")
			k.until("runs 3", "2")
			k.is("reject 4", "ok")
			eventually(t, "a letter", func() bool { return k.letters() == 1 })
			k.is("ack 3", "ok")
			eventually(t, "checkpoint 5", func() bool { return log.Committed() == 5 })
			k.stop()
			if n := log.Committed(); n != 5 {
				t.Errorf("the checkpoint is %d after a stop, and 5 is open", n)
			}
			k = startKeeper(t, lang, log, "enable")
			k.until("runs 5", "1")
			k.is("ack 5", "ok")
			eventually(t, "checkpoint 6", func() bool { return log.Committed() == 6 })
		})
	}
}

// A function that is told that its open events will soon be another's can settle
// them yet.
func TestExplicitDrain(t *testing.T) {
	for _, lang := range []string{"python", "python async"} {
		t.Run(lang, func(t *testing.T) {
			log, q := memory.NewLog(1), memory.NewQueue(queue.Options{Requeues: true})
			for name, b := range map[string]triggertest.Broker{"stream": log, "queue": q} {
				k := startKeeper(t, lang, b, "explicitOnly")
				b.Produce(t, records(0, 3)...)
				k.until("runs 2", "1")
				for _, n := range []string{"0", "1", "2"} {
					k.is("leave "+n, "ok")
				}
				k.stop()
				k = startKeeper(t, lang, b, "explicitOnly")
				b.Produce(t, records(3, 4)...)
				k.until("runs 3", "1")
				for _, n := range []string{"0", "1", "2"} {
					if got := k.say("runs " + n); got != "0" {
						t.Errorf("%s: event %s ran again, %s times", name, n, got)
					}
				}
				k.is("ack 3", "ok")
				k.stop()
			}
			if n := log.Committed(); n != 4 {
				t.Errorf("the checkpoint is %d", n)
			}
		})
	}
}

// The function on the page about delivery does what the page says.
func TestExplicitOnThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/triggers/delivery.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## Explicit acknowledgement")
	_, rest, _ := strings.Cut(section, "```python\n")
	code, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no Python there")
	}
	keeping["page"] = map[string]string{"f.py": code}
	defer delete(keeping, "page")
	log := memory.NewLog(1)
	startKeeper(t, "page", log, "explicitOnly")
	log.Produce(t, records(0, 25)...)
	eventually(t, "checkpoint 20", func() bool { return log.Committed() == 20 })
}

// A worker's death is the failure of the events that it kept open: another runs
// them again.
func TestExplicitCrash(t *testing.T) {
	for _, lang := range []string{"python", "python async", "nodejs", "java"} {
		t.Run(lang, func(t *testing.T) {
			log := memory.NewLog(1)
			k := startKeeper(t, lang, log, "explicitOnly")
			log.Produce(t, records(0, 4)...)
			k.until("runs 3", "1")
			k.is("ack 1", "ok")
			_ = k.say("die")
			for _, n := range []string{"0", "2", "3"} {
				k.until("runs "+n, "1") // in the new worker
				k.is("ack "+n, "ok")
			}
			k.is("runs 1", "0")
			eventually(t, "checkpoint 4", func() bool { return log.Committed() == 4 })
		})
	}
}

// The same with the messages of a queue.
func TestExplicitQueue(t *testing.T) {
	for _, lang := range []string{"python async", "golang"} {
		t.Run(lang, func(t *testing.T) {
			q := memory.NewQueue(queue.Options{Requeues: true})
			k := startKeeper(t, lang, q, "explicitOnly")
			q.Produce(t, records(0, 4)...)
			k.until("runs 3", "1")
			k.is("ack 1", "ok")
			k.is("ack 1", "409 settle event")
			k.is("nack 2", "ok")
			k.until("runs 2", "2")
			k.is("reject 3", "ok")
			if lang != "golang" {
				_ = k.say("die")
				k.until("runs 0", "1")
			}
			k.is("ack 0", "ok")
			k.stop()
			k = startKeeper(t, lang, q, "explicitOnly")
			k.until("runs 2", "1")
			for _, n := range []string{"0", "1", "3"} {
				k.is("runs "+n, "0")
			}
			k.is("ack 2", "ok")
		})
	}
}

// buildKeeperJava compiles F.java to an artefact.
func buildKeeperJava(t *testing.T, source string) (dir string) {
	t.Helper()
	dir, src := t.TempDir(), t.TempDir()
	write(t, filepath.Join(src, "F.java"), source)
	b := buildjava.New(buildjava.Options{Data: t.TempDir(), Find: java.Find,
		Prepare: func(ctx context.Context, home string, log io.Writer) (string, string, error) {
			return java.Prepare(ctx, home, "", slog.New(slog.NewTextHandler(log, nil)))
		}})
	s := build.Source{Dir: src, Config: function.Config{Spec: function.Spec{Runtime: "java", Handler: "F"}}}
	if _, err := b.Build(t.Context(), s, dir, t.Output()); err != nil {
		t.Fatal(err)
	}
	return dir
}
