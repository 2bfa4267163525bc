package native_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
)

// TestDerivedContext: a context that a handler derived from its own stays that
// event's, and may end while the worker has its next event, as by a timer.
func TestDerivedContext(t *testing.T) {
	var seen []*myelin.Context
	var children []context.Context
	var cancels []context.CancelFunc
	inst := open(t, native.Of(func(ctx *myelin.Context, ev *myelin.Event, _ *myelin.Response) error {
		if len(seen) == 0 {
			ctx.UserData = "kept"
		} else if ctx.UserData != "kept" || ctx.FunctionName != "f" || ctx.Logger == nil || ctx.Err() != nil {
			t.Errorf("a later event's context: %+v", ctx)
		}
		seen = append(seen, ctx)
		if string(ev.Body) == "derive" {
			child, cancel := context.WithCancel(ctx)
			children, cancels = append(children, child), append(cancels, cancel)
		}
		return nil
	}, nil), new(bytes.Buffer))
	handle := func(ctx context.Context, body string) {
		if err := inst.Invoke(ctx, &event.Event{Body: []byte(body)}, &event.Response{}); err != nil {
			t.Error(err)
		}
	}
	handle(t.Context(), "")
	first, end := context.WithCancel(t.Context())
	handle(first, "derive")
	handle(t.Context(), "derive")
	if seen[0] != seen[1] || seen[1] == seen[2] {
		t.Error("a context is a new one where one was derived from the last, and only there")
	}
	end()
	<-children[0].Done() // it is the first's
	if children[1].Err() != nil {
		t.Error("another event's end ended it")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cancels[1]()
	}()
	handle(t.Context(), "")
	<-ended
	cancels[0]()
}
