// Package poll is the engine of triggers that ask their source what is new and
// remember how far they have read. A trigger writes a Source; this engine owns
// when it is asked, how much of it at once, and the place that it has come to,
// which is kept under the epoch of a lease. What becomes of the events is the
// stream engine's: to it, a source is a log of one shard, whose offsets are
// numbers that stand for cursors. It knows no source and no runtime.
package poll

import (
	"context"
	"errors"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// Source is what the author of a polling trigger writes.
type Source interface {
	// Check says why reading cannot begin at a place; nil if it can. It is asked
	// before anything is opened.
	Check(at trigger.Start) error
	// Connect opens a session. It is called again, after a back-off, when it
	// failed or a session ended; never while another session is open. ctx bounds
	// the connecting only. An error marked with [event.Permanent] ends the trigger;
	// any other is told in the report, and tried again.
	Connect(ctx context.Context) (Session, error)
}

// Session is one connection to a source. Its life:
//
//  1. Poll is called by one goroutine; the others by any, also while Poll waits.
//  2. An error of any but Close, when its ctx is not done, says that the session
//     is lost. The engine closes it and connects anew.
//  3. Nothing is called after Close.
type Session interface {
	Places
	// Begin returns the cursor to read from where there is none yet, or where one
	// was sought.
	Begin(ctx context.Context, at trigger.Start) (cursor string, err error)
	// Poll returns what has come since a cursor, which Begin or an earlier page
	// has named, maybe to an earlier session. It does not wait for anything to
	// come, and returns soon after ctx is done.
	Poll(ctx context.Context, after string, limit int) (Page, error)
	// Close ends the session.
	Close(ctx context.Context) error
}

// Page is an answer of a source. Its memory is the engine's.
type Page struct {
	Items []Item // oldest first, and at most the limit
	// Next is the cursor behind the page, if more was passed than the items; ""
	// if not.
	Next string
	// More says to ask again at once.
	More bool
	// Again is when to ask again, if that is sooner than the interval; 0: it is not.
	Again time.Duration
}

// Item is an event and the cursor that stands behind it.
type Item struct {
	Cursor string
	// Event has Body, ID, Time, Key, Headers and ContentType as the source knows
	// them. The engine makes an ID where there is none.
	Event event.Event
}

// Places keeps how far a source was read: one place, which is written by
// compare-and-swap.
type Places interface {
	// Load returns the place and its revision, which is "" if there is none.
	Load(ctx context.Context) (p Place, revision string, err error)
	// Save keeps a place if what is kept has the revision, and returns the new
	// one; ErrWritten if it has another.
	Save(ctx context.Context, p Place, revision string) (string, error)
}

// Place is how far a source was read.
type Place struct {
	Epoch  uint32 `json:"epoch"`  // of the lease under which it was written
	Next   int64  `json:"next"`   // number of the next item
	Cursor string `json:"cursor"` // all up to it is done
}

// ErrWritten says that a place was written meanwhile.
var ErrWritten = errors.New("the place was written meanwhile")

// Changer is implemented by sessions that hear when there is something new: a
// receive from the channel says to poll now. It is not closed.
type Changer interface{ Changed() <-chan struct{} }

// Lagger is implemented by sessions that can say how much there is behind a
// cursor. It is called at an interval.
type Lagger interface {
	Lag(ctx context.Context, after string) (int64, error)
}

// Complainer is implemented by sessions that can be in trouble without being
// lost: Complaint says of what kind, "" if all is well. Any goroutine may call
// it, and it does not wait.
type Complainer interface{ Complaint() string }
