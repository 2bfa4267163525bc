package tap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
)

// pool answers what an event's body asks for.
type pool struct{ batches atomic.Int32 }

func (p *pool) Handle(_ context.Context, ev *event.Event, resp *event.Response) error {
	switch body := string(ev.Body); {
	case strings.HasPrefix(body, "fail"):
		return event.Errorf(422, "failed with %s", own)
	case body == "teapot":
		resp.Status = 418
	case body == "busy":
		return event.ErrBusy
	case body == "gone":
		resp.Status = -1 // whoever reads it reads what is the function's
		return event.Abandon(event.ErrTimeout)
	case body == "crash":
		return event.ErrCrashed
	case strings.HasPrefix(body, "spoil"):
		copy(ev.Body, "XXXXX")
	}
	return nil
}

func (p *pool) HandleBatch(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	p.batches.Add(1)
	for i := range evs {
		errs[i] = p.Handle(ctx, evs[i], resps[i])
	}
}
func (*pool) Sealed() bool        { return false }
func (*pool) Drain()              {}
func (*pool) Lend(int) event.Loan { return nil }

// submitting is a pool that takes events from callers that do not wait.
type submitting struct {
	pool
	full bool
}

func (s *submitting) Pending(func()) trigger.Pending { return &pended{s: s} }
func (*submitting) Flush()                           {}

type pended struct {
	s  *submitting
	ev *event.Event
}

func (p *pended) Submit(ev *event.Event) bool { p.ev = ev; return !p.s.full }
func (p *pended) Outcome(resp *event.Response) error {
	if string(p.ev.Body) == "lost" {
		return event.ErrNotRun
	}
	return p.s.Handle(context.Background(), p.ev, resp)
}

func came(body string) *event.Event {
	return &event.Event{Source: &event.Source{Kind: "kafka", Class: "stream", Name: "in"}, ID: []byte("id-" + body), Body: []byte(body), Time: time.Unix(7, 0).UTC(),
		Topic: "orders", Token: event.Token{Shard: 3, Offset: 17}, Key: []byte("k"), Tries: 2, Headers: event.Pairs{{Key: "Cookie", Value: []byte("c")}}}
}

// await asks until a capture has so many events.
func await(t *testing.T, h *Hub, r Request, n int) (all []Event, last Report) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		got, err := h.Want(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range got.Events {
			all = append(all, e)
			r.Have = map[string]int64{got.Instance: e.Seq}
		}
		if len(all) >= n {
			return all, got
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d events came: %+v", len(all), n, got)
		}
	}
}

// wanted begins a capture.
func wanted(t *testing.T, h *Hub, s Spec) Request {
	t.Helper()
	if err := s.Complete(); err != nil {
		t.Fatal(err)
	}
	r := Request{ID: "c", Spec: s, Left: time.Hour.Milliseconds()}
	if _, err := h.Want(r); err != nil {
		t.Fatal(err)
	}
	return r
}

func newHub(t *testing.T) *Hub {
	h := New()
	t.Cleanup(h.Close)
	return h
}

// An event is kept as it came, whatever the function did with it, with its outcome.
func TestCaptures(t *testing.T) {
	h := newHub(t)
	over := h.Over(&pool{}, "in")
	run := func(body string) { _ = over.Handle(t.Context(), came(body), &event.Response{}) }
	run("before")
	r := wanted(t, h, Spec{})
	for _, body := range []string{"good", "fail", "teapot", "busy", "gone", "crash", "spoiled"} {
		run(body)
	}
	all, last := await(t, h, r, 6)
	for i, want := range []struct {
		body   string
		status int
		err    string
	}{{"good", 200, ""}, {"fail", 422, "failed with ***"}, {"teapot", 418, "answered with status 418: "}, {"gone", 408, "handler timed out"}, {"crash", 502, "worker died while it ran the event"}, {"spoiled", 200, ""}} {
		e := all[i]
		if string(e.Event.Body) != want.body || e.Status != want.status || e.Error != want.err || e.Seq != int64(i+1) || e.Attempt != 3 || e.Event.ID != "id-"+want.body ||
			e.Trigger != "in" || e.Kind != "kafka" || e.From != (letter.Place{Topic: "orders", Shard: 3, Offset: 17}) || string(e.Event.Headers[0].Value) != "***" || e.Ms < 0 || e.At.IsZero() {
			t.Errorf("%s: %+v", want.body, e)
		}
	}
	if last.Seen != 6 || last.Dropped != 0 {
		t.Errorf("%+v", last)
	}
	h.End("other")
	if h.on.Load() == nil {
		t.Error("another's end ended it")
	}
	h.End("c")
	if h.on.Load() != nil || h.now != nil {
		t.Error("it has not ended")
	}
}

