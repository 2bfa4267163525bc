package kafka

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/trigger/stream"
)

// assigned is called by the client when shards are this member's, before it
// fetches them.
func (n *session) assigned(ctx context.Context, cl *kgo.Client, m map[string][]int32) {
	if len(m) == 0 {
		return
	}
	<-n.opened
	counts, ids, err := n.count(ctx, m)
	if err != nil && n.want.Keeps { // whose position would not be found
		n.end(fmt.Errorf("ask for topics: %w", n.src.explain(err)))
		return
	}
	_, generation := cl.GroupMetadata()
	ls := n.grant(m, counts, ids, generation)
	if len(ls) == 0 {
		return
	}
	if err := n.ask(ctx, ls); err != nil {
		n.drop(ls)
		n.end(err)
		return
	}
	n.shards.Assigned(ls...)
}

// grant makes leases. Their epoch is the group's generation: the group sees to
// it that it rises from owner to owner.
func (n *session) grant(m map[string][]int32, counts map[string]int32, ids map[string]topicID, generation int32) []stream.Lease {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	var ls []stream.Lease
	for topic, ps := range m {
		slices.Sort(ps)
		for _, p := range ps {
			s := shard{topic, p}
			n.epochs[s] = max(n.epochs[s]+1, uint32(max(generation, 0)))
			l := stream.Lease{Topic: topic, Shard: p, Epoch: n.epochs[s], Shards: counts[topic], Source: incarnation(ids[topic])}
			n.leases[s] = l
			ls = append(ls, l)
		}
	}
	return ls
}

// incarnation tells a topic from one of its name that was before; brokers before
// 2.8 do not.
func incarnation(id topicID) string {
	if id == (topicID{}) {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// count asks how many shards topics have, and which topics of that name they
// are; without an answer there are none.
func (n *session) count(ctx context.Context, m map[string][]int32) (map[string]int32, map[string]topicID, error) {
	ctx, cancel := context.WithTimeout(ctx, n.src.cfg.SessionTimeout.Std()/2)
	defer cancel()
	names := make([]string, 0, len(m))
	for t := range m {
		names = append(names, t)
	}
	counts, ids := map[string]int32{}, map[string]topicID{}
	got, err := describe(ctx, n.side, names)
	if err != nil {
		return counts, ids, err
	}
	for i := range got.Topics {
		counts[*got.Topics[i].Topic] = int32(len(got.Topics[i].Partitions)) //nolint:gosec // Kafka counts in int32
		ids[*got.Topics[i].Topic] = got.Topics[i].TopicID
		if err == nil && got.Topics[i].TopicID == (topicID{}) {
			err = kerr.ErrorForCode(got.Topics[i].ErrorCode)
		}
	}
	return counts, ids, err
}

// revoked is called by the client when the group wants shards back; the group
// waits for it. The engine commits from within, under leases that still hold.
func (n *session) revoked(ctx context.Context, _ *kgo.Client, m map[string][]int32) {
	ls := n.held(m)
	if len(ls) == 0 {
		return
	}
	// The rest of the time is for the client to say so.
	ctx, cancel := context.WithTimeout(ctx, n.src.cfg.RebalanceTimeout.Std()*9/10)
	defer cancel()
	n.shards.Revoked(ctx, ls...)
	n.drop(ls)
}

// lost is called by the client when the group has forgotten this member.
func (n *session) lost(_ context.Context, _ *kgo.Client, m map[string][]int32) {
	ls := n.held(m)
	n.drop(ls)
	if len(ls) > 0 {
		n.shards.Lost(ls...)
	}
}

// held returns the leases of shards, none once the session is closed: the
// engine has no shard by then.
func (n *session) held(m map[string][]int32) []stream.Lease {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ls []stream.Lease
	for topic, ps := range m {
		for _, p := range ps {
			if l, ok := n.leases[shard{topic, p}]; ok && !n.closed {
				ls = append(ls, l)
			}
		}
	}
	return ls
}

func (n *session) drop(ls []stream.Lease) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range ls {
		if n.leases[of(l)].Epoch == l.Epoch {
			delete(n.leases, of(l))
		}
	}
}

// again waits a little before a group that is being shared out is asked again.
func again(ctx context.Context) error {
	t := time.NewTimer(50 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
