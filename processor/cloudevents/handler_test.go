package cloudevents_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/processor/cloudevents"
	"github.com/myelin-run/myelin/trigger"
)

// echo answers with what it gets, and fails as the body says.
type echo struct {
	lists atomic.Int32
	sent  int
}

func (p *echo) Handle(_ context.Context, ev *event.Event, resp *event.Response) error {
	switch string(ev.Body) {
	case `"fails"`:
		return event.Errorf(418, "no tea")
	case `"never"`:
		return event.Permanent(errors.New("no good"))
	case `"later"`:
		return event.ErrLater
	case `"quiet"`:
		return nil
	}
	resp.Body = fmt.Appendf(resp.Body, "%s %s %s %s", ev.ID, ev.Header("ce-type"), ev.ContentType, ev.Body)
	return nil
}

func (p *echo) HandleBatch(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	p.lists.Add(1)
	for i := range evs {
		errs[i] = p.Handle(ctx, evs[i], resps[i])
	}
}

func (*echo) Sealed() bool                       { return true }
func (*echo) Drain()                             {}
func (*echo) Lend(int) event.Loan                { return nil }
func (p *echo) Pending(func()) trigger.Pending   { return p }
func (*echo) Flush()                             {}
func (p *echo) Submit(*event.Event) bool         { p.sent++; return true }
func (*echo) Outcome(resp *event.Response) error { return nil }

const (
	one  = "application/cloudevents+json"
	many = "application/cloudevents-batch+json"
)

func ce(id, data string) string {
	return fmt.Sprintf(`{"specversion": "1.0", "id": %q, "source": "/a", "type": "t", "traceparent": "00-1-2-01", "data": %s}`, id, data)
}

func plain(contentType, body string) *event.Event {
	return &event.Event{ID: []byte("own"), ContentType: []byte(contentType), Body: []byte(body)}
}

func binary() *event.Event {
	ev := plain("text/plain", "data")
	ev.Headers = event.Pairs{{Key: "Ce-Specversion", Value: []byte("1.0")}, {Key: "Ce-Id", Value: []byte("b")}, {Key: "Ce-Source", Value: []byte("/a")}, {Key: "Ce-Type", Value: []byte("t")}}
	return ev
}

// Which events are unpacked, and which are refused, by the setting.
func TestSettings(t *testing.T) {
	broken := binary()
	broken.Headers = broken.Headers.(event.Pairs)[:2]
	for _, c := range []struct {
		h    cloudevents.Handler
		ev   *event.Event
		want string
	}{
		{cloudevents.Handler{}, plain("text/plain", "x"), "own  text/plain x"},
		{cloudevents.Handler{}, plain(one, ce("1", `{"a": 1}`)), `1 t application/json {"a": 1}`},
		{cloudevents.Handler{}, plain(one, "{}"), "400 specversion: is required"},
		{cloudevents.Handler{}, binary(), "own t text/plain data"},
		{cloudevents.Handler{}, broken, "own  text/plain data"},
		{cloudevents.Handler{Binary: true}, binary(), "b t text/plain data"},
		{cloudevents.Handler{Binary: true}, broken, "400 source: is required and must not be empty"},
		{cloudevents.Handler{Binary: true}, plain("text/plain", "x"), "own  text/plain x"},
		{cloudevents.Handler{Required: true}, binary(), "b t text/plain data"},
		{cloudevents.Handler{Required: true}, plain("text/plain", "x"), "400 specversion: is required"},
	} {
		c.h.Pool = &echo{}
		var resp event.Response
		err := c.h.Handle(t.Context(), c.ev, &resp)
		got := string(resp.Body)
		if e := (*event.Error)(nil); errors.As(err, &e) && event.IsPermanent(err) {
			got = fmt.Sprintf("%d %s", e.Status, strings.TrimPrefix(e.Message, "CloudEvent: "))
		}
		if got != c.want {
			t.Errorf("%+v: got %q %v, want %q", c.h, got, err, c.want)
		}
		if string(c.ev.ID) != "own" {
			t.Errorf("the trigger's event is changed: %+v", c.ev)
		}
	}
}

