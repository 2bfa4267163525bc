package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
)

func policy(t *testing.T, spec function.Trigger) *Policy {
	t.Helper()
	p, err := New(trigger.Settings{Name: "in", Function: "f", Spec: spec}, Host{Kind: "test", Without: Drop})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func batchSpec(n int) function.Trigger {
	return function.Trigger{Batch: &function.Batch{Mode: "enable", BatchSize: n}}
}

type handler struct {
	calls [][]string
	run   func(evs []*event.Event, errs []error)
}

func (h *handler) Handle(_ context.Context, ev *event.Event, _ *event.Response) error {
	errs := []error{nil}
	h.calls = append(h.calls, []string{string(ev.Body)})
	h.run([]*event.Event{ev}, errs)
	return errs[0]
}

func (h *handler) HandleBatch(_ context.Context, evs []*event.Event, _ []*event.Response, errs []error) {
	var call []string
	for _, ev := range evs {
		call = append(call, string(ev.Body))
	}
	h.calls = append(h.calls, call)
	h.run(evs, errs)
}

func items(n int) (its []*Item) {
	for i := range n {
		its = append(its, &Item{Orig: event.Event{Body: fmt.Append(nil, i), Key: []byte("k")}})
	}
	return its
}

// A batch that fails as a whole is halved until the poison is alone.
func TestBisect(t *testing.T) {
	for size := 1; size <= 33; size++ {
		for poison := range size {
			crash := fmt.Errorf("died: %w", event.ErrCrashed)
			h := &handler{run: func(evs []*event.Event, errs []error) {
				for _, ev := range evs {
					if string(ev.Body) == fmt.Sprint(poison) {
						for i := range errs {
							errs[i] = crash
						}
					}
				}
				for _, ev := range evs {
					copy(ev.Body, "XXXX") // lent
				}
			}}
			its := items(size)
			policy(t, batchSpec(size)).NewRunner(h).Run(t.Context(), its)
			for i, it := range its {
				if (it.Err != nil) != (i == poison) {
					t.Fatalf("size %d poison %d: event %d has %v", size, poison, i, it.Err)
				}
				if string(it.Orig.Body) != fmt.Sprint(i) {
					t.Fatalf("the original was written on: %q", it.Orig.Body)
				}
			}
			if n := len(h.calls); n > 2*6+1 {
				t.Errorf("size %d poison %d: %d calls", size, poison, n)
			}
		}
	}
}

// Outcomes that differ, are busy or later do not halve.
func TestNoBisect(t *testing.T) {
	one := errors.New("same")
	for name, errs := range map[string][]error{
		"differ": {errors.New("a"), errors.New("b")}, "one": {one, nil}, "busy": {event.ErrBusy, event.ErrBusy},
		"later": {event.ErrLater, event.ErrLater}, "incomparable": {odd{[]int{1}}, odd{[]int{1}}},
	} {
		h := &handler{run: func(_ []*event.Event, out []error) { copy(out, errs) }}
		its := items(2)
		policy(t, batchSpec(2)).NewRunner(h).Run(t.Context(), its)
		if len(h.calls) != 1 || its[0].Err == nil {
			t.Errorf("%s: %v", name, h.calls)
		}
	}
}

type odd struct{ list []int }

func (odd) Error() string { return "odd" }

// Abandoned memory is the function's; the next attempt has its own.
func TestAbandoned(t *testing.T) {
	var kept *event.Event
	h := &handler{}
	h.run = func(evs []*event.Event, errs []error) {
		if kept == nil {
			kept = evs[0]
			errs[0] = event.Abandon(event.ErrTimeout)
			return
		}
		if evs[0] == kept || &evs[0].Body[0] == &kept.Body[0] {
			t.Error("abandoned memory was lent again")
		}
	}
	its := items(1)
	r := policy(t, function.Trigger{}).NewRunner(h)
	r.Run(t.Context(), its)
	if !its[0].Held {
		t.Error("the source's memory is not held")
	}
	r.Run(t.Context(), its)
	if its[0].Err != nil {
		t.Error(its[0].Err)
	}
}

func TestPanicIsTheEventsFailure(t *testing.T) {
	h := &handler{run: func(evs []*event.Event, _ []error) {
		if slices.ContainsFunc(evs, func(e *event.Event) bool { return string(e.Body) == "2" }) {
			panic("planted")
		}
	}}
	for _, spec := range []function.Trigger{{}, batchSpec(4)} {
		its := items(4)
		policy(t, spec).NewRunner(h).Run(t.Context(), its)
		for i, it := range its {
			if (it.Err != nil) != (i == 2) {
				t.Errorf("event %d: %v", i, it.Err)
			}
		}
	}
}

func TestDecide(t *testing.T) {
	p := policy(t, function.Trigger{Delivery: function.Delivery{Retry: &function.Retry{Attempts: 3, MaxAge: quantity.Duration(time.Hour),
		Backoff: &function.Backoff{Initial: quantity.Duration(time.Second), Max: quantity.Duration(3 * time.Second), Jitter: new(float64)}}}})
	it := &Item{Orig: event.Event{Time: time.Now()}}
	for _, c := range []struct {
		err  error
		next Next
		wait time.Duration
	}{
		{nil, Done, 0}, {event.ErrLater, Done, 0}, {event.ErrStopping, Leave, 0},
		{event.ErrCrashed, Retry, time.Second}, {errors.New("x"), Retry, 2 * time.Second}, {event.ErrTimeout, Dead, 0},
	} {
		it.Err = c.err
		if next, wait := p.Decide(it); next != c.next || wait != c.wait {
			t.Errorf("%v: %v after %v, want %v after %v", c.err, next, wait, c.next, c.wait)
		}
	}
	it = &Item{Err: event.Permanent(errors.New("never")), Orig: event.Event{Time: time.Now()}}
	if next, _ := p.Decide(it); next != Dead || it.reason() != letter.Permanent {
		t.Errorf("a permanent failure: %v %s", next, it.reason())
	}
	it = &Item{Err: errors.New("x"), Orig: event.Event{Time: time.Now().Add(-time.Hour)}}
	if next, _ := p.Decide(it); next != Dead || it.reason() != letter.Age {
		t.Errorf("an old event: %v %s", next, it.reason())
	}
	it = &Item{Err: event.ErrBusy}
	for range 100 {
		if next, wait := p.Decide(it); next != Busy || wait <= 0 || it.Attempts != 0 {
			t.Fatalf("busy: %v after %v, %d attempts", next, wait, it.Attempts)
		}
	}
}

func TestExplicit(t *testing.T) {
	for mode, want := range map[string][2]Next{"disable": {Done, Done}, "enable": {Done, Later}, "explicitOnly": {Later, Later}} {
		p := policy(t, function.Trigger{ExplicitAckMode: mode})
		a, _ := p.Decide(&Item{})
		b, _ := p.Decide(&Item{Err: event.ErrLater})
		if a != want[0] || b != want[1] {
			t.Errorf("%s: %v %v", mode, a, b)
		}
	}
}

func TestFilter(t *testing.T) {
	ev := &event.Event{Body: []byte(`{"amount": 12, "items": [1, 2]}`), Key: []byte("k1"), Topic: "orders", ID: []byte("7"), Time: time.Now(),
		Headers: event.Pairs{{Key: "type", Value: []byte("sale")}}, Token: event.Token{Shard: 3, Offset: 9}}
	for text, want := range map[string]bool{
		`body.amount > 10`: true, `body.amount > 12.5`: false, `body.nothing == 1`: false, `body == null`: false,
		`headers["type"] == "sale" && key.startsWith("k")`: true, `headers.absent == "x"`: false,
		`has(body.amount) && !has(body.nothing)`: true, `topic == "orders" && shard == 3 && offset == 9 && id == "7"`: true,
		`body.amount == "text"`: false, `body.items[5] == 1`: false, `size(raw) > 3 && time > timestamp("2020-01-01T00:00:00Z")`: true,
		`body.items.exists(i, i == 2)`: true,
	} {
		f, err := NewFilter(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := f.Pass(ev); got != want || err != nil {
			t.Errorf("%s: %v %v, want %v", text, got, err, want)
		}
	}
	f, _ := NewFilter(`body.a == 1`)
	if pass, err := f.Pass(&event.Event{Body: []byte("\xff no json")}); pass || err != nil {
		t.Errorf("a body that is no JSON: %v %v", pass, err)
	}
	for _, text := range []string{`body.`, `"text"`, `unknown == 1`, strings.Repeat("(", 5000), `1 + 1`} {
		if _, err := NewFilter(text); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// A condition without measure is cut off, and the event runs.
func TestFilterCost(t *testing.T) {
	f, err := NewFilter(`body.all(a, body.all(b, body.all(c, a + b + c >= 0)))`)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	pass, err := f.Pass(&event.Event{Body: []byte("[" + strings.Repeat("1,", 1000) + "1]")})
	if !pass || err == nil {
		t.Errorf("pass %v, error %v", pass, err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

type box struct {
	fails int
	got   []*letter.Letter
}

func (b *box) Send(_ context.Context, l *letter.Letter) error {
	if b.fails > 0 {
		b.fails--
		return errors.New("no room")
	}
	b.got = append(b.got, l)
	return nil
}

// A letter that cannot be kept is kept trying, and the event is not done before.
func TestBury(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &box{fails: 6}
		p, err := New(trigger.Settings{Name: "in", Function: "f", Letters: b}, Host{Kind: "test", Without: Drop})
		if err != nil {
			t.Fatal(err)
		}
		it := &Item{Err: errors.New("bad"), Attempts: 3, Orig: event.Event{ID: []byte("1"), Body: []byte("\xff\x00"), Topic: "t"}}
		if !p.Bury(t.Context(), it) || len(b.got) != 1 {
			t.Fatalf("%d letters", len(b.got))
		}
		l := b.got[0]
		if l.Error != "bad" || l.Attempts != 3 || l.Reason != letter.Attempts || l.From.Topic != "t" || !bytes.Equal(l.Event.Body, it.Orig.Body) {
			t.Errorf("%+v", l)
		}
		b.fails = 1 << 30
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if p.Bury(ctx, it) {
			t.Error("a letter that nobody keeps is buried")
		}
	})
}

// What a destination will never take goes to the platform's letters.
func TestRefusedLetterIsKept(t *testing.T) {
	topic := destination(func(*letter.Letter) error { return event.Permanent(errors.New("too large")) })
	to := &function.Destination{Kind: Topic, Topic: "x"}
	kept := &box{}
	p, err := New(trigger.Settings{Name: "in", Letters: kept, Spec: function.Trigger{Delivery: function.Delivery{OnFailure: to, OnSuccess: to}}},
		Host{Kind: "test", Topic: func(string) (trigger.Destination, error) { return topic, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if !p.Bury(t.Context(), &Item{Err: errors.New("bad")}) || !p.Celebrate(t.Context(), &Item{}) || len(kept.got) != 2 {
		t.Errorf("%d letters are kept, want 2", len(kept.got))
	}
}

// So does what a destination that is there fails on again and again.
func TestLetterThatBreaksItsDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		to := destination(func(*letter.Letter) error {
			if tries++; tries == 2 {
				return errors.New("away")
			}
			return fmt.Errorf("%w: raised", trigger.ErrRefused)
		})
		kept := &box{}
		p, err := New(trigger.Settings{Name: "in", Letters: kept, Spec: function.Trigger{Delivery: function.Delivery{OnFailure: &function.Destination{Kind: "function"}}},
			Destinations: func(function.Destination) (trigger.Destination, error) { return to, nil }}, Host{Kind: "test"})
		if err != nil {
			t.Fatal(err)
		}
		if !p.Bury(t.Context(), &Item{Err: errors.New("bad")}) || tries != refusals+1 || len(kept.got) != 1 {
			t.Fatalf("%d tries, %d letters are kept", tries, len(kept.got))
		}
		if l := kept.got[0]; l.Error != "bad; then: destination failed on the letter: raised" {
			t.Errorf("it says %q", l.Error)
		}
	})
}

type destination func(*letter.Letter) error

func (d destination) Send(_ context.Context, l *letter.Letter) error { return d(l) }

func TestWrongSpecs(t *testing.T) {
	spec := function.Trigger{Delivery: function.Delivery{StartAt: "yesterday", Filter: "1 +", OnFailure: &function.Destination{Kind: "broker"},
		OnSuccess: &function.Destination{Kind: "pigeon"}, Deduplicate: &function.Deduplicate{}}}
	_, err := New(trigger.Settings{Spec: spec}, Host{Kind: "test"})
	for _, field := range []string{"startAt", "filter", "onFailure", "onSuccess", "deduplicate"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
}

// An attempt costs no memory.
func TestRunDoesNotAllocate(t *testing.T) {
	quiet := trigger.HandlerFunc(func(context.Context, *event.Event, *event.Response) error { return nil })
	its := items(100)
	r := policy(t, function.Trigger{}).NewRunner(quiet)
	if n := testing.AllocsPerRun(100, func() { r.Run(t.Context(), its) }); n != 0 {
		t.Errorf("%v allocations for 100 events", n)
	}
	r = policy(t, batchSpec(100)).NewRunner(silent{quiet})
	if n := testing.AllocsPerRun(100, func() { r.Run(t.Context(), its) }); n != 0 {
		t.Errorf("%v allocations for a batch of 100", n)
	}
}

type silent struct{ trigger.HandlerFunc }

func (silent) HandleBatch(context.Context, []*event.Event, []*event.Response, []error) {}

// What a handler writes on its copy of an event, in whatever field, is gone at
// the next attempt, and at the next event; the original is never written to.
func TestEventIsCopiedWhole(t *testing.T) {
	body, key := []byte("body"), []byte("key")
	it := &Item{Orig: event.Event{Body: body, Key: key, Topic: "t", Token: event.Token{Offset: 7}}}
	want := it.Orig
	for range 3 {
		it.prepare(false)
		if !reflect.DeepEqual(it.work.ev, want) {
			t.Fatalf("got %+v, want %+v", it.work.ev, want)
		}
		clear(it.work.ev.Body)
		clear(it.work.ev.Key)
		fillEvent(&it.work.ev)
	}
	if !reflect.DeepEqual(it.Orig, want) || string(body) != "body" || string(key) != "key" {
		t.Errorf("the original is %+v", it.Orig)
	}
	fillEvent(&it.Orig)
	it.Reset()
	if !reflect.DeepEqual(it.Orig, event.Event{}) {
		t.Errorf("after a reset the original is %+v", it.Orig)
	}
	it.prepare(true)
	if !reflect.DeepEqual(it.work.ev, event.Event{}) {
		t.Errorf("after a reset the copy is %+v", it.work.ev)
	}
}

// fillEvent gives every field a value other than zero.
func fillEvent(ev *event.Event) {
	full := event.Event{Source: &event.Source{}, Token: event.Token{Shard: 1, Epoch: 1, Offset: 1}, Time: time.Now(), Topic: "full", Shards: 1, Tries: 1,
		Headers: values{}, Fields: values{}, LogLevel: 1, LogAsked: true, Loan: loan{}, Brought: brought{}}
	v := reflect.ValueOf(&full).Elem()
	for i := range v.NumField() {
		if f := v.Field(i); f.Type() == reflect.TypeFor[[]byte]() {
			f.SetBytes([]byte("full"))
		}
		if v.Field(i).IsZero() {
			panic(v.Type().Field(i).Name + " is not filled")
		}
	}
	*ev = full
}

type values struct{}

func (values) Get(string) []byte              { return nil }
func (values) All() iter.Seq2[[]byte, []byte] { return func(func(k, v []byte) bool) {} }

type brought struct{}

func (brought) Append(b []byte) []byte { return b }

type loan struct{}

func (loan) Release()      {}
func (loan) Bytes() []byte { return nil }
func (loan) From() any     { return nil }

// sealed is a handler of which the policy is told whether it is sealed.
type sealed struct {
	trigger.Handler
	is bool
}

func (s sealed) Sealed() bool { return s.is }

// A sealed handler gets the event's own memory, any other one a copy.
func TestSealedHandlerNeedsNoCopy(t *testing.T) {
	for _, is := range []bool{false, true} {
		it := &Item{Orig: event.Event{Body: []byte("body")}}
		same := false
		h := trigger.HandlerFunc(func(_ context.Context, ev *event.Event, _ *event.Response) error {
			same = &ev.Body[0] == &it.Orig.Body[0]
			return nil
		})
		policy(t, function.Trigger{}).NewRunner(sealed{h, is}).Run(t.Context(), []*Item{it})
		if same != is {
			t.Errorf("sealed %v: the memory is the original's: %v", is, same)
		}
	}
}
