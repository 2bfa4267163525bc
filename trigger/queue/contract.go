// Package queue is the engine of triggers whose messages are acked one by one.
// A trigger writes a Source; the engine owns connecting and reconnecting, the
// limit of messages in flight, attempts and their back-off, dead letters,
// batches, filters, the acks and the drain. It knows no broker and no runtime.
package queue

import (
	"context"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// Source connects to a broker; it is what the author of a queue trigger writes.
type Source interface {
	// Connect opens a session that is ready to receive. It is called again,
	// after a back-off, when it failed or a session ended; never while another
	// session is open. ctx bounds the connecting only, not the session. An
	// error marked with [event.Permanent] ends the trigger; any other (the
	// broker is away, the queue is absent, the password is refused) is told in
	// the report, and tried again.
	Connect(ctx context.Context, w Want) (Session, error)
}

// Want is what the engine wants of a session.
type Want struct {
	// Prefetch is the most messages that are unsettled at once: what the broker
	// should send ahead. Receive is never asked for more.
	Prefetch int
	// Start says where to begin in a queue that keeps what was read and has no
	// place for this reader yet; the zero Start is the source's default.
	Start trigger.Start
	// Seek says to begin at Start even if there is a place already.
	Seek bool
}

// Session is one connection and its subscription. Its life:
//
//  1. Receive is called by one goroutine, again and again. Settle (and the
//     optional Extend and Reply) by many, also while Receive waits.
//  2. An error of Receive other than io.EOF, when its ctx is not done, says
//     that the session is lost, and so does an error of Settle. The engine
//     closes it and connects anew; a Settle that waits must then return. The
//     messages that were not settled are the broker's to deliver again; the
//     engine settles none of them any more.
//  3. At a stop the ctx of Receive ends. The engine then settles what it was
//     given, all of it, and calls Close. Nothing is called after Close.
type Session interface {
	// Receive waits for messages and fills one or more of ms, from the front;
	// it returns how many. The Messages are reset but keep Buffer. What an
	// Event aliases must stay as it is until the same *Message is given to
	// Receive again. When ctx is done it returns soon, with the messages that
	// it has or with ctx.Err(), and loses none. io.EOF says that all has come
	// after Drain.
	Receive(ctx context.Context, ms []*Message) (int, error)
	// Settle tells the broker what becomes of a message. It is called once for
	// each. It may return before the broker has heard. Its ctx ends when the
	// session is lost.
	Settle(ctx context.Context, m *Message, v Verdict) error
	// Close ends the session. It sends what Settle has left unsent.
	Close(ctx context.Context) error
}

// Message is one message and what its session knows it by.
type Message struct {
	// Event is filled by Receive: Body at least; ID if the message has one that
	// is its own (the engine makes one of session and Tag otherwise); Time, Key,
	// Topic, Headers, ContentType where the broker has them. Source and Token
	// are the engine's. Only Event itself and its slices may be given to the
	// function; the engine copies the slices before it does.
	Event event.Event
	// Tag and Ref are the session's own.
	Tag uint64
	Ref any
	// Delivered is how often the broker had delivered it before; 0 if this is
	// the first time, or if the broker does not count.
	Delivered int
	// Buffer is memory that a session may use for what Event aliases. It comes
	// back with the Message, whatever length it was left at.
	Buffer []byte

	slot
}

// Action is what becomes of a message.
type Action int

// The actions.
const (
	Ack     Action = iota // done with: forget it
	Requeue               // deliver it again, to whomever, after Delay if the broker can
	Reject                // never deliver it again; it goes where the broker sends what is rejected, if anywhere
)

// Verdict is an action and its details.
type Verdict struct {
	Action Action
	Delay  time.Duration // of Requeue; 0 unless Options.Delays
	Reason string        // of Reject
}

// Extender is implemented by sessions whose messages come back unless the
// broker hears in time that they are being worked on. See Options.ExtendEvery.
// m has Tag and Ref only. The message may be settled at the same moment. An
// error is logged only.
type Extender interface {
	Extend(ctx context.Context, m *Message) error
}

// Replier is implemented by sessions that answer whoever sent a message. Reply
// is called when the outcome of a message is final, before Settle: err is nil
// if it is done, and resp is the function's answer, lent until Reply returns;
// otherwise err says why the message failed, and resp is nil. Wants says
// whether a message asks for an answer. An error means that the session is
// lost.
type Replier interface {
	Wants(m *Message) bool
	Reply(ctx context.Context, m *Message, resp *event.Response, err error) error
}

// Drainer is implemented by sessions whose broker cannot take messages back:
// Drain tells the broker to send no more. Receive then returns what has come
// already, with a ctx that is not done, and at last io.EOF. Without it, a stop
// gives back what was received and not begun.
type Drainer interface {
	Drain(ctx context.Context) error
}

// Stopper is implemented by sessions that can tell the broker to send no more,
// and whose Close gives back what was sent and not received. Stop is called once,
// at a stop, before the engine gives back what it has not begun: another
// consumer should have what comes meanwhile.
type Stopper interface {
	Stop(ctx context.Context) error
}

// Bulk is implemented by sessions that ack many messages at less cost than one
// by one; used for batches. All are to be acked, and none is settled otherwise.
type Bulk interface {
	AckAll(ctx context.Context, ms []*Message) error
}

// Numberer is implemented by sessions whose messages have numbers (Message.Tag)
// that stay the same whenever a message is delivered, also by another session.
// Numbering says of what: the source, and which one of that name.
type Numberer interface {
	Numbering() (topic, source string)
}

// Floorer is implemented by a [Numberer] that can ask up to which number all
// messages are done with for ever. It is called at an interval.
type Floorer interface {
	Floor(ctx context.Context) (uint64, error)
}

// Lagger is implemented by sessions that can ask how many messages wait at the
// broker. It is called at an interval.
type Lagger interface {
	Lag(ctx context.Context) (int64, error)
}

// Watched is implemented by sources that can say, without a session, how many
// messages wait at the broker: those that a session would be given, also those
// that others were given and did not settle. Watch opens nothing.
type Watched interface {
	Watch() (trigger.Waiter, error)
}

// Complainer is implemented by sessions that can be in trouble without being
// lost: Complaint says of what kind, "" if all is well. It is called whenever
// somebody wants a report, by any goroutine, and does not wait.
type Complainer interface{ Complaint() string }

// Topics is implemented by sources that can send letters to a topic, queue or
// subject of the same system: the spec's destination of kind topic. It opens
// nothing yet: the destination connects when it is first sent to, and lives
// until the Source is closed, if it is an io.Closer.
type Topics interface {
	Topic(d string) (trigger.Destination, error)
}

// Options are what an engine has to know of a kind of source.
type Options struct {
	Kind string // of the trigger: "rabbitmq"
	// Requeues says that the broker takes a message back. Without it failed
	// messages are tried again within the processor only, and a stop finishes
	// all that was received.
	Requeues bool
	// Delays says that the broker keeps a requeued message back for a while:
	// attempts then wait at the broker, not in the processor, and Delivered
	// counts them.
	Delays bool
	// Rejects says that the broker has a place of its own for rejected messages:
	// the destination of kind broker.
	Rejects bool
	// ExtendEvery is how often an Extender is called for each message that is
	// not settled; 0: never.
	ExtendEvery time.Duration
	// Numbers says that sessions are Numberers: the trigger can have a sink.
	Numbers bool
	// Prefetch is used where the spec does not say; 0: the engine's default.
	Prefetch int
}
