// Package myelin is what the author of a function in Go imports. A function is
// any of
//
//	func Handler(ctx *myelin.Context, ev *myelin.Event, out *myelin.Response) error
//	func Handler(ctx *myelin.Context, ev *myelin.Event) (any, error)
//
// and may have beside it, once per worker before the first event,
//
//	func InitContext(ctx *myelin.Context) error
//
// For a trigger with batch.mode: enable, it is one of
//
//	func Handler(ctx *myelin.Context, evs []*myelin.Event, outs []*myelin.Response, errs []error) error
//	func Handler(ctx *myelin.Context, evs []*myelin.Event) ([]any, error)
//
// which get many events in one call: the first fills outs[i] or sets errs[i] for evs[i], the
// second returns as many answers, in order, an error among them being that event's
// failure. A returned error fails all events of the call.
//
// The first form is the fast one: it fills a response that is used again and
// allocates nothing. The second returns a string, []byte, *Response, nil, or
// anything that encoding/json takes.
package myelin

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/myelin-run/myelin/event"
)

// Event is what happened; see [event.Event] for its fields. It is lent: keep a
// Clone, not the event nor its slices, after the handler returned.
type Event = event.Event

// Response is what the function answers. Append to Body rather than replace it.
type Response = event.Response

// Error is a failure with an HTTP status; make one with [Errorf].
type Error = event.Error

// Errorf makes an error that answers with status.
func Errorf(status int, format string, args ...any) error {
	return event.Errorf(status, format, args...)
}

// Permanent marks an error that would come again if the event were run again:
// a queue or stream does not retry it.
func Permanent(err error) error { return event.Permanent(err) }

// Context is one worker's, and an event's for as long as the handler runs. What
// it holds is the same for all events of the worker. A context derived from it
// may end after the handler returned; a goroutine that goes on then takes what it
// needs beforehand, also [Context.Context].
type Context struct {
	// Context carries the event's deadline and trace, if they are set.
	context.Context
	// Logger writes to the function's log.
	Logger *slog.Logger
	// UserData is the function's own: set it in InitContext.
	UserData any

	// Platform calls other functions.
	Platform *Platform
	// Bindings are the function's data bindings, also in InitContext.
	Bindings *Bindings
	// State is what the function remembers by spec.state; its calls fail if there
	// is none.
	State *State

	WorkerID        int // 0 to the number of workers less one
	FunctionName    string
	FunctionVersion string
	TriggerKind     string // of the first trigger that the worker serves
	TriggerName     string

	onDrain []func(context.Context) error
	derived atomic.Bool // somebody may hold on to it as the context it is
}

// Done implements [context.Context]. Whoever derives a context from c asks for
// it, and asks once more when that one ends, which a timer may do at any time.
func (c *Context) Done() <-chan struct{} {
	c.derived.Store(true)
	return c.Context.Done()
}

// Next is the worker's Context for its next event, or events: c itself, unless
// something may be derived from it. The host calls it before the handler.
func (c *Context) Next(ctx context.Context) *Context {
	if c.derived.Load() {
		c = &Context{
			Logger: c.Logger, UserData: c.UserData, Platform: c.Platform, Bindings: c.Bindings, State: c.State,
			WorkerID: c.WorkerID, FunctionName: c.FunctionName, FunctionVersion: c.FunctionVersion,
			TriggerKind: c.TriggerKind, TriggerName: c.TriggerName, onDrain: c.onDrain,
		}
	}
	c.Context = ctx
	return c
}

// OnDrain has hook called, once, when the worker's processor begins to drain:
// because a new version takes its place, or it is to stop. Call it in
// InitContext. Events that the processor took still run, and may run at the same
// time; no new ones come. The processor waits for the hook, but no longer than
// its drain deadline, at which hook's ctx is done. An error is logged.
func (c *Context) OnDrain(hook func(ctx context.Context) error) { c.onDrain = append(c.onDrain, hook) }

// DrainHooks are those that OnDrain was called with; the host calls them.
func (c *Context) DrainHooks() []func(context.Context) error { return c.onDrain }
