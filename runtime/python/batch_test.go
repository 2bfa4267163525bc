package python

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	pool "github.com/myelin-run/myelin/processor/worker"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/trigger"
)

// openPool opens a pool of workers that run code.
func openPool(t testing.TB, code string, o pool.Options) *pool.Pool {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	p := pool.New(fixture{code: code}.load(t), o)
	if err := p.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// list is what a caller of HandleBatch has.
type list struct {
	evs   []*event.Event
	resps []*event.Response
	errs  []error
}

func newList(bodies ...string) *list {
	l := &list{errs: make([]error, len(bodies))}
	for i, b := range bodies {
		l.evs = append(l.evs, &event.Event{ID: fmt.Appendf(nil, "id-%d", i), Body: []byte(b)})
		l.resps = append(l.resps, &event.Response{})
	}
	return l
}

func (l *list) handle(h trigger.Handler) {
	h.(trigger.BatchHandler).HandleBatch(context.Background(), l.evs, l.resps, l.errs)
}

// Responses that name their events may come in any order, and fail alone.
func TestBatchByEventID(t *testing.T) {
	code := `
def handler(context, events):
    context.logger.info('a batch')
    return [context.Response(body=e.body, event_id=e.id) for e in reversed(events) if e.body != b'none']
`
	for name, code := range map[string]string{"plain": code, "async": asynchronous(code)} {
		h := openPool(t, code, pool.Options{Size: 1}).ForBatches(time.Second, nil, pool.Batching{Size: 100})
		l := newList("a", "none", "c")
		l.evs[0].LogAsked = true
		l.handle(h)
		var failed *event.Error
		if string(l.resps[0].Body) != "a" || string(l.resps[2].Body) != "c" || !errors.As(l.errs[1], &failed) || !strings.Contains(failed.Message, "no response") {
			t.Errorf("%s: %q %q, %v", name, l.resps[0].Body, l.resps[2].Body, l.errs)
		}
		if len(l.resps[0].Logs) < 1 || l.resps[0].Logs[0].Message != "a batch" || len(l.resps[2].Logs) != 0 {
			t.Errorf("%s: records %v, %v", name, l.resps[0].Logs, l.resps[2].Logs)
		}
	}
}

// Answers of a batch that are generators are gathered; what a function keeps of
// a batch stays as it was, events, lists and views.
func TestBatchIsKept(t *testing.T) {
	code := `
kept, lists, views = [], [], []
def parts(e):
    yield e.body
    yield b'!'
def handler(context, events):
    if events[0].body == b'kept':
        return [b','.join([e.body for e in kept] + [e.body for l in lists for e in l] + [bytes(v) for v in views])]
    kept.append(events[0])
    lists.append(events)
    views.append(events[1].body_view)
    return [parts(e) for e in events]
`
	for name, code := range map[string]string{"plain": code, "async": asynchronous(code)} {
		t.Run(name, func(t *testing.T) { batchIsKept(t, code) })
	}
}

func batchIsKept(t *testing.T, code string) {
	h := openPool(t, code, pool.Options{Size: 1}).ForBatches(time.Second, nil, pool.Batching{Size: 100})
	for _, bodies := range [][]string{{"a", "b", "c"}, {"d", strings.Repeat("e", 40000)}} {
		l := newList(bodies...)
		l.handle(h)
		for i, body := range bodies {
			if l.errs[i] != nil || string(l.resps[i].Body) != body+"!" {
				t.Errorf("%.10s: %.20q, %v", body, l.resps[i].Body, l.errs[i])
			}
		}
	}
	e := strings.Repeat("e", 40000)
	l := newList("kept")
	l.handle(h)
	if want := strings.Join([]string{"a", "d", "a", "b", "c", "d", e, "b", e}, ","); string(l.resps[0].Body) != want {
		t.Errorf("kept %.60q, %v", l.resps[0].Body, l.errs[0])
	}
}

// Lists run in order through the submissions of a real worker, which is killed
// again and again: no event is lost, and none runs twice.
func TestListsSurviveKills(t *testing.T) {
	code := "import os\ndef handler(c, e):\n    if e.body == b'die':\n        os._exit(1)\n    return e.body\n"
	p := openPool(t, code, pool.Options{Size: 2, EventTimeout: time.Minute})
	h := p.For(time.Minute, nil)
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			for i := range 4 {
				var bodies []string
				for k := range 150 {
					if k == 40+g && i%2 == 0 {
						bodies = append(bodies, "die")
					} else {
						bodies = append(bodies, fmt.Sprintf("%d.%d.%d", g, i, k))
					}
				}
				l := newList(bodies...)
				l.handle(h)
				for k, body := range bodies {
					switch err := l.errs[k]; {
					case body == "die" && errors.Is(err, event.ErrCrashed):
					case errors.Is(err, event.ErrCrashed): // it ran in a worker that another's event ended
					case err != nil || string(l.resps[k].Body) != body:
						t.Errorf("%s: %q, %v", body, l.resps[k].Body, err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// The deadline of a batch is that of the call: the worker is killed.
func TestBatchTimeout(t *testing.T) {
	p := openPool(t, "def handler(c, events):\n    while events[0].body == b'hang':\n        pass\n    return [e.body for e in events]\n",
		pool.Options{Size: 1, EventTimeout: time.Second})
	h := p.ForBatches(time.Minute, nil, pool.Batching{Size: 100})
	l := newList("hang", "b")
	l.handle(h)
	if !errors.Is(l.errs[0], event.ErrTimeout) || !errors.Is(l.errs[1], event.ErrTimeout) {
		t.Errorf("%v", l.errs)
	}
	l = newList("a", "b")
	l.handle(h)
	if l.errs[0] != nil || string(l.resps[1].Body) != "b" {
		t.Errorf("after it: %v", l.errs)
	}
}

// BenchmarkList is lists of 100 events of 1 KiB: as one call, as many submitted,
// and as many from one goroutine each.
func BenchmarkList(b *testing.B) {
	const n = 100
	for _, bench := range []struct{ name, code string }{
		{"one call", "def handler(c, events):\n    return ['ok'] * len(events)\n"},
		{"submitted", trivial}, {"a goroutine each", trivial},
	} {
		b.Run(bench.name, func(b *testing.B) {
			in, _ := fixture{code: bench.code, batch: n}.open(b)
			l := newList(strings.Split(strings.Repeat(strings.Repeat("x", 1024)+",", n-1)+"x", ",")...)
			b.ReportAllocs()
			began := time.Now()
			for b.Loop() {
				for i := range l.resps {
					l.resps[i].Reset()
					l.errs[i] = event.ErrNotRun
				}
				switch bench.name {
				case "one call":
					in.InvokeBatch(b.Context(), l.evs, l.resps, l.errs)
				case "submitted":
					var places [n]runtime.Place
					for i, ev := range l.evs {
						places[i], _ = in.Begin(0)
						l.errs[i] = places[i].Commit(ev, runtime.Terms{Stay: true})
					}
					in.Flush()
					for i := range places {
						l.errs[i] = places[i].Outcome(l.resps[i])
					}
				default:
					var wg sync.WaitGroup
					for i := range l.evs {
						wg.Go(func() { l.errs[i] = in.Invoke(b.Context(), l.evs[i], l.resps[i]) })
					}
					wg.Wait()
				}
				for i, err := range l.errs {
					if err != nil || len(l.resps[i].Body) == 0 {
						b.Fatalf("%q, %v", l.resps[i].Body, err)
					}
				}
			}
			b.ReportMetric(float64(b.N)*n/time.Since(began).Seconds(), "events/s")
		})
	}
}

// The deadline of an event is that of each part of its stream: a generator that
// gets on may take longer in all, and one that does not is killed.
func TestStreamTimeout(t *testing.T) {
	code := `
import time
def parts(e):
    for i in range(4):
        time.sleep(0.4)
        yield b'%d;' % i
    if e.body == b'hang':
        while True:
            pass
def handler(context, event):
    return parts(event)
`
	h := openPool(t, code, pool.Options{Size: 1, EventTimeout: 1200 * time.Millisecond}).For(time.Minute, nil)
	for body, want := range map[string]error{"": nil, "hang": event.ErrTimeout} {
		resp := &event.Response{Takes: event.TakesStreams}
		if err := h.Handle(context.Background(), &event.Event{Body: []byte(body)}, resp); err != nil || resp.Stream == nil {
			t.Fatalf("%q: no stream, %v", body, err)
		}
		got, err := io.ReadAll(resp.Stream)
		if string(got) != "0;1;2;3;" || !errors.Is(err, want) {
			t.Errorf("%q: %q, %v", body, got, err)
		}
		_ = resp.Stream.Close()
	}
}
