// Package runtime defines how a function is run, whatever its language. It
// holds the contract only: each language is a folder below, and runtimetest is
// the suite that each of them passes.
package runtime

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
)

// Runtime holds one function. Open may be called from any goroutine, and again
// at any time to replace an instance that broke.
type Runtime interface {
	// Open makes one instance, ready to be invoked: the function is loaded and
	// its init hook has run. ctx bounds the opening only.
	Open(ctx context.Context, w Worker) (Instance, error)
}

// Warmer is implemented by runtimes that can begin an instance ahead of time.
// Warm begins what Open of the same w is to finish, up to where the function
// would be loaded, and does not wait until it is there; nothing of the function
// runs. Cool ends what was begun and not opened. Both are safe from any
// goroutine. What was begun ahead and has died meanwhile is no reason for Open to
// fail.
type Warmer interface {
	Warm(ctx context.Context, w Worker) error
	Cool()
}

// Loading is implemented by runtimes that know how long the function's own code
// took to load, its init hook included: the longest so far.
type Loading interface{ Loading() time.Duration }

// Worker says for whom an instance is opened.
type Worker struct {
	ID          int    // 0 to n-1 within its pool; a replacement keeps the id
	TriggerKind string // of the first trigger that uses the pool
	TriggerName string
	Pool        string // the name of a shared pool, or ""
}

// Instance runs the function. Its life: any number of Invoke; then Close, once
// no Invoke runs. Invoke is called from up to Depth goroutines at once if the
// instance is [Concurrent], else from one at a time.
type Instance interface {
	// Invoke runs the function on ev and fills resp. Both are lent until it
	// returns. A nil error says that the function answered, whatever status it
	// put in resp; see trigger.Handler for the errors. ctx carries values; its
	// end does not stop a function. After event.ErrCrashed or event.ErrNotRun
	// the instance is broken and only fit to be closed; after
	// event.ErrRecalled, which only a [Recaller] returns, nothing is wrong.
	Invoke(ctx context.Context, ev *event.Event, resp *event.Response) error
	// Close frees everything, and ends what does not end by itself when ctx
	// is done. It is safe after any failure.
	Close(ctx context.Context) error
}

// Concurrent is implemented by instances that take several events at once.
// Depth says how many more than none are sensible right now; it may change
// between calls, is at least 1 and costs a load.
type Concurrent interface{ Depth() int }

// Recaller is implemented by concurrent instances that can call back events
// that wait inside them. Recall makes each Invoke return event.ErrRecalled
// whose event was there at the last Recall already and has still not been
// begun, and says how many there are; the instance stays as good as it was.
// After a Recall that found some, Depth is 1 until the function answers again.
// It is safe from any goroutine and does not wait.
type Recaller interface{ Recall() int }

// LiveStream is a Response.Stream that the function is still writing, so that
// its worker is busy until Close returns. Close ends the function's part, and
// Cancel lets the function know before it next looks.
type LiveStream interface {
	io.ReadCloser
	event.Canceller
	Live()
}

// Killer is implemented by instances whose function can be stopped from
// outside: a process can, a goroutine cannot. Kill is safe from any goroutine;
// it makes each running Invoke return soon, with event.ErrCrashed if its event
// had begun and event.ErrNotRun if not. The instance is then broken.
type Killer interface{ Kill() error }

// Apart is implemented by instances whose function runs in another process or
// machine: it gets a copy of an event, and nothing looks at the event itself
// once Invoke has returned.
type Apart interface{ Apart() }

// Broken is implemented by instances that can break while nothing runs in
// them. Broken is closed when that happened.
type Broken interface{ Broken() <-chan struct{} }

// Batcher is implemented by instances that can run many events in one call of
// the function. MaxBatch is the most that InvokeBatch takes; 0 if this
// function takes none.
//
// InvokeBatch runs in one call the events whose entry in errs is
// event.ErrNotRun, at least one, and leaves the others alone. It replaces each
// of those entries with the outcome of its event, as of Invoke: those that are
// event.ErrNotRun or event.ErrRecalled afterwards were not begun. The slices
// are of one length and, like what they hold, lent until it returns. Answers
// to a batch do not stream. A batch counts for Depth as one event.
type Batcher interface {
	MaxBatch() int
	InvokeBatch(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error)
}

// Submitter is implemented by instances that take many events from one
// goroutine and tell their outcomes by completion. For each event: Begin;
// Commit or Abort; and after a Commit, once, Outcome. Flush follows the last
// Commit of a round: only then must the function's worker have heard of them.
// Both are safe from any goroutine and never wait. A caller keeps to Depth, as
// it would with Invoke, and to what Invoke says of broken instances and of
// Close: no place may be out when Close is called.
type Submitter interface {
	// Begin reserves a place for an event, or returns nil if there is none
	// now. body is n bytes that are the final place of the event's body; nil
	// if n is 0, or if the body has to come in memory of the caller's.
	Begin(n int) (p Place, body []byte)
	Flush()
}