// A capture stops by itself at its bounds, and says what did not fit.
func TestBounds(t *testing.T) {
	h := newHub(t)
	over := h.Over(&pool{}, "in")
	run := func(body string) { _ = over.Handle(t.Context(), came(body), &event.Response{}) }
	r := wanted(t, h, Spec{Count: 2, EventSize: 10})
	run("0123456é") // whose last sign is cut in two
	run("0123456\xff89ab")
	run("too much")
	all, last := await(t, h, r, 2)
	if len(all) != 2 || h.on.Load() != nil || last.Dropped != 0 {
		t.Errorf("%d events, %+v", len(all), last)
	}
	h.End("c")
	r = wanted(t, h, Spec{EventSize: 8})
	run("0123456é")
	all, _ = await(t, h, r, 1)
	if e := all[0]; string(e.Event.Body) != "0123456" || !e.Cut || e.Size != 9 {
		t.Errorf("%q %+v", e.Event.Body, e)
	}
	h.End("c")
	r = wanted(t, h, Spec{Count: 10, Size: 5000, EventSize: 4000})
	for range 4 {
		run(strings.Repeat("x", 3000))
	}
	if all, last := await(t, h, r, 1); len(all) != 1 || last.Dropped != 3 || last.Seen != 4 {
		t.Errorf("%d events, %+v", len(all), last)
	}
	h.End("c")
	r = wanted(t, h, Spec{Failed: true, Trigger: "in"})
	other := h.Over(&pool{}, "other")
	_ = other.Handle(t.Context(), came("fail"), &event.Response{})
	run("good")
	run("fail")
	if all, last := await(t, h, r, 1); len(all) != 1 || all[0].Trigger != "in" || all[0].Error == "" || last.Seen != 2 {
		t.Errorf("%+v, %+v", all, last)
	}
}

// Batches and events of callers that do not wait are captured like any, once.
func TestWays(t *testing.T) {
	h := newHub(t)
	p := &submitting{}
	over := h.Over(p, "in")
	r := wanted(t, h, Spec{})
	errs := make([]error, 2)
	over.(trigger.BatchHandler).HandleBatch(t.Context(), []*event.Event{came("a"), came("fail")}, []*event.Response{{}, {}}, errs)
	one := over.(trigger.Submitter).Pending(nil)
	for _, body := range []string{"b", "lost", "teapot"} {
		if ev := came(body); !one.Submit(ev) || (one.Outcome(&event.Response{}) != nil) != (body == "lost") {
			t.Errorf("%s: not as it should be", body)
		}
	}
	p.full = true
	if one.Submit(came("no room")) {
		t.Error("taken without room")
	}
	all, _ := await(t, h, r, 4)
	var bodies []string
	for _, e := range all {
		bodies = append(bodies, string(e.Event.Body))
	}
	if fmt.Sprint(bodies) != "[a fail b teapot]" || all[1].Status != 422 || p.batches.Load() != 1 {
		t.Errorf("%v", bodies)
	}
	if s := h.on.Load(); s.copies.Load() != 0 {
		t.Errorf("%d bytes of copies are left", s.copies.Load())
	}
	if h.Over(&pool{}, "x").(trigger.Submitter).Pending(nil) != nil {
		t.Error("a pool that takes no submissions does")
	}
}

// Whoever wanted a capture and has gone leaves nothing behind.
func TestForgotten(t *testing.T) {
	h := newHub(t)
	h.silent = 20 * time.Millisecond
	wanted(t, h, Spec{})
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		h.mu.Lock()
		gone := h.now == nil && h.on.Load() == nil
		h.mu.Unlock()
		if gone {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is kept")
		}
	}
	h.silent = time.Hour
	r := wanted(t, h, Spec{})
	r.Left = -5 // its time is up: what was captured is still told
	_ = h.Over(&pool{}, "in").Handle(t.Context(), came("x"), &event.Response{})
	if all, _ := await(t, h, r, 1); len(all) != 1 {
		t.Error("it is lost")
	}
	for end := time.Now().Add(30 * time.Second); h.on.Load() != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it goes on")
		}
	}
	h.Close()
	if got, err := h.Want(r); err != nil || got.Instance != "" {
		t.Errorf("after the end: %+v, %v", got, err)
	}
}

// The last events are kept, with nothing taken out.
func TestRecalls(t *testing.T) {
	h := newHub(t)
	if len(h.Recalled()) != 0 {
		t.Error("something is recalled")
	}
	h.Recall(3)
	over := h.Over(&pool{}, "in")
	for i := range 10 {
		_ = over.Handle(t.Context(), came(fmt.Sprint(i)), &event.Response{})
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		got := h.Recalled()
		if len(got) == 3 && string(got[2].Event.Body) == "9" && string(got[0].Event.Headers[0].Value) == "c" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%+v", got)
		}
	}
}

