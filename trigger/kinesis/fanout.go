package kinesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/myelin-run/myelin/trigger/amazon"
	"github.com/myelin-run/myelin/trigger/delivery"
)

// Enhanced fan-out: a consumer is registered with the stream, and the service sends
// it what comes in a shard, 2 MiB a second that no other reader shares. A
// subscription is to one shard, and the service ends it after five minutes.

// errTaken says that the shard's former reader is subscribed still, or was a moment
// ago.
var errTaken = errors.New("the consumer is subscribed to the shard already")

// asking is how often it is asked whether a consumer that was registered is there.
const asking = 200 * time.Millisecond

// consumer returns the address of the consumer of that name, which is registered if
// it is not there. It is never taken away: other processors read with it.
func (a *api) consumer(ctx context.Context, name string) (string, error) {
	var about struct {
		StreamDescriptionSummary struct{ StreamARN string }
	}
	if err := a.Call(ctx, "DescribeStreamSummary", 0, map[string]any{"StreamName": a.stream}, &about); err != nil {
		return "", err
	}
	who := map[string]any{"StreamARN": about.StreamDescriptionSummary.StreamARN, "ConsumerName": name}
	err := a.Call(ctx, "RegisterStreamConsumer", 0, who, nil)
	if err != nil && !amazon.Is(err, "ResourceInUseException") { // it is registered
		return "", err
	}
	for {
		var out struct {
			ConsumerDescription struct{ ConsumerARN, ConsumerStatus string }
		}
		if err := a.Call(ctx, "DescribeStreamConsumer", 0, who, &out); err != nil {
			return "", err
		}
		d := out.ConsumerDescription
		switch d.ConsumerStatus {
		case "ACTIVE":
			return d.ConsumerARN, nil
		case "DELETING":
			return "", fmt.Errorf("consumer %q is being deleted", name)
		}
		if !delivery.Sleep(ctx, asking) {
			return "", fmt.Errorf("consumer %q is %s: %w", name, d.ConsumerStatus, ctx.Err())
		}
	}
}

// subscribe has what comes in a shard behind a place sent.
func (a *api) subscribe(ctx context.Context, consumer string, n int32, at map[string]any) (*amazon.Events, error) {
	return a.Listen(ctx, "SubscribeToShard", map[string]any{"ConsumerARN": consumer, "ShardId": idOf(n), "StartingPosition": at})
}

// pushed is an event of a subscription.
type pushed struct {
	Records                    []record
	ContinuationSequenceNumber string // "": the shard was closed, and this was its end
	MillisBehindLatest         int64
}

// hears reports whether the shard is read by subscription. One that is closed, and has
// an end, is asked for the rest.
func (p *puller) hears() bool {
	if p.n.consumer == "" {
		return false
	}
	if sh, _, _, _ := p.n.src.look(p.lease.Shard); !sh.closed {
		return true
	}
	p.unsubscribe()
	return false
}

// hear takes what comes next of a subscription, and subscribes if there is none.
func (p *puller) hear() error {
	if !p.mayAsk() {
		return nil
	}
	if p.events == nil {
		p.asked, p.quiet = time.Now(), asking
		if err := p.subscribe(); err != nil || p.events == nil {
			return err
		}
	}
	var got pushed
	if err := p.events.Next(&got); err != nil {
		p.unsubscribe()
		if errors.Is(err, amazon.ErrLost) || p.ctx.Err() != nil {
			return nil // it is subscribed anew, where it was
		}
		return p.interrupted(err)
	}
	p.quiet = 0
	a := &answer{Records: got.Records, NextShardIterator: got.ContinuationSequenceNumber, MillisBehindLatest: got.MillisBehindLatest}
	err := a.check()
	if err == nil && a.NextShardIterator != "" && !isSequence(a.NextShardIterator) {
		err = fmt.Errorf("the continuation is %.40q", a.NextShardIterator)
	}
	if err != nil {
		p.unsubscribe()
		return fmt.Errorf("SubscribeToShard: %w", err)
	}
	err = p.pass(a)
	p.heard, p.iterator = a.NextShardIterator, ""
	return err
}

// interrupted is what it means that the service ended a subscription with an error.
func (p *puller) interrupted(err error) error {
	switch {
	case amazon.Is(err, absent):
		return p.missing(err)
	case amazon.Is(err, "ResourceInUseException"):
		return errTaken
	}
	return err
}

// subscribe begins where the shard was left. It leaves p.events nil if there is
// nothing to be read.
func (p *puller) subscribe() (err error) {
	p.events, err = p.n.api.subscribe(p.ctx, p.n.consumer, p.lease.Shard, p.position())
	switch {
	case err == nil:
		p.tip = false // from here on the place is a time, until a record comes
		return nil
	case amazon.Is(err, "ResourceInUseException"):
		return errTaken
	}
	p.heard = ""
	return p.unlocated(err)
}

func (p *puller) unsubscribe() {
	if p.events != nil {
		p.events.Close()
		p.events = nil
	}
}

// position is where a subscription begins: behind what was handed on, or, where no
// record came, at what the last one said.
func (p *puller) position() map[string]any {
	switch {
	case p.at.kind == after || p.at.kind == within:
	case p.heard != "":
		return map[string]any{"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": p.heard}
	case p.tip:
		return map[string]any{"Type": latest}
	}
	in := map[string]any{}
	p.at.ask(in)
	at := map[string]any{"Type": in["ShardIteratorType"]}
	for to, from := range map[string]string{"SequenceNumber": "StartingSequenceNumber", "Timestamp": "Timestamp"} {
		if v, ok := in[from]; ok {
			at[to] = v
		}
	}
	return at
}
