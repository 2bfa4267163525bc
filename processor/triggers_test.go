package processor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/native"
	"github.com/myelin-run/myelin/trigger"
	httptrigger "github.com/myelin-run/myelin/trigger/http"
)

// steered is a trigger that does nothing but what it is told.
type steered struct {
	mu     sync.Mutex
	report trigger.Report
	ready  chan struct{}
}

func (s *steered) Run(ctx context.Context, _ trigger.Handler) error { <-ctx.Done(); return nil }
func (s *steered) Ready() <-chan struct{}                           { return s.ready }
func (s *steered) set(f func(*trigger.Report)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.report)
}
func (s *steered) Report() (r trigger.Report) {
	s.set(func(now *trigger.Report) { r = *now })
	return r
}
func (s *steered) Pause()  { s.set(func(r *trigger.Report) { r.State = trigger.Paused }) }
func (s *steered) Resume() { s.set(func(r *trigger.Report) { r.State = trigger.Running }) }
func (s *steered) Seek(_ context.Context, to string) error {
	if to == "5" {
		return fmt.Errorf("no such place")
	}
	s.set(func(r *trigger.Report) { r.Shards = []trigger.ShardReport{{Topic: "t", Shard: 1, Next: 7, Lag: -1}} })
	return nil
}

type noConfig struct{}

// A trigger is watched and steered through the processor's admin interface.
func TestTriggersAreSteered(t *testing.T) {
	s := &steered{ready: make(chan struct{}), report: trigger.Report{State: trigger.Connecting, Problem: "broker is away", Lag: 12, Dead: 3}}
	factory := component.Define("steered", "Does nothing.", func() noConfig { return noConfig{} }, func(trigger.Settings, noConfig) (trigger.Trigger, error) { return s, nil })
	cfg := config(t, "  triggers: {queue: {kind: steered}, default-http: {kind: http}}\n")
	cfg.Admin.Listen = "unix:" + cfg.Dir + "/a"
	t.Chdir(cfg.Dir)
	p, err := processor.New(cfg, processor.Parts{Triggers: trigger.NewSet(factory, httptrigger.Factory()), Runtimes: runtime.NewSet(native.Factory(echo))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	ask := func(method, path string) (code int, text string) {
		deadline := time.Now().Add(20 * time.Second)
		for code = 0; code == 0 && time.Now().Before(deadline); {
			code, text = unixAsk(cfg.Dir+"/a", method, path)
		}
		return code, text
	}
	if code, text := ask("GET", "/ready"); code != 503 || !strings.Contains(text, "trigger queue is connecting: broker is away") {
		t.Errorf("not ready: %d %s", code, text)
	}
	close(s.ready)
	for _, step := range []struct{ path, want string }{
		{"/triggers/queue/resume", "200 ok"}, {"/triggers/queue/pause", "200 ok"}, {"/triggers/queue/seek?to=earliest", "200 ok"},
		{"/triggers/queue/seek?to=5", "422 no such place"}, {"/triggers/queue/seek?to=noon", "422 to=noon: want earliest"}, {"/triggers/queue/seek", "422 to=: want"},
		{"/triggers/queue/explode", "409 steered: triggers of this kind cannot do that"}, {"/triggers/default-http/pause", "409 http: triggers of this kind"},
		{"/triggers/other/pause", `404 the function has no trigger "other"`},
	} {
		if code, text := ask("POST", step.path); !strings.HasPrefix(fmt.Sprint(code, " ", text), step.want) {
			t.Errorf("%s: %d %s, want %s", step.path, code, text, step.want)
		}
	}
	_, text := ask("GET", "/triggers")
	var views map[string]processor.View
	if err := json.Unmarshal([]byte(text), &views); err != nil || views["queue"].Report == nil || views["queue"].Report.State != trigger.Paused || views["default-http"].Report != nil {
		t.Errorf("%v in %s", err, text)
	}
	_, metrics := ask("GET", "/metrics")
	for _, want := range []string{`myelin_trigger_lag{kind="steered",trigger="queue"} 12`, `myelin_trigger_events_total{kind="steered",result="dead",trigger="queue"} 3`,
		`myelin_trigger_state{kind="steered",state="paused",trigger="queue"} 1`, `myelin_trigger_checkpoint{kind="steered",shard="1",topic="t",trigger="queue"} 7`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	if strings.Contains(metrics, "myelin_trigger_shard_lag{") {
		t.Error("a lag that is not known is told")
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// unixAsk makes one request over a unix socket; the status is 0 if nobody answers.
func unixAsk(socket, method, path string) (int, string) {
	req, err := http.NewRequest(method, "http://processor"+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	return unixDo(socket, req)
}

func unixDo(socket string, req *http.Request) (int, string) {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}