// Without a capture an event costs nothing that could be measured.
func TestOffAllocatesNothing(t *testing.T) {
	h := newHub(t)
	over := h.Over(&submitting{}, "in")
	wanted(t, h, Spec{Count: 1})
	ev, resp, errs := came("x"), &event.Response{}, make([]error, 1)
	_ = over.Handle(t.Context(), ev, resp)
	if h.on.Load() != nil {
		t.Fatal("it is not full")
	}
	p := over.(trigger.Submitter).Pending(nil)
	evs, resps, batch, ctx := []*event.Event{ev}, []*event.Response{resp}, over.(trigger.BatchHandler), t.Context()
	if n := testing.AllocsPerRun(100, func() {
		_ = over.Handle(ctx, ev, resp)
		batch.HandleBatch(ctx, evs, resps, errs)
		p.Submit(ev)
		_ = p.Outcome(resp)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Captures begin and end while events come from everywhere.
func TestOnAndOffUnderLoad(t *testing.T) {
	h := newHub(t)
	over := h.Over(&submitting{}, "in")
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			one := over.(trigger.Submitter).Pending(nil)
			for i := 0; ctx.Err() == nil; i++ {
				ev := came([]string{"good", "fail", `{"password":"x"}`, "spoil"}[i%4])
				if i%2 == 0 {
					one.Submit(ev)
					_ = one.Outcome(&event.Response{})
				} else {
					_ = over.Handle(ctx, ev, &event.Response{})
				}
			}
		})
	}
	for i := range 50 {
		r := Request{ID: fmt.Sprint(i), Spec: Spec{Count: 5}, Left: 1e6}
		if i%5 == 0 {
			await(t, h, r, 5)
		} else if _, err := h.Want(r); err != nil {
			t.Error(err)
		}
		if i%3 == 0 {
			h.End(r.ID)
		}
	}
	stop()
	load.Wait()
}

func TestSpecs(t *testing.T) {
	var s Spec
	if err := s.Complete(); err != nil || s.Count != 20 || s.For.Std() != time.Minute || s.Fraction != 1 || s.EventSize != 64<<10 || s.Size != 4<<20 {
		t.Errorf("%+v, %v", s, err)
	}
	for want, s := range map[string]Spec{
		"count": {Count: 1001}, "for": {For: quantity.Duration(2 * time.Hour)}, "eventSize": {EventSize: -1}, "size": {Size: 1 << 30}, "fraction": {Fraction: 1.5},
		"keep": {Keep: []string{"set-cookie"}}, "redactFields": {RedactFields: []string{" "}}, "redactHeaders": {RedactHeaders: make([]string, 101)},
	} {
		if err := s.Complete(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// What a processor writes is its function's to forge.
func FuzzRead(f *testing.F) {
	spec := Spec{Count: 3, Trigger: "in"}
	_ = spec.Complete()
	r := Request{ID: "c", Spec: spec, Have: map[string]int64{"i": 1}}
	good := Event{Seq: 2, Trigger: "in", Kind: "http", Event: letter.Event{ID: "1", Body: letter.Bytes("b")}}
	for _, p := range []Report{{Instance: "i", Events: []Event{good}}, {Instance: "i", Seen: -1}, {Instance: "i", Events: []Event{good, good}}, {Instance: "j", Events: make([]Event, 4)}} {
		b, _ := json.Marshal(p)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := Read(text, r)
		if err != nil {
			if !errors.Is(err, ErrUnlike) {
				t.Errorf("%v", err)
			}
			return
		}
		last := r.Have[got.Instance]
		for _, e := range got.Events {
			if e.Seq <= last || e.Trigger != "in" || len(e.Event.Body) > 64<<10 || e.Weight() > 512<<10 {
				t.Errorf("taken: %+v", e)
			}
			last = e.Seq
		}
		if len(got.Events) > 3 || got.Seen < 0 || got.Dropped < 0 {
			t.Errorf("taken: %+v", got)
		}
		if _, err := json.Marshal(got); err != nil && !strings.Contains(err.Error(), "Time.MarshalJSON") {
			t.Error(err)
		}
	})
}

// What is run again is what came.
func TestLetters(t *testing.T) {
	ev := came("x")
	ev.URL, ev.Path, ev.Fields = []byte("/a?b=c"), []byte("/a"), event.Pairs{{Key: "b", Value: []byte("c")}}
	e := copied("in", ev, 1)
	l := e.Letter()
	var back event.Event
	l.Event.To(&back)
	back.Source, back.Topic, back.Token, back.Tries = ev.Source, l.From.Topic, ev.Token, int32(l.Attempts) //nolint:gosec // two
	if fmt.Sprintf("%+v", ev.Clone()) != fmt.Sprintf("%+v", back.Clone()) {
		t.Errorf("%+v, was %+v", back, ev)
	}
}
