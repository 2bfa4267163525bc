package worker

import (
	"context"
	"log/slog"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// mortals is a runtime whose instances end when the test says so.
type mortals struct{ gone []chan struct{} }

func (m *mortals) Open(context.Context, runtime.Worker) (runtime.Instance, error) {
	ch := make(chan struct{})
	m.gone = append(m.gone, ch)
	return &mortal{listed{lister: &lister{most: 8, fn: echoList}, killed: make(chan struct{})}, ch}, nil
}

type mortal struct {
	listed
	gone chan struct{}
}

func (m *mortal) Broken() <-chan struct{} { return m.gone }
func (m *mortal) Invoke(_ context.Context, ev *event.Event, resp *event.Response) error {
	resp.Body = append(resp.Body, ev.Body...)
	return nil
}

// Each answer says whose it is, alone or in a batch: it is known when that
// worker goes.
func TestAnswersAreSigned(t *testing.T) {
	m := &mortals{}
	p := New(m, Options{Size: 1, Log: slog.New(slog.DiscardHandler)})
	if err := p.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	var alone event.Response
	if err := p.For(0, nil).Handle(t.Context(), &event.Event{Body: []byte("a")}, &alone); err != nil || string(alone.Body) != "a" {
		t.Fatal(err)
	}
	evs := []*event.Event{{Body: []byte("b")}, {Body: []byte("c")}}
	resps, errs := []*event.Response{{}, {}}, make([]error, 2)
	p.ForBatches(0, nil, Batching{Size: 2}).(*handler).HandleBatch(t.Context(), evs, resps, errs)
	for i, r := range append(resps, &alone) {
		if r.Worker == nil {
			t.Fatalf("answer %d is nobody's", i)
		}
		select {
		case <-r.Worker:
			t.Errorf("the worker of answer %d has gone", i)
		default:
		}
	}
	close(m.gone[0])
	for _, r := range append(resps, &alone) {
		<-r.Worker
	}
	if alone.Reset(); alone.Worker != nil {
		t.Error("a reset answer is still signed")
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
