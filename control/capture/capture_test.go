package capture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/processor/tap"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
)

var orders = catalog.Name{Namespace: "default", Name: "orders"}

// world has processors by deployment, some of which lie.
type world struct {
	mu   sync.Mutex
	hubs map[string]*tap.Hub
	lies map[string]string
}

func (w *world) Observe(context.Context, string) (out []platform.Observed, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(w.hubs)) {
		out = append(out, platform.Observed{Name: name})
	}
	return out, nil
}

func (w *world) Ask(_ context.Context, name, method, path string, body []byte) []platform.Reply {
	w.mu.Lock()
	defer w.mu.Unlock()
	h, r := w.hubs[name], platform.Reply{Replica: "replica of " + name, Status: 200}
	switch {
	case h == nil:
		return nil
	case w.lies[name] != "":
		r.Body = []byte(w.lies[name])
	case method == "DELETE":
		h.End(strings.TrimPrefix(path, "/capture/"))
	default:
		var want tap.Request
		if err := json.Unmarshal(body, &want); err != nil {
			return []platform.Reply{{Status: 400, Body: []byte(err.Error())}}
		}
		got, err := h.Want(want)
		if err != nil {
			return []platform.Reply{{Status: 422, Body: []byte(err.Error())}}
		}
		r.Body, _ = json.Marshal(got)
	}
	return []platform.Reply{r}
}

type done struct{}

func (done) Handle(context.Context, *event.Event, *event.Response) error { return nil }
func (done) HandleBatch(context.Context, []*event.Event, []*event.Response, []error) {
}
func (done) Sealed() bool        { return false }
func (done) Drain()              {}
func (done) Lend(int) event.Loan { return nil }

// hub is a processor of a deployment and what brings it events.
func (w *world) hub(t *testing.T, name string) trigger.Handler {
	h := tap.New()
	t.Cleanup(h.Close)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hubs[name] = h
	return h.Over(done{}, "in")
}

func bring(t *testing.T, h trigger.Handler, body string) {
	t.Helper()
	if err := h.Handle(t.Context(), &event.Event{Source: &event.Source{Kind: "http", Class: "sync"}, ID: []byte(body), Body: []byte(body)}, &event.Response{}); err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T) (*world, *Keeper) {
	w := &world{hubs: map[string]*tap.Hub{}, lies: map[string]string{}}
	k := New(w)
	k.look = time.Millisecond
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = k.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return w, k
}

func started(t *testing.T, k *Keeper, s tap.Spec) string {
	t.Helper()
	c, err := k.Start(orders, s, "ann")
	if err != nil {
		t.Fatal(err)
	}
	return c.ID
}

// await waits until a capture is as it should be.
func await(t *testing.T, k *Keeper, id string, ok func(Capture) bool) Capture {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		c, err := k.Get(orders, id, 0)
		if err == nil && ok(c) {
			return c
		}
		if time.Now().After(end) {
			t.Fatalf("%+v, %v", c, err)
		}
	}
}

// Events of all versions are gathered, also of a processor that comes later, and
// numbered; what is there and no more is forgotten everywhere.
func TestGathers(t *testing.T) {
	w, k := newWorld(t)
	first, second, stranger := w.hub(t, "default.orders"), w.hub(t, "default.orders.2"), w.hub(t, "default.other")
	id := started(t, k, tap.Spec{Count: 4})
	if _, err := k.Start(orders, tap.Spec{}, ""); !errors.Is(err, ErrBusy) {
		t.Errorf("a second one: %v", err)
	}
	bring(t, first, "a")
	bring(t, stranger, "x")
	await(t, k, id, func(c Capture) bool { return c.Captured == 1 && c.Processors == 2 })
	bring(t, second, "b")
	await(t, k, id, func(c Capture) bool { return c.Captured == 2 })
	third := w.hub(t, "default.orders.3")
	await(t, k, id, func(c Capture) bool { return c.Processors == 3 })
	bring(t, third, "c")
	await(t, k, id, func(c Capture) bool { return c.Captured == 3 })
	for range 9 {
		bring(t, first, "d")
	}
	c := await(t, k, id, func(c Capture) bool { return c.State == Full })
	said := ""
	for _, e := range c.Events {
		said += fmt.Sprintf("%d %s %s %s, ", e.Seq, e.Event.Body, e.FVersion, e.Replica)
	}
	if said != "1 a  replica of default.orders, 2 b 2 replica of default.orders.2, 3 c 3 replica of default.orders.3, 4 d  replica of default.orders, " || c.By != "ann" || c.Captured != 4 {
		t.Errorf("%s %+v", said, c)
	}
	if c, err := k.Get(orders, id, 3); err != nil || len(c.Events) != 1 || c.Events[0].Seq != 4 {
		t.Errorf("behind the third: %+v, %v", c, err)
	}
	if err := k.Remove(orders, id); err != nil {
		t.Error(err)
	}
	if _, err := k.Get(orders, id, 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed: %v", err)
	}
	if _, ok := k.Of(orders); ok {
		t.Error("it is kept")
	}
}

// A capture ends by its time, by somebody, and with the keeper.
func TestEnds(t *testing.T) {
	w, k := newWorld(t)
	h := w.hub(t, "default.orders")
	id := started(t, k, tap.Spec{For: quantity.Duration(time.Millisecond)})
	await(t, k, id, func(c Capture) bool { return c.State == Over })
	id = started(t, k, tap.Spec{})
	bring(t, h, "a")
	await(t, k, id, func(c Capture) bool { return c.Captured == 1 })
	if c, err := k.End(orders, id); err != nil || c.State != Ended || len(c.Events) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := k.End(orders, "other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	k.mu.Lock()
	k.forget = 0
	k.mu.Unlock()
	id = started(t, k, tap.Spec{})
	if _, err := k.End(orders, id); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, ok := k.Of(orders); !ok {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is kept for ever")
		}
	}
	if _, err := k.Start(orders, tap.Spec{Count: -1}, ""); err == nil {
		t.Error("count -1 is taken")
	}
}

// A processor that lies is told of, and harms nobody.
func TestLies(t *testing.T) {
	w, k := newWorld(t)
	_, honest := w.hub(t, "default.orders"), w.hub(t, "default.orders.2")
	w.lies["default.orders"] = `{"instance": "x", "seen": -7}`
	id := started(t, k, tap.Spec{})
	bring(t, honest, "a")
	c := await(t, k, id, func(c Capture) bool { return c.Captured == 1 })
	if !strings.Contains(c.Problem, "replica of default.orders: the report is not of what was asked for") || c.Seen != 1 || c.Processors != 1 {
		t.Errorf("%+v", c)
	}
}

func TestNotTooMany(t *testing.T) {
	_, k := newWorld(t)
	for i := range most {
		if _, err := k.Start(catalog.Name{Namespace: "default", Name: fmt.Sprint("f", i)}, tap.Spec{}, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.Start(orders, tap.Spec{}, ""); !errors.Is(err, ErrMany) {
		t.Errorf("%v", err)
	}
}