// A list that a trigger gathers keeps its order, whatever its events are.
func TestLists(t *testing.T) {
	p := &echo{}
	h := cloudevents.Handler{Pool: p, Together: 2}
	run := func(evs ...*event.Event) (out []string) {
		resps, errs := make([]*event.Response, len(evs)), make([]error, len(evs))
		for i := range resps {
			resps[i] = &event.Response{}
		}
		h.HandleBatch(t.Context(), evs, resps, errs)
		for i := range evs {
			out = append(out, fmt.Sprintf("%s %v", resps[i].Body, errs[i]))
		}
		return out
	}
	got := run(plain("", "a"), plain(one, ce("1", "1")), plain(one, "{"), plain(many, "["+ce("2", `"quiet"`)+"]"), plain("", "b"))
	want := []string{"own   a <nil>", "1 t application/json 1 <nil>", " CloudEvent: the event is no object in JSON: unexpected end of JSON input", " <nil>", "own   b <nil>"}
	if fmt.Sprint(got) != fmt.Sprint(want) || p.lists.Load() != 1 {
		t.Errorf("got %q in %d lists", got, p.lists.Load())
	}
	if got := run(plain("", "a"), plain("", "b")); fmt.Sprint(got) != "[own   a <nil> own   b <nil>]" || p.lists.Load() != 2 {
		t.Errorf("got %q in %d lists", got, p.lists.Load())
	}
}

// What becomes of a batch is what became of its events.
func TestBatches(t *testing.T) {
	h := cloudevents.Handler{Pool: &echo{}, Together: 3}
	for _, c := range []struct {
		events []string
		body   string
		err    string
		status int
		never  bool
	}{
		{events: nil},
		{events: []string{`"quiet"`, `"quiet"`}},
		{events: []string{`"quiet"`, "7"}, body: `[{"id":"0","status":200},{"id":"1","status":200,"body":"1 t application/json 7"}]`},
		{events: []string{"1", `"fails"`, `"never"`}, err: `2 of 3 events failed, first event "1": no tea`, status: 418},
		{events: []string{`"never"`}, err: `event "0": no good`, never: true},
		{events: []string{`"later"`, "1"}, err: event.ErrLater.Error()},
	} {
		var list []string
		for i, data := range c.events {
			list = append(list, ce(fmt.Sprint(i), data))
		}
		var resp event.Response
		err := h.Handle(t.Context(), plain(many, "["+strings.Join(list, ",")+"]"), &resp)
		e := (*event.Error)(nil)
		if string(resp.Body) != c.body || fmt.Sprint(err) != c.err && (err != nil || c.err != "") || event.IsPermanent(err) != c.never || errors.As(err, &e) && e.Status != c.status {
			t.Errorf("%v: %s, %v", c.events, resp.Body, err)
		}
	}
	if err := h.Handle(t.Context(), plain(many, "[{}]"), &event.Response{}); !event.IsPermanent(err) || !strings.Contains(err.Error(), "event 1 of 1") {
		t.Error(err)
	}
}

// An event that says which trace it belongs to says so as its protocol would.
func TestTraces(t *testing.T) {
	got := make(chan string, 1)
	h := cloudevents.Handler{Pool: &tracing{echo{}, got}}
	ev := plain(one, ce("1", "1"))
	for want, headers := range map[string]event.Pairs{
		"00-1-2-01": nil,
		"own":       {{Key: "Traceparent", Value: []byte("own")}, {Key: "Content-Type", Value: []byte("no")}},
	} {
		ev.Headers = headers
		if err := h.Handle(t.Context(), ev, &event.Response{}); err != nil {
			t.Fatal(err)
		}
		if trace := <-got; trace != want {
			t.Errorf("trace %s, want %s", trace, want)
		}
	}
}

type tracing struct {
	echo
	got chan string
}

func (p *tracing) Handle(_ context.Context, ev *event.Event, _ *event.Response) error {
	if ev.Header("content-type") != nil {
		return errors.New("the content type of what the data was in")
	}
	p.got <- string(ev.Header("traceparent"))
	return nil
}

// Other events take the short way, and cost nothing more.
func TestOthersPass(t *testing.T) {
	p := &echo{}
	h := &cloudevents.Handler{Pool: p}
	s := h.Pending(func() {})
	if !s.Submit(plain("text/plain", "x")) || s.Submit(plain(one, ce("1", "1"))) || p.sent != 1 {
		t.Errorf("%d submitted", p.sent)
	}
	ev := plain("application/json", `"quiet"`)
	resp := &event.Response{}
	if n := testing.AllocsPerRun(100, func() { _ = h.Handle(t.Context(), ev, resp) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