// Place is the room for one event in a [Submitter]. It belongs to whoever
// called Begin until Abort, a Commit that fails, or Outcome gives it back.
type Place interface {
	// Commit submits ev, which is lent until Commit returns, its body
	// included wherever it lies. It does not wait. An error is the event's
	// outcome, and the place is given back.
	Commit(ev *event.Event, t Terms) error
	// Outcome fills resp and returns what Invoke would. It waits if the
	// outcome is not there yet, which after Terms.Done was told it is; a
	// stream is read to its end unless resp takes streams.
	Outcome(resp *event.Response) error
	// Abort gives up a place that was not committed.
	Abort()
}

// Terms say how an event is submitted.
type Terms struct {
	// Done, if set, is told Tag once the outcome is there, from another
	// goroutine, possibly before Commit returns. It must neither wait nor
	// call the instance.
	Done Completer
	Tag  uint64
	// Stay true keeps the event from being called back by Recall, so that the
	// events of one caller begin in the order of their Commits.
	Stay bool
}

// Completer hears of events that came to their end; see [Terms].
type Completer interface{ Complete(tag uint64) }

// Drainer is implemented by instances whose function can be told to settle the
// events that it left open. Drain does not wait until it has. It is safe from
// any goroutine, and may be called again.
type Drainer interface{ Drain() error }

// Leaver is implemented by instances whose function can be told that its
// processor has begun to drain: events that were taken still run, no new ones are
// taken, and the instance is closed when they are done. Leave has the function's
// hooks run and does not wait for them; hooked says whether there are any. Close
// then waits until they have ended or its ctx is done. ctx is done at the drain
// deadline. It is safe from any goroutine, and does nothing when called again.
type Leaver interface {
	Leave(ctx context.Context) (hooked bool, err error)
}

// Defaulter is implemented by runtimes for which one worker is a poor default.
// cpus is how many processors there are.
type Defaulter interface{ DefaultWorkers(cpus int) int }

// Caller does what a function asks of the processor that runs it, as to call
// another function. Do runs one call and fills answer; it is called from many
// goroutines at once. ctx ends at the call's deadline and when the worker that
// asked has gone. What c holds is lent until Do returns; a nil error says that
// there is an answer, whatever its status, and an error, best an *event.Error,
// why there is none. Once ctx has ended, Do returns soon. See also [Ender].
type Caller interface {
	Do(ctx context.Context, c *Call, answer *event.Response) error
}

// Keeper is implemented by callers whose answers a worker may keep, and by itself
// give to its function again, for as long as the answer says, or until a counter
// that it names has moved. Follow calls set with each counter, below [KeptCounts],
// that is not 0, and with each that moves until stop is called, from any goroutine and
// never twice at once; set does not wait. Who was told that something has changed
// finds that its counter has moved.
type Keeper interface {
	Follow(set func(counter int, count uint32)) (stop func())
}

// KeptCounts is how many counters a [Keeper] has at most.
const KeptCounts = 256

// The kinds of calls.
const (
	CallFunction = 1 // Name is a function; the rest is the event that it gets
	CallSettle   = 2 // an event is acknowledged, or fails; see [Settlement]
	CallBinding  = 3 // Name is a [Binding], Method what to do with it; see [Scope]
)

// Call is one request of a function's. Body may lie in memory that its worker
// can still write: read it once.
type Call struct {
	Kind        uint16
	Name        string // of what is called
	Method      string
	Path        string
	ContentType string
	Headers     []event.Field
	Body        []byte
	// Scope is for whom a call of the kind CallBinding is.
	Scope *Scope
	// Room, if set, lends memory of n bytes, which the answer's body may lie in so
	// that it is not copied: its beginning then is the body's. nil if there is none.
	// It is asked by the goroutine that does the call.
	Room func(n int) []byte
}

// Settings is what the host gives a runtime.
type Settings struct {
	Function function.Config
	Dir      string       // the artefact's directory: handler files lie here
	Scratch  string       // a directory of this processor's own, for sockets and the like
	Log      *slog.Logger // the processor's log
	// FunctionLog takes what the function logs and prints; a runtime adds
	// "worker" and, while one runs, "event".
	FunctionLog *slog.Logger
	// Calls does what the function asks for; nil if it may ask for nothing.
	Calls Caller
	// Bindings are those that Calls knows; the function is told of them.
	Bindings []Binding
	// Handles are the function's data bindings, by name, for functions that run
	// in this process: *data.KV and the like.
	Handles map[string]any
	// State is what such functions remember; nil if they have no spec.state.
	State *data.State
}

// Factory makes runtimes of one kind; Set finds them.
type (
	Factory = component.Factory[Runtime, Settings]
	Set     = component.Set[Runtime, Settings]
)

// NewSet makes the set of the runtimes that a program has.
func NewSet(fs ...Factory) *Set { return component.NewSet(fs...) }
