package processor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/trigger"
	httptrigger "github.com/myelin-run/myelin/trigger/http"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/triggertest"
	"github.com/myelin-run/myelin/trigger/triggertest/memory"
)

// sharing is a processor that reads a queue in memory, and what its function saw.
type sharing struct {
	t      *testing.T
	q      *memory.Queue
	cfg    processor.Config
	stop   func()
	mu     sync.Mutex
	seen   map[string]int
	gate   chan struct{} // events wait for it; nil: they do not
	inside int
}

func newSharing(t *testing.T) *sharing {
	s := &sharing{t: t, q: memory.NewQueue(queue.Options{Requeues: true}), seen: map[string]int{}}
	s.cfg = config(t, "  triggers: {queue: {kind: memory, numWorkers: 8, maxInFlight: 8}, default-http: {kind: http}}\n")
	s.cfg.Admin.Listen = "unix:" + s.cfg.Dir + "/a"
	t.Chdir(s.cfg.Dir)
	return s
}

func (s *sharing) handle(_ *myelin.Context, ev *myelin.Event, _ *myelin.Response) error {
	s.mu.Lock()
	gate := s.gate
	s.seen[string(ev.Body)]++
	s.inside++
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
	s.mu.Lock()
	s.inside--
	s.mu.Unlock()
	return nil
}

func (s *sharing) hold(gate chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = gate
}

func (s *sharing) start() {
	s.t.Helper()
	kind := component.Define("memory", "A queue in memory.", func() noConfig { return noConfig{} }, func(set trigger.Settings, _ noConfig) (trigger.Trigger, error) {
		return queue.New(set, s.q.Options, s.q.Source())
	})
	p, err := processor.New(s.cfg, processor.Parts{Triggers: trigger.NewSet(kind, httptrigger.Factory()), Runtimes: runtime.NewSet(native.Factory(native.Of(s.handle, nil)))})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(s.stop)
	s.until("readiness", func() bool { code, _ := s.ask("GET", "/ready", ""); return code == 200 })
}

func (s *sharing) ask(method, path, body string) (int, string) {
	return unixSend(s.cfg.Dir+"/a", method, path, strings.NewReader(body))
}

func (s *sharing) until(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited for %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// share puts the share of the queue and returns what became of it.
func (s *sharing) share(part float64, wait string) processor.ShareView {
	s.t.Helper()
	code, text := s.ask("PUT", "/shares?wait="+wait, fmt.Sprintf(`{"queue": {"part": %v}}`, part))
	var views map[string]processor.ShareView
	if err := json.Unmarshal([]byte(text), &views); code != 200 || err != nil || len(views) != 1 {
		s.t.Fatalf("share %v: %d %s", part, code, text)
	}
	return views["queue"]
}

func (s *sharing) produce(from, to int) {
	for n := from; n < to; n++ {
		s.q.Produce(s.t, triggertest.Record{Body: fmt.Sprint(n)})
	}
}

// ran waits until the events up to n ran, and fails if one ran twice.
func (s *sharing) ran(n int) {
	s.t.Helper()
	s.until(fmt.Sprint(n, " events"), func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.seen) == n })
	s.mu.Lock()
	defer s.mu.Unlock()
	for body, times := range s.seen {
		if times != 1 {
			s.t.Errorf("event %s ran %d times", body, times)
		}
	}
}

