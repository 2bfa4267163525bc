package http

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// engineEnv has every trigger of this package's tests use the engine that it
// names, instead of goroutines.
const engineEnv = "MYELIN_HTTP_TEST_ENGINE"

// onTrunks is the loop, whose clients are on trunks.
const onTrunks = "trunk"

// What holds for an engine holds for the other.
func TestWithTheLoop(t *testing.T) {
	if os.Getenv(engineEnv) != "" {
		return // this is that run
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.count=1", "-test.timeout=4m")
	cmd.Env = append(os.Environ(), engineEnv+"="+EngineLoop)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

// What is sent and answered is the same on a trunk.
func TestOnTrunks(t *testing.T) {
	if os.Getenv(engineEnv) != "" {
		return // this is that run, or the other
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.count=1", "-test.timeout=4m", "-test.v",
		"-test.run=^(TestRefused|TestContinue|TestKeepAlivePipelineHeadClose|TestEvent|TestOutcomes|TestAbandonedHead|TestStreamBreaks|TestLentBodies|TestResponseHeaders|TestLogsHeader)$")
	cmd.Env = append(os.Environ(), engineEnv+"="+onTrunks)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "\n--- PASS") < 10 {
		t.Errorf("%v\n%s", err, out)
	}
}

// engined adds the engine of this run to a trigger's attributes.
func engined(t testing.TB, attributes string) string {
	t.Helper()
	engine := os.Getenv(engineEnv)
	switch engine {
	case "":
		engine = EngineGoroutines
	case onTrunks:
		engine = EngineLoop
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(attributes), &m); err != nil {
		t.Fatal(err)
	}
	m["engine"] = engine
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// submits has a handler take events by submission too. Each third is refused, and
// of the others each third comes to nothing, so that it has to be handled.
type submits struct{ trigger.Handler }

func (s submits) Pending(done func()) trigger.Pending { return &submitted{h: s.Handler, done: done} }
func (s submits) Flush()                              {}

type submitted struct {
	h    trigger.Handler
	done func()
	n    int
	resp event.Response
	err  error
}

func (p *submitted) Submit(ev *event.Event) bool {
	if p.n++; p.n%3 == 0 {
		return false
	}
	p.resp = event.Response{Takes: event.TakesViews | event.TakesStreams}
	go func() {
		if p.err = event.ErrNotRun; p.n%9 != 1 {
			p.err = p.handle(ev)
		}
		p.done()
	}()
	return true
}

// handle turns a panic into an outcome, as a pool does.
func (p *submitted) handle(ev *event.Event) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = event.Errorf(500, "handler panicked")
		}
	}()
	return p.h.Handle(context.Background(), ev, &p.resp)
}

func (p *submitted) Outcome(resp *event.Response) error {
	*resp = p.resp
	return p.err
}
