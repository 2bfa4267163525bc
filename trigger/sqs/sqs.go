// Package sqs is the trigger that takes messages from a queue of Amazon SQS. It
// holds what is peculiar to the service: long polls, messages that come back unless
// they are claimed anew in time, groups in which one message is out at a time, and
// requests for ten messages at once. Attempts, dead letters, batches and the drain
// are the queue engine's. It knows no worker and no runtime.
package sqs

import (
	"errors"
	"log/slog"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/amazon"
	"github.com/myelin-run/myelin/trigger/queue"
)

// Kind is the trigger's name in a spec.
const Kind = "sqs"

// Factory makes triggers of SQS.
func Factory() trigger.Factory {
	return component.Define(Kind, "Runs the function on the messages of an Amazon SQS queue.", defaults, build)
}

func build(s trigger.Settings, c Config) (trigger.Trigger, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	at, err := amazon.At(s, c.Config)
	if err != nil {
		return nil, err
	}
	if at := s.Spec.StartAt; at != "" && at != "earliest" {
		return nil, &trigger.SpecError{Err: document.Under("startAt", errors.New("a queue of SQS keeps nothing that was read, and begins with what it has"))}
	}
	return queue.New(s, queue.Options{Kind: Kind, Requeues: true}, &source{cfg: c, at: at, log: s.Log})
}
