package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// ask asks the engine where shards are to be read from. Without an answer
// nothing may be read: the session ends.
func (n *session) ask(ctx context.Context, ls []stream.Lease) error {
	for _, l := range ls {
		next, ok, err := n.shards.From(ctx, l)
		if err != nil {
			return fmt.Errorf("ask for the checkpoint of topic %s, shard %d: %w", l.Topic, l.Shard, err)
		}
		if ok {
			n.mu.Lock()
			n.from[of(l)] = next
			n.mu.Unlock()
		}
	}
	return nil
}

// places is called by the client, after assigned, with the checkpoints of
// shards; what it returns is where they are read from.
func (n *session) places(ctx context.Context, at map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	if err := n.seek(ctx, at); err != nil {
		err = fmt.Errorf("seek: %w", n.src.explain(err))
		n.end(err)
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for topic, ps := range at {
		for p := range ps {
			if next, ok := n.from[shard{topic, p}]; ok {
				ps[p] = kgo.NewOffset().At(next)
				delete(n.from, shard{topic, p})
			}
		}
	}
	return at, nil
}

// seek moves the shards of the first assignment, once, and stores their new
// places: whoever gets them next shall not find the old ones.
func (n *session) seek(ctx context.Context, at map[string]map[int32]kgo.Offset) error {
	if !n.want.Seek || n.sought || len(at) == 0 {
		return nil
	}
	found, err := n.resolve(ctx, slices.Sorted(maps.Keys(at)))
	if err != nil {
		return err
	}
	var ps []trigger.Position
	n.mu.Lock()
	for topic, shards := range at {
		for p := range shards {
			o, ok := found.Lookup(topic, p)
			l, held := n.leases[shard{topic, p}]
			if !ok || !held || o.Err != nil {
				continue
			}
			shards[p] = kgo.NewOffset().At(o.Offset)
			ps = append(ps, trigger.Position{Topic: topic, Shard: p, Epoch: l.Epoch, Next: o.Offset})
		}
	}
	n.mu.Unlock()
	if err := n.Commit(ctx, ps); err != nil {
		return err
	}
	n.sought = true
	return nil
}

// resolve finds the offsets that the wanted place means.
func (n *session) resolve(ctx context.Context, topics []string) (kadm.ListedOffsets, error) {
	adm := kadm.NewClient(n.side)
	start := n.want.Start
	switch {
	case start.Where == trigger.AtTime:
		return adm.ListOffsetsAfterMilli(ctx, start.Time.UnixMilli(), topics...)
	case start.Where == trigger.Latest, start.Where == trigger.Anywhere && n.src.cfg.InitialOffset == "latest":
		return adm.ListEndOffsets(ctx, topics...)
	}
	found, err := adm.ListStartOffsets(ctx, topics...)
	if err != nil || start.Where != trigger.AtOffset {
		return found, err
	}
	ends, err := adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	found.Each(func(o kadm.ListedOffset) {
		end, _ := ends.Lookup(o.Topic, o.Partition)
		o.Offset = min(max(o.Offset, start.Offset), end.Offset)
		found[o.Topic][o.Partition] = o
	})
	return found, nil
}

// Ends implements [stream.Ender].
func (n *session) Ends(ctx context.Context, ls []stream.Lease) ([]int64, error) {
	adm := kadm.NewClient(n.side)
	list := adm.ListEndOffsets
	if n.committedOnly() {
		list = adm.ListCommittedOffsets
	}
	found, err := list(ctx, slices.Sorted(maps.Keys(byTopic(ls)))...)
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", n.src.explain(err))
	}
	ends := make([]int64, len(ls))
	for i, l := range ls {
		if o, ok := found.Lookup(l.Topic, l.Shard); ok && o.Err == nil {
			ends[i] = o.Offset
		}
	}
	return ends, nil
}
