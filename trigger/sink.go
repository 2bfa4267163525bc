package trigger

import (
	"context"
	"errors"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/letter"
)

// Place is where an event lies in its source.
type Place struct {
	Topic  string // topic or stream
	Source string // which one of that name: one that is made anew has another; "" if that is not known
	Shard  int32  // of a stream; [Unordered] of a queue
	Epoch  uint32 // of the lease under which it was read
	Offset int64  // offset, or the number that the broker gave it
}

// Unordered is the Shard of places in a queue, whose events are done in any
// order.
const Unordered = -1

// Sink has what an event does stored together with the note that it is done.
// With it each event has its effect exactly once, however often it runs.
type Sink interface {
	// Do runs f, whose effects are those that are made with its ctx, and stores
	// them and that the events at ps are done: all of it, or nothing. The events
	// of a shard lie in one run of it, and are done in its order. What f returns
	// is returned, and nothing is stored then. Other errors are an [*Already],
	// [ErrMoved], one of [Unstored], or say that what f did cannot be stored.
	Do(ctx context.Context, ps []Place, f func(ctx context.Context) error) error
}

// Outbox is implemented by sinks that keep letters until their destination has
// them: that an event is given up and that its letter is kept is one step then.
type Outbox interface {
	// Keep keeps a letter, within f of [Sink.Do] and with its ctx.
	Keep(ctx context.Context, l *letter.Letter) error
	// Kept returns some of the letters that are kept.
	Kept(ctx context.Context) ([]*letter.Letter, error)
	// Sent says that a letter is where it shall be.
	Sent(ctx context.Context, l *letter.Letter) error
}

// Trimmer is implemented by sinks that note each event of a queue: all that lie
// at or before a place never come again, and need not be remembered.
type Trimmer interface {
	Trim(ctx context.Context, upTo Place) error
}

// Sinking is implemented by triggers that keep to Settings.Sink. Others must
// not be given one.
type Sinking interface{ Sinks() bool }

// Already says that some of the events were done before: nothing was stored of
// any.
type Already struct{ Done []bool }

func (*Already) Error() string { return "the event was done before" }

// Unstored marks the failure of a sink that is no failure of the event: it is
// offered again after a pause. What became of it may not be known.
func Unstored(err error) error { return &unstored{err} }

type unstored struct{ err error }

func (u *unstored) Error() string { return "store what the event did: " + u.err.Error() }
func (u *unstored) Unwrap() error { return u.err }

// Is makes it no attempt; see [Handler].
func (u *unstored) Is(target error) bool { return target == event.ErrBusy }

// IsUnstored reports whether err is one of [Unstored].
func IsUnstored(err error) bool {
	var u *unstored
	return errors.As(err, &u)
}
