package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/trigger/kafka/link"
	"github.com/myelin-run/myelin/trigger/stream"
)

// shard names a shard.
type shard struct {
	topic string
	n     int32
}

func of(l stream.Lease) shard { return shard{l.Topic, l.Shard} }

// session is one membership. It implements [stream.Session], [stream.Pauser],
// [stream.Transactor] and [stream.Ender].
type session struct {
	src    *Source
	want   stream.Want
	shards stream.Shards
	cl     *kgo.Client   // the member
	side   *kgo.Client   // questions and transactions
	lines  *link.Lines   // of both
	opened chan struct{} // closed when cl is set

	mu     sync.Mutex
	leases map[shard]stream.Lease
	epochs map[shard]uint32 // of the last lease of each shard
	ids    map[string]topicID
	from   map[shard]int64 // see ask
	sought bool            // the first shards were sought, if that is wanted
	closed bool

	txn sync.Mutex // one transaction at a time
	run context.Context
	end context.CancelCauseFunc // makes Fetch fail
}

func newSession(s *Source, w stream.Want, sh stream.Shards, side *kgo.Client, ids map[string]topicID) *session {
	n := &session{
		src: s, want: w, shards: sh, side: side, ids: ids, opened: make(chan struct{}),
		leases: map[shard]stream.Lease{}, epochs: map[shard]uint32{}, from: map[shard]int64{},
	}
	n.run, n.end = context.WithCancelCause(context.Background())
	return n
}

// Fetch implements [stream.Session]. Between the poll and AllowRebalance no
// shard is taken away, so that what was polled belongs to the leases of now.
// What was polled is taken even if ctx is done: it is not polled again.
func (n *session) Fetch(ctx context.Context, take func(stream.Batch)) error {
	polling, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.run, cancel)()
	fetches := n.cl.PollFetches(polling)
	defer n.cl.AllowRebalance()
	var lost error
	for i := range fetches {
		for j := range fetches[i].Topics {
			t := &fetches[i].Topics[j]
			for k := range t.Partitions {
				if err := n.one(t, &t.Partitions[k], take); err != nil && lost == nil {
					lost = err
				}
			}
		}
	}
	if polling.Err() == nil {
		return lost
	}
	if err := context.Cause(n.run); err != nil {
		return err
	}
	return ctx.Err()
}

func (n *session) one(t *kgo.FetchTopic, p *kgo.FetchPartition, take func(stream.Batch)) error {
	if len(p.Records) > 0 {
		if l, ok := n.lease(shard{t.Topic, p.Partition}, t.TopicID); ok {
			take(batchOf(l, p, n.committedOnly()))
		}
	}
	return n.fault(t.Topic, p.Partition, p.Err)
}

// lease returns the lease of a shard, and remembers the topic's id: what is
// done of these records is committed under it.
func (n *session) lease(s shard, id topicID) (stream.Lease, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l, ok := n.leases[s]
	if ok && id != (topicID{}) {
		n.ids[s.topic] = id
	}
	return l, ok
}

func (n *session) committedOnly() bool { return n.src.committedOnly() }

// fault says what an error of a poll means: nil if the client goes on by
// itself.
func (n *session) fault(topic string, p int32, err error) error {
	if err == nil {
		return nil
	}
	if loss, ok := errors.AsType[*kgo.ErrDataLoss](err); ok {
		n.src.log.Warn("records were deleted before they were read", "topic", topic, "shard", p,
			"expected", loss.ConsumedTo, "resumed", loss.ResetTo)
		return nil
	}
	if errors.Is(err, kerr.OffsetOutOfRange) {
		return fmt.Errorf("topic %s, shard %d: what comes after the checkpoint was deleted, and outOfRange says stop: %w", topic, p, err)
	}
	if errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("topic %s was deleted: %w", topic, err)
	}
	if topic == "" {
		return n.src.explain(err)
	}
	return fmt.Errorf("topic %s, shard %d: %w", topic, p, n.src.explain(err))
}

// Close implements [stream.Session]: it leaves the group, so that the others
// need not wait for the session timeout. A broker that does not answer does not
// hold it up for longer than ctx.
func (n *session) Close(ctx context.Context) error {
	defer context.AfterFunc(ctx, n.lines.Cut)()
	defer n.end(nil)
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.cl.AllowRebalance()
	err := n.cl.LeaveGroupContext(ctx)
	n.cl.CloseAllowingRebalance()
	n.side.Close()
	if err != nil {
		return fmt.Errorf("leave group: %w", n.src.explain(err))
	}
	return nil
}

// Pause implements [stream.Pauser].
func (n *session) Pause(ls ...stream.Lease) { n.cl.PauseFetchPartitions(byTopic(ls)) }

// Resume implements [stream.Pauser].
func (n *session) Resume(ls ...stream.Lease) { n.cl.ResumeFetchPartitions(byTopic(ls)) }

func byTopic(ls []stream.Lease) map[string][]int32 {
	m := map[string][]int32{}
	for _, l := range ls {
		m[l.Topic] = append(m[l.Topic], l.Shard)
	}
	return m
}
