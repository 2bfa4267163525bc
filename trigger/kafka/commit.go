package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/myelin-run/myelin/trigger"
)

// Commit implements [stream.Session]. The order is what makes it safe: the
// generation is read first, then the leases are looked at. A lease that holds
// then was held in that generation or a later one, and if the group goes on
// before the request is there, the broker refuses the old generation.
func (n *session) Commit(ctx context.Context, ps []trigger.Position) error {
	ctx, cancel := context.WithTimeout(ctx, n.src.cfg.SessionTimeout.Std())
	defer cancel()
	for {
		member, generation := n.cl.GroupMetadata()
		held := n.current(ps)
		if len(held) == 0 {
			return nil
		}
		err := n.commit(ctx, member, generation, held)
		switch {
		case err == nil, gone(err):
			return nil
		case !shifting(err):
			return fmt.Errorf("commit: %w", n.src.explain(err))
		}
		if again(ctx) != nil {
			return fmt.Errorf("commit: %w", n.src.explain(err))
		}
	}
}

// current leaves out the positions whose lease is no longer held.
func (n *session) current(ps []trigger.Position) []trigger.Position {
	n.mu.Lock()
	defer n.mu.Unlock()
	var held []trigger.Position
	for _, p := range ps {
		if l, ok := n.leases[shard{p.Topic, p.Shard}]; ok && l.Epoch == p.Epoch {
			held = append(held, p)
		}
	}
	return held
}

// gone says that the group has forgotten this member: its leases are lost, as
// the client will hear.
func gone(err error) bool {
	return errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.FencedInstanceID) ||
		errors.Is(err, kerr.FencedMemberEpoch) || errors.Is(err, kerr.GroupIDNotFound)
}

// shifting says that the group is being shared out anew: this member may have
// kept its leases, and knows the new generation soon.
func shifting(err error) bool {
	return errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.StaleMemberEpoch)
}

func (n *session) commit(ctx context.Context, member string, generation int32, ps []trigger.Position) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = n.src.cfg.ConsumerGroup, member, generation
	if id := n.src.cfg.InstanceID; id != "" {
		req.InstanceID = &id
	}
	n.eachTopic(ps, func(topic string, id topicID, ps []trigger.Position) {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, id
		for _, p := range ps {
			one := kmsg.NewOffsetCommitRequestTopicPartition()
			one.Partition, one.Offset = p.Shard, p.Next
			t.Partitions = append(t.Partitions, one)
		}
		req.Topics = append(req.Topics, t)
	})
	resp, err := req.RequestWith(ctx, n.cl)
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
}

// refusal names the topic where it is at fault; later answers have its id only.
func (n *session) refusal(topic string, id topicID, err error) error {
	if !errors.Is(err, kerr.UnknownTopicID) && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, known := range n.ids {
		if topic == "" && known == id {
			topic = name
		}
	}
	return fmt.Errorf("topic %s was deleted or made anew: %w", topic, err)
}

// eachTopic calls do with the positions of each topic, and the id under which
// they were read: a topic that was made anew has another.
func (n *session) eachTopic(ps []trigger.Position, do func(topic string, id topicID, ps []trigger.Position)) {
	by := map[string][]trigger.Position{}
	for _, p := range ps {
		by[p.Topic] = append(by[p.Topic], p)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for topic, ps := range by {
		do(topic, n.ids[topic], ps)
	}
}
