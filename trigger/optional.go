package trigger

import (
	"context"
	"errors"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/letter"
)

// BatchHandler is implemented by handlers that can run several events in one
// call of the function. The three slices are of one length; evs and resps are
// lent as in [Handler], and resps come in reset. HandleBatch sets errs[i] to the
// outcome of evs[i]. A batch that failed as a whole (the worker died, the
// function threw) has one and the same error in all of errs. If one of them is
// abandoned, all of evs and resps are.
type BatchHandler interface {
	HandleBatch(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error)
}

// Drainer is implemented by handlers that can tell the function to settle now
// what it left open: its events will soon be another processor's. Drain does not
// wait until it has.
type Drainer interface{ Drain() }

// Submitter is implemented by handlers that can take events from callers that do
// not wait: one goroutine may have many on their way.
type Submitter interface {
	// Pending makes what one event after another is submitted with, and nil if
	// this handler's function does not take events so. done is called once for
	// each, when its outcome is there, from another goroutine, possibly before
	// Submit returns. It must neither wait nor call the handler.
	Pending(done func()) Pending
	// Flush has the workers hear of what was submitted since the last one; they
	// may have before.
	Flush()
}

// Pending is an event on its way. One goroutine at a time uses it.
type Pending interface {
	// Submit begins ev if a worker has room for it now, and reports whether it
	// did: if not, nothing has happened, and it is to be given to Handle. ev is
	// lent until Outcome returns.
	Submit(ev *event.Event) bool
	// Outcome is what Handle would have returned, once, after done was called.
	// event.ErrNotRun says that the event is to be given to Handle after all.
	Outcome(resp *event.Response) error
}

// Destination takes letters: events that failed for good, or that are done.
// Send returns nil once the letter is kept. Many goroutines may call it. A
// letter may come twice, with the same id. An error marked with
// [event.Permanent] says that this letter will never be taken (it is too
// large); any other is tried again. l is lent until Send returns.
type Destination interface {
	Send(ctx context.Context, l *letter.Letter) error
}

// ErrRefused marks an error of a [Destination] that was reached, and failed on
// the letter. One that fails so again and again will not take it.
var ErrRefused = errors.New("destination failed on the letter")

// Position says that all events of a shard before Next are done. It is what a
// checkpoint stores.
type Position struct {
	Topic string
	Shard int32
	Epoch uint32 // of the source's lease; a store refuses one lower than it has seen
	Next  int64  // offset of the oldest event that is not done
}

// Checkpoints stores positions beside the data of a sink. A sink that writes
// an event's effect and its position (see [Positioner] and [Sink]) in one
// transaction, and is asked for the position when a shard is assigned, has each
// effect exactly once, if the trigger runs one lane per shard.
type Checkpoints interface {
	// Load returns the position of a shard; ok is false if there is none. From
	// then on the shard is whose lease at names: whoever loaded it before is
	// refused with [ErrMoved].
	Load(ctx context.Context, trigger string, at Place) (next int64, ok bool, err error)
	// Store keeps positions, unless they are behind what is kept already.
	Store(ctx context.Context, trigger string, ps []Position) error
}

// Positioner is implemented by streams: it tells the position behind an event,
// with the epoch of the lease: what a sink stores in the transaction of the
// event's effect. ok is false if the event's shard is no longer this
// processor's: the transaction must then not be made.
type Positioner interface {
	Position(tok event.Token) (p Position, ok bool)
}

// Seen remembers ids for a window of time at least, across restarts. Mark is
// called when the event is done and before it is acked; Has before it is run.
// Many goroutines may call both.
type Seen interface {
	Has(ctx context.Context, trigger string, id []byte, window time.Duration) (bool, error)
	Mark(ctx context.Context, trigger string, id []byte, window time.Duration) error
}

// Pauser is implemented by triggers that can stop taking events and go on
// later. What they have taken is finished. Both return at once and may be
// called again.
type Pauser interface {
	Pause()
	Resume()
}

// Seeker is implemented by triggers that can read again from an earlier place,
// or skip to a later one. Seek returns when the shards that this processor has
// are read from there; to is as in the spec's startAt.
type Seeker interface {
	Seek(ctx context.Context, to string) error
}

// Successor is implemented by triggers whose events come of time alone, so that
// no source remembers which of them were taken: Until is asked after Run has
// returned. All events up to then were taken; who comes after begins behind it
// ([function.Share.From]). It is zero if Run took none.
type Successor interface{ Until() time.Time }

// Reporter is implemented by triggers that can say how they are. Report may be
// called at any time by anyone.
type Reporter interface{ Report() Report }

// State is what a trigger is doing.
type State string

// The states.
const (
	Connecting State = "connecting" // to the source, for the first time or again
	Running    State = "running"
	Paused     State = "paused"
	Draining   State = "draining" // it takes no more and finishes what it has
	Stopped    State = "stopped"
)

// Report is how a trigger is. Counts are since its start.
type Report struct {
	State    State     `json:"state"`
	Problem  string    `json:"problem,omitempty"` // why it is connecting or stands still; "" if all is well
	Since    time.Time `json:"since,omitzero"`
	Lag      int64     `json:"lag"`      // events at the source that are not done; -1 if not known
	InFlight int       `json:"inFlight"` // events taken and not settled

	Done       uint64 `json:"done"`
	Retried    uint64 `json:"retried"`
	Skipped    uint64 `json:"skipped"` // by the filter
	Dead       uint64 `json:"dead"`
	Dropped    uint64 `json:"dropped"`
	Again      uint64 `json:"again"` // left out because they were done before
	Reconnects uint64 `json:"reconnects"`

	Shards []ShardReport `json:"shards,omitempty"`
}

// Add adds the counts of a trigger that ran before.
func (r *Report) Add(before Report) {
	r.Done += before.Done
	r.Retried += before.Retried
	r.Skipped += before.Skipped
	r.Dead += before.Dead
	r.Dropped += before.Dropped
	r.Again += before.Again
	r.Reconnects += before.Reconnects
}

// ShardReport is how one shard is.
type ShardReport struct {
	Topic    string `json:"topic"`
	Shard    int32  `json:"shard"`
	Next     int64  `json:"next"` // the checkpoint: all before it is done
	Lag      int64  `json:"lag"`  // -1 if not known
	InFlight int    `json:"inFlight"`
	Paused   bool   `json:"paused,omitempty"`  // by back-pressure
	Problem  string `json:"problem,omitempty"` // why it stands still; "" if it does not
}

// Sealer is implemented by handlers that may be sealed: what they run gets a
// copy of an event, as a process of its own does, so that it can neither write
// on it nor see it once Handle has returned, whatever the outcome. Callers may
// lend such a handler the one copy that they have.
type Sealer interface{ Sealed() bool }
