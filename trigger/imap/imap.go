// Package imap is the trigger that reads a mailbox: each message is an event, and
// is marked, moved or removed at the server when the function is done with it. It
// holds when there is something to fetch, who of several processors reads, and what
// outcomes mean to the server. Attempts, letters and the drain are the queue
// engine's; the protocol is that of trigger/imap/wire, and how messages are taken
// apart that of trigger/mail/message. It knows no worker and no runtime.
package imap

import (
	"log/slog"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/delivery"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/stream"
)

// Kind is the trigger's name in a spec.
const Kind = "imap"

// Factory makes IMAP triggers.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on the messages of a mailbox.", defaults, build)
}

func build(s trigger.Settings, c Config) (trigger.Trigger, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	to, err := c.dial(s)
	if err != nil {
		return nil, err
	}
	if c.FailedTo != "" && s.Spec.OnFailure == nil { // that is what it is for
		s.Spec.OnFailure = &function.Destination{Kind: delivery.Broker}
	}
	src := &source{cfg: c, log: s.Log, to: to}
	if c.Assignment == stream.ByDealer || c.Assignment == "" && s.Shards != nil {
		src.lease = newLease(stream.Assigned(s, stream.ByDealer, 1, c.Mailbox))
	}
	return queue.New(s, queue.Options{Kind: Kind, Requeues: true, Rejects: c.FailedTo != "", Prefetch: prefetch}, src)
}

// prefetch is how many messages are fetched ahead: they are in memory.
const prefetch = 16