// A processor takes the share of its sources that it is told: share 0 drains
// and loses nothing, a share given back goes on where it was, and nothing runs
// twice.
func TestShares(t *testing.T) {
	s := newSharing(t)
	s.cfg.Shares = function.Shares{"queue": {Part: 0}}
	s.start()
	if _, text := s.ask("GET", "/ready", ""); text != "ok\ntrigger queue: share 0, stopped\n" {
		t.Errorf("ready says %q", text)
	}
	s.produce(0, 50)
	gate := make(chan struct{})
	s.hold(gate)
	if v := s.share(0.25, "20s"); v.State != trigger.Running || v.Part != 0.25 {
		t.Errorf("a quarter: %+v", v)
	}
	s.until("two events", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.inside == 2 })
	if v := s.share(0, "0s"); v.State != trigger.Draining {
		t.Errorf("nothing, while events run: %+v", v)
	}
	if v := s.share(0, "100ms"); v.State != trigger.Draining || s.inside != 2 {
		t.Errorf("nothing, while events run: %+v and %d inside", v, s.inside)
	}
	s.hold(nil)
	close(gate)
	if v := s.share(0, "20s"); v.State != trigger.Stopped {
		t.Errorf("nothing: %+v", v)
	}
	s.ran(2)
	if code, text := s.ask("PUT", "/shares?wait=20s", "{}"); code != 200 || !strings.Contains(text, `"part":1,"state":"running"`) {
		t.Errorf("whole: %d %s", code, text)
	}
	s.ran(50)
	s.until("the count of all", func() bool {
		_, text := s.ask("GET", "/triggers", "")
		var views map[string]processor.View
		err := json.Unmarshal([]byte(text), &views)
		return err == nil && views["queue"].Report.Done == 50 && views["queue"].Share == 1
	})
}

// What it was told last, it still keeps to when it was started again.
func TestSharesAreKept(t *testing.T) {
	s := newSharing(t)
	s.start()
	s.share(0, "20s")
	s.stop()
	s.produce(0, 5)
	s.start()
	if _, text := s.ask("GET", "/ready", ""); !strings.Contains(text, "trigger queue: share 0, stopped") {
		t.Errorf("ready says %q", text)
	}
	s.share(1, "20s")
	s.ran(5)
}

// Shares change all the time while events come.
func TestSharesUnderLoad(t *testing.T) {
	s := newSharing(t)
	s.start()
	const rounds, each = 40, 25
	for i := range rounds {
		s.produce(i*each, (i+1)*each)
		s.share([]float64{0, 0.3, 1, 0.9}[i%4], []string{"0s", "1ms", "20s"}[i%3])
	}
	s.share(1, "20s")
	s.ran(rounds * each)
}

func TestWrongShares(t *testing.T) {
	s := newSharing(t)
	s.start()
	for body, want := range map[string]string{
		`{"queue": {"part": 1.5}}`:               "400 share of trigger queue: 1.5 is not from 0 to 1",
		`{"queue": {"part": -1}}`:                "400 share of trigger queue: -1",
		`{"queue": {"part": "much"}}`:            "400 ",
		`{"queue": 0.5}`:                         "400 ",
		`{`:                                      "400 ",
		``:                                       "400 ",
		`{"default-http": {"part": 0.5}}`:        "422 trigger default-http: clients choose whom they reach",
		`{"unknown": {"part": 0.5}}`:             "200 ",
		`{"queue": {"part": 1, "from": "noon"}}`: "400 ",
	} {
		if code, text := s.ask("PUT", "/shares", body); !strings.HasPrefix(fmt.Sprint(code, " ", text), want) {
			t.Errorf("%s: %d %s, want %s", body, code, text, want)
		}
	}
	if code, _ := s.ask("PUT", "/shares?wait=long", "{}"); code != 400 {
		t.Errorf("wait=long: %d", code)
	}
	if v := s.share(1, "20s"); v.State != trigger.Running {
		t.Errorf("after all that: %+v", v)
	}
	cfg := s.cfg
	cfg.Shares = function.Shares{"queue": {Part: 2}}
	if _, err := processor.New(cfg, processor.Parts{}); !errors.Is(err, processor.ErrConfig) {
		t.Errorf("a share of 2 in processor.yaml: %v", err)
	}
}

// unixSend makes one request over a unix socket; the status is 0 if nobody answers.
func unixSend(socket, method, path string, body io.Reader) (int, string) {
	req, err := http.NewRequest(method, "http://processor"+path, body)
	if err != nil {
		return 0, err.Error()
	}
	return unixDo(socket, req)
}
