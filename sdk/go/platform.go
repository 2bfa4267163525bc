package myelin

import (
	"context"
	"errors"

	"github.com/myelin-run/myelin/event"
)

// Platform is what a function may ask of where it runs. It may be used from
// any goroutine, also after the handler returned.
type Platform struct {
	// Call does it; the host sets it.
	Call func(ctx context.Context, function string, ev *Event) (*Response, error)
	// Settle ends an event; the host sets it.
	Settle func(ctx context.Context, o Offset, err error) error
}

// ErrLater is what a handler returns for an event that it acknowledges later,
// with [Platform.Ack] or [Platform.Nack]. The trigger's explicitAckMode has to be
// enable or explicitOnly.
var ErrLater = event.ErrLater

// Offset is the place of an event of a queue or stream. Unlike the event it may
// be kept.
type Offset struct {
	Trigger string // "": the function's only one that acknowledges explicitly
	Topic   string
	Shard   int32
	Offset  int64
}

// OffsetOf returns the place of ev.
func OffsetOf(ev *Event) Offset {
	o := Offset{Topic: ev.Topic, Shard: ev.Token.Shard, Offset: ev.Token.Offset}
	if ev.Source != nil {
		o.Trigger = ev.Source.Name
	}
	return o
}

// Ack acknowledges an event. An [Error] says by its status why it could not: 404,
// there is no such trigger; 409, the event is not open; 410, its shard has moved.
func (p *Platform) Ack(ctx context.Context, o Offset) error { return p.settle(ctx, o, nil) }

// Nack says that an event failed: it is tried again as the trigger's retry
// policy says, or given up if err is [Permanent].
func (p *Platform) Nack(ctx context.Context, o Offset, err error) error {
	if err == nil {
		err = errors.New("the function did not acknowledge the event")
	}
	return p.settle(ctx, o, err)
}

func (p *Platform) settle(ctx context.Context, o Offset, err error) error {
	if p == nil || p.Settle == nil {
		return errors.New("settle event: no processor runs this function")
	}
	return p.Settle(ctx, o, err)
}

// CallFunction calls another function and waits for what it answers, whatever
// the status. It sends the method (GET without and POST with a body, unless
// ev says otherwise), URL or path, content type, headers and body of ev, and goes
// on with the trace of the event that is being handled. ctx bounds the call, besides
// the function's own event timeout. An error says that there is no answer; an
// [Error] among its causes says by its status why: 404, there is no such
// function; 504, it did not answer in time; 502 or 503, it is down.
func (p *Platform) CallFunction(ctx context.Context, function string, ev *Event) (*Response, error) {
	if p == nil || p.Call == nil {
		return nil, errors.New("call function: no processor runs this function")
	}
	if ev == nil {
		ev = &event.Event{}
	}
	return p.Call(ctx, function, ev)
}
