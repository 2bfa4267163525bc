// Package trigger defines how events reach a function, whatever their source.
// It holds the contract only: engines and components are in the folders below,
// and triggertest is the suite that each of them passes.
package trigger

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
)

// Class says what becomes of an event's outcome.
type Class string

// The four classes of sources.
const (
	Sync   Class = "sync"   // the caller waits: the outcome is the response
	Queue  Class = "queue"  // each message is acked or nacked by itself
	Stream Class = "stream" // a shard's checkpoint follows the oldest event not done
	Poll   Class = "poll"   // a cursor moves when the items before it are done
)

// Trigger brings events from a source to a handler. Its life:
//
//  1. A Factory makes it; nothing is opened.
//  2. Run is called once. It opens what it needs, then takes events and hands
//     them to h until ctx is done or the source is lost for good. It is ready
//     as soon as the source could reach it; see [Readier].
//  3. When ctx is done it takes no more, settles every event it has taken
//     (answers, acks, checkpoints) and returns nil. How long a running
//     function may still take is the handler's business, not Run's.
//  4. A returned error says why the source cannot be served; the host ends the
//     processor with it.
type Trigger interface {
	Run(ctx context.Context, h Handler) error
}

// Handler runs the function on one event; a worker pool is one. Many
// goroutines may call it; concurrency is the number of callers. ev and resp
// are the caller's and lent until Handle returns; resp comes in reset. ctx ends
// only when nobody wants the outcome any more: it is not the ctx of Run, whose
// end means that events already taken are still to be finished. The return is
// the acknowledgement:
//
//	nil                 done: respond, ack, move the checkpoint
//	event.ErrLater      run: leave the token open until Settle names it
//	event.ErrBusy       not run: 503, or try again after a pause
//	event.ErrStopping   not run: 503, or leave it for the next processor
//	event.ErrTimeout    run, no answer within its deadline: 408, or retry
//	event.ErrCrashed    the worker died of it: 502, or retry
//	*event.Error        the function failed and says how: its status, or retry
//	event.IsPermanent   run, and will fail again: reject, dead letter
//	any other error     500, or try again as the trigger's retry policy says
//
// If event.Abandoned(err), ev and resp still belong to the running function:
// the caller must not use or reuse them, nor any memory that they alias.
type Handler interface {
	Handle(ctx context.Context, ev *event.Event, resp *event.Response) error
}

// HandlerFunc lets a function be a [Handler].
type HandlerFunc func(context.Context, *event.Event, *event.Response) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, ev *event.Event, resp *event.Response) error {
	return f(ctx, ev, resp)
}

// Readier is implemented by triggers that are not ready the moment Run is
// called. Ready is closed when events can reach the trigger.
type Readier interface{ Ready() <-chan struct{} }

// Settler is implemented by triggers whose functions may acknowledge later. A
// nil err says that the event is done; any other is its failure.
type Settler interface {
	Settle(tok event.Token, err error) error
}

// PlaceSettler is Settler for who knows no more of an event than its place: its
// topic ("": whichever has the shard), shard and offset.
type PlaceSettler interface {
	SettleAt(topic string, shard int32, offset int64, err error) error
}

// Why an event cannot be settled.
var (
	// ErrNotOpen says that there is no such event, or that it was settled.
	ErrNotOpen = errors.New("the event is not open: it was never handed out, or is settled already, or came back and is run again")
	// ErrMoved says that the event's shard is no longer, or never was, this
	// processor's: whoever has it runs the event.
	ErrMoved = errors.New("the event's shard is not this processor's")
	// ErrImplicit says that the return of the function acknowledges.
	ErrImplicit = errors.New("explicitAckMode of the trigger is disable")
)

// Settings is what the host gives every trigger that it builds.
type Settings struct {
	Name string           // its key in the spec
	Spec function.Trigger // the fields that all kinds share
	Log  *slog.Logger     // the processor's log
	// Listener is the socket to serve on, already listening, if the host has
	// one for this trigger; nil otherwise. The trigger closes it.
	Listener net.Listener
	// Dir is the function's directory, which files that the spec names by a
	// relative path are in; "": the working directory.
	Dir string

	Namespace string // the function's, "" if it has none
	Function  string // the function's name, for dead letters
	Version   string // and its version; "" if it has none
	Replica   string // this processor among those of the function, the same after a restart; "" if not known
	Workers   int    // size of the pool that h of Run hands events to; 0: unknown
	// Share is how much of the source the trigger takes; a Part of 0 stands
	// for all of it: a trigger that is to take nothing is not run.
	Share function.Share

	// Letters takes the events that failed for good where the spec names no
	// other destination; nil if the host keeps none.
	Letters Destination
	// Destinations opens a destination of a kind that is neither the engine's
	// nor the trigger's own; nil if the host has none.
	Destinations func(function.Destination) (Destination, error)
	// Checkpoints keeps the positions of streams instead of the source, so that
	// a sink can store them in one transaction with its data; nil: the source.
	Checkpoints Checkpoints
	// Sink has what events do, and that they are done, in one transaction; nil:
	// there is none, and the return alone says that an event is done. A stream's
	// sink has its Checkpoints, too.
	Sink Sink
	// Attempts says that the context of an event's run shall have its [Attempt].
	Attempts bool
	// Shards assigns the shards of sources that do not do so themselves; nil if
	// the host knows nobody who does.
	Shards Assigner
	// Seen remembers the ids of events that are done, for the triggers that
	// have a window of deduplication; nil if the host remembers none.
	Seen Seen
}

// SpecError marks an error of a Factory that is about the fields of Settings.Spec
// rather than about the kind's own attributes.
type SpecError struct{ Err error }

func (e *SpecError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *SpecError) Unwrap() error { return e.Err }

// Factory makes triggers of one kind; Set finds them.
type (
	Factory = component.Factory[Trigger, Settings]
	Set     = component.Set[Trigger, Settings]
)

// NewSet makes the set of the triggers that a program has.
func NewSet(fs ...Factory) *Set { return component.NewSet(fs...) }
