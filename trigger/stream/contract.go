// Package stream is the engine of triggers whose source is a log of records in
// shards. A trigger writes a Source; the engine owns connecting, the lanes that
// keep the order of each key, attempts and their back-off, dead letters,
// batches, filters, checkpoints, back-pressure and the drain of shards that
// move. It knows no broker and no runtime.
package stream

import (
	"context"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// Source connects to a log; it is what the author of a stream trigger writes.
type Source interface {
	// Connect opens a session. It is called again, after a back-off, when it
	// failed or a session ended; never while another session is open. ctx
	// bounds the connecting only, not the session. The session calls s, from
	// any goroutine, when shards become its own or are taken from it; it may do
	// so already within Connect. An error marked with [event.Permanent] ends the
	// trigger; any other (the broker is away, the topic is absent, the password
	// is refused) is told in the report, and tried again.
	Connect(ctx context.Context, w Want, s Shards) (Session, error)
}

// Want is what the engine wants of a session.
type Want struct {
	// Start says where to begin in a shard that has no checkpoint.
	Start trigger.Start
	// Seek says to begin at Start even where there is a checkpoint: the session
	// stores the new place as the checkpoint, or begins there at least.
	Seek bool
	// Records and Bytes are what the engine holds of a shard before it pauses
	// it: a hint for how much to fetch at once.
	Records, Bytes int
	// Keeps says that Shards.From answers: a Lease's Source has to be known then.
	Keeps bool
	// Transactions says that Transact will be used: see [Transactor].
	Transactions bool
}

// Lease is the right to read one shard. Whoever grants it (a group protocol, or
// the dealer) sees to it that two processors do not have it at once, or that
// the one with the lower epoch cannot store a checkpoint.
type Lease struct {
	Topic  string // shared, never changed
	Shard  int32
	Epoch  uint32 // greater than that of any earlier lease of the shard in this session
	Shards int32  // how many there are, for Event.Shards
	Source string // which topic of that name: one that is made anew has another; "" if that is not known
}

// Shards is the engine's side of leases. Calls about one shard do not overlap.
type Shards interface {
	// From is asked before Assigned by sessions that can begin at a named
	// offset (Options.Restores): ok says that the host keeps checkpoints of its
	// own, and that the shard is to be read from next, whatever the source's
	// checkpoint.
	From(ctx context.Context, l Lease) (next int64, ok bool, err error)
	// Assigned says that shards may be read. The session fetches them from
	// their checkpoint on. It returns at once.
	Assigned(ls ...Lease)
	// Revoked takes shards back in an orderly way: no event of theirs is begun
	// any more, those that run are waited for, and what is done is stored with
	// Commit, from within Revoked. It returns then, or when ctx is done or the
	// engine's own deadline has passed: from then on nothing of these leases is
	// committed.
	Revoked(ctx context.Context, ls ...Lease)
	// Lost says that the leases are gone already: nothing of theirs is
	// committed any more. It returns at once; what runs ends by itself.
	Lost(ls ...Lease)
}

// Session is one connection and its membership in a group. Its life:
//
//  1. Fetch is called by one goroutine, again and again; Commit by one at a
//     time, also while Fetch waits.
//  2. An error of Fetch, when its ctx is not done, says that the session is
//     lost. The engine closes it, treats all leases as lost and connects anew.
//     An error of Commit is tried again, and then says the same.
//  3. At a stop the ctx of Fetch ends. The engine then waits for what runs,
//     commits, and calls Close, which leaves the group. Close need not call
//     Revoked: the engine has no shard by then. Nothing is called after Close.
type Session interface {
	// Fetch waits for records and calls take for those of each shard, in
	// order. take keeps the Records, does not wait, and is called from within
	// Fetch only. When ctx is done Fetch returns soon.
	Fetch(ctx context.Context, take func(Batch)) error
	// Commit stores checkpoints. An old lease must be refused, by the broker
	// at best; if that is all that was wrong, Commit returns nil.
	Commit(ctx context.Context, ps []trigger.Position) error
	// Close ends the session.
	Close(ctx context.Context) error
}

// Batch is a run of records of one shard.
type Batch struct {
	Lease   Lease // under which it was fetched; a batch of another lease is dropped
	Records Records
	Bytes   int   // about how much memory the records hold
	End     int64 // offset behind the last record that the shard has; 0 if not known
	// Through is the offset behind what follows the records and is none itself,
	// such as the mark that ends a transaction; 0 if nothing does. It is passed
	// when all before it is done.
	Through int64
}

// Records are read in place: by several goroutines at once, and until Release.
type Records interface {
	// Len is how many there are.
	Len() int
	// At returns the place of a record, and its key (nil if it has none).
	// Offsets rise, and may skip.
	At(i int) (offset int64, key []byte)
	// Read fills ev, which comes in zero: Body, Time, Headers, ContentType and
	// ID if the record has one of its own; the engine makes one of topic, shard
	// and offset otherwise. Source, Token, Topic, Shards and Key are the
	// engine's. What ev aliases is not changed by the function: the engine
	// copies the slices.
	Read(i int, ev *event.Event)
	// Release says that nobody reads any more. It is called once.
	Release()
}

// Pauser is implemented by sessions that can leave out some shards in Fetch.
// Without it the engine calls no Fetch while any shard has too much. Both may
// be called from any goroutine, also while Fetch waits, but not from within
// take, and with leases that are gone.
type Pauser interface {
	Pause(ls ...Lease)
	Resume(ls ...Lease)
}

// Transactor is implemented by sessions that can send the function's answers
// and store checkpoints in one transaction: the delivery mode exactlyOnce. outs
// are the answers of the events before the positions, and of no others, in the
// order of their shards. All or nothing is stored; an older lease, or an older
// process of the same group, is refused with an error. After an error the
// session is lost.
type Transactor interface {
	Transact(ctx context.Context, outs []Output, ps []trigger.Position) error
}

// Fitter is implemented by sessions whose topics do not take every answer. An
// error says why this one can never be sent (it is too large): the event has
// then failed for good, and holds up no transaction.
type Fitter interface{ Fits(o *Output) error }

// Output is the answer to one event, for the topic that onSuccess names.
type Output struct {
	Topic       string
	Key         []byte
	Body        []byte
	ContentType string
	Headers     []event.Field
}

// Topics is implemented by sources that can send letters to a topic of the
// same system: the spec's destination of kind topic. It opens nothing yet: the
// destination connects when it is first sent to. It is closed at the end of
// Run if it is an io.Closer.
type Topics interface {
	Topic(name string) (trigger.Destination, error)
}

// Ender is implemented by sessions that can ask where shards end, for the lag
// of shards from which nothing comes. It is called at an interval.
type Ender interface {
	Ends(ctx context.Context, ls []Lease) (ends []int64, err error)
}

// Complainer is implemented by sessions that can be in trouble without being
// lost: Complaint says of what kind, "" if all is well. It is called whenever
// somebody wants a report, by any goroutine, and does not wait.
type Complainer interface{ Complaint() string }

// Options are what an engine has to know of a kind of source.
type Options struct {
	Kind string // of the trigger: "kafka"
	// Class is what events say of their source; "": stream.
	Class trigger.Class
	// Transacts says that sessions are Transactors if they are wanted to be.
	Transacts bool
	// Restores says that sessions ask Shards.From where to begin.
	Restores bool
	// Assignment says who deals the shards; nil: the source does.
	Assignment *Assignment
	// Records and Bytes bound what is held of one shard; 0: 10000 and 16 MiB.
	Records, Bytes int
}
