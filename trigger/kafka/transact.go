package kafka

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// transactionalID names the transactions of one session. A static member has
// the same again, and so ends what its predecessor left open; any other is
// fenced by the group's generation, and what it left open ends by
// transactionTimeout.
func (s *Source) transactionalID() string {
	member := s.cfg.InstanceID
	if member == "" {
		member = rand.Text()
	}
	return "myelin." + s.cfg.ConsumerGroup + "." + member
}

// Transact implements [stream.Transactor]. While the group is being shared out
// a transaction is aborted and begun again, as long as the leases hold; see
// [session.Commit] for why they are looked at after the generation.
func (n *session) Transact(ctx context.Context, outs []stream.Output, ps []trigger.Position) error {
	n.txn.Lock()
	defer n.txn.Unlock()
	for {
		member, generation := n.cl.GroupMetadata()
		if held := n.current(ps); len(held) != len(ps) {
			return errors.New("transact: the lease of a shard is over")
		}
		err := n.bounded(ctx, func(ctx context.Context) error { return n.transact(ctx, member, generation, outs, ps) })
		if err == nil {
			return nil
		}
		if !shifting(err) || again(ctx) != nil {
			return fmt.Errorf("transact: %w", n.src.explain(err))
		}
	}
}

// bounded does one transaction. After its timeout the broker has aborted it, and
// after twice that the client for transactions is closed: it keeps records for ever of
// which it does not know whether they were written. The next session has one of
// its own, and is told the checkpoint once what is left of this is decided.
func (n *session) bounded(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*n.src.cfg.TransactionTimeout.Std())
	defer cancel()
	defer context.AfterFunc(ctx, n.side.Close)()
	return do(ctx)
}

func (n *session) transact(ctx context.Context, member string, generation int32, outs []stream.Output, ps []trigger.Position) error {
	if len(outs) == 0 { // nothing but positions: one request is atomic by itself
		return n.commit(ctx, member, generation, ps)
	}
	if err := n.side.BeginTransaction(); err != nil {
		return err
	}
	err := n.fill(ctx, member, generation, outs, ps)
	end := kgo.TransactionEndTry(err == nil)
	if err != nil {
		err = errors.Join(err, n.side.AbortBufferedRecords(ctx))
	}
	ended := n.side.EndTransaction(ctx, end)
	if ended != nil && end == kgo.TryCommit {
		// Whether it was committed is not known, or it was not. This fences what
		// may be left of it, so that the shards can be read on at once.
		ended = errors.Join(ended, n.side.EndTransaction(ctx, kgo.TryAbort))
	}
	return errors.Join(err, ended)
}

// fill puts answers and positions into the transaction.
func (n *session) fill(ctx context.Context, member string, generation int32, outs []stream.Output, ps []trigger.Position) error {
	rs := make([]*kgo.Record, len(outs))
	for i := range outs {
		rs[i] = recordOf(&outs[i])
	}
	if err := n.side.ProduceSync(ctx, rs...).FirstErr(); err != nil {
		return err
	}
	id, epoch, err := n.side.ProducerID(ctx)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, _ = n.side.OptValue(kgo.TransactionalID).(string)
	req.Group, req.MemberID, req.Generation = n.src.cfg.ConsumerGroup, member, generation
	req.ProducerID, req.ProducerEpoch = id, epoch
	if i := n.src.cfg.InstanceID; i != "" {
		req.InstanceID = &i
	}
	n.eachTopic(ps, func(topic string, id topicID, ps []trigger.Position) {
		t := kmsg.NewTxnOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, id
		for _, p := range ps {
			one := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			one.Partition, one.Offset = p.Shard, p.Next
			t.Partitions = append(t.Partitions, one)
		}
		req.Topics = append(req.Topics, t)
	})
	if err := n.join(ctx, req); err != nil {
		return err
	}
	return n.store(ctx, req)
}

// join makes the group's positions part of the transaction, as brokers before
// the second part of KIP-890 want it; to later ones it is nothing new.
func (n *session) join(ctx context.Context, of *kmsg.TxnOffsetCommitRequest) error {
	req := kmsg.NewPtrAddOffsetsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = of.TransactionalID, of.ProducerID, of.ProducerEpoch, of.Group
	return busy(ctx, func() error {
		resp, err := req.RequestWith(ctx, n.side)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
}

func (n *session) store(ctx context.Context, req *kmsg.TxnOffsetCommitRequest) error {
	return busy(ctx, func() error {
		resp, err := req.RequestWith(ctx, n.side)
		if err != nil {
			return err
		}
		for i := range resp.Topics {
			for _, p := range resp.Topics[i].Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return n.refusal(resp.Topics[i].Topic, resp.Topics[i].TopicID, err)
				}
			}
		}
		return nil
	})
}

// busy calls ask again while the transaction before is still being ended.
func busy(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		if !errors.Is(err, kerr.ConcurrentTransactions) || again(ctx) != nil {
			return err
		}
	}
}

func recordOf(o *stream.Output) *kgo.Record {
	r := &kgo.Record{Topic: o.Topic, Key: o.Key, Value: o.Body}
	if o.ContentType != "" {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: contentType, Value: []byte(o.ContentType)})
	}
	for _, f := range o.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: f.Key, Value: []byte(f.Value)})
	}
	return r
}

// Fits implements [stream.Fitter].
func (n *session) Fits(o *stream.Output) error {
	size := quantity.Size(batchOverhead + len(o.Key) + len(o.Body) + len(o.ContentType))
	for _, h := range o.Headers {
		size += quantity.Size(headerOverhead + len(h.Key) + len(h.Value))
	}
	if most := n.src.cfg.MaxMessageSize; size > most {
		return fmt.Errorf("answer of about %d bytes is larger than maxMessageSize, %d", size, most)
	}
	return nil
}

// What a record needs at most beside its key, value and headers, in a batch of
// its own; and each header.
const (
	batchOverhead  = 160
	headerOverhead = 10
)

// tooLarge marks the error of a record that no attempt will get through.
func tooLarge(err error) error {
	if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) {
		return event.Permanent(err)
	}
	return err
}
