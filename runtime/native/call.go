package native

import (
	"context"
	"errors"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	myelin "github.com/myelin-run/myelin/sdk/go"
)

// platform is what the function of i may ask for.
func (i *instance) platform(calls runtime.Caller) *myelin.Platform {
	if calls == nil {
		return &myelin.Platform{}
	}
	return &myelin.Platform{Call: func(ctx context.Context, function string, ev *event.Event) (*event.Response, error) {
		if ctx == nil {
			return nil, errors.New("call function: no context")
		}
		c := callFor(function, ev)
		i.mu.Lock()
		t := runtime.TraceOf(i.at) // the handler may have returned: then there is none
		i.mu.Unlock()
		t.AddTo(c)
		answer := &event.Response{}
		if err := calls.Do(ctx, c, answer); err != nil {
			return nil, err
		}
		return answer, nil
	}, Settle: func(ctx context.Context, o myelin.Offset, err error) error {
		if ctx == nil {
			return errors.New("settle event: no context")
		}
		s := runtime.Settlement{Trigger: o.Trigger, Topic: o.Topic, Shard: o.Shard, Offset: o.Offset, Err: err}
		return calls.Do(ctx, s.Call(), &event.Response{})
	}}
}

// callFor makes a call of the event that a function wants sent.
func callFor(function string, ev *event.Event) *runtime.Call {
	c := &runtime.Call{Kind: runtime.CallFunction, Name: function, Method: string(ev.Method), Path: string(ev.URL),
		ContentType: string(ev.ContentType), Body: ev.Body}
	if c.Path == "" {
		c.Path = string(ev.Path)
	}
	if ev.Headers != nil {
		for k, v := range ev.Headers.All() {
			c.Headers = append(c.Headers, event.Field{Key: string(k), Value: string(v)})
		}
	}
	return c
}
