package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// checkpoint is what the bucket keeps of a shard. It is written by
// compare-and-swap of its revision.
type checkpoint struct {
	Epoch uint32 `json:"epoch"` // the greatest under which the shard was claimed
	Next  uint64 `json:"next"`  // all before it in the stream is done
}

// key is where the checkpoint of a shard is kept.
func (n *shardSession) key(shard int32) string {
	return fmt.Sprintf("%s.%s.%d", plain(n.src.cfg.Stream), plain(n.src.cfg.Consumer), shard)
}

// plain writes what a key must not have as its number.
func plain(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02x", c)
		}
	}
	return b.String()
}

// load reads a checkpoint and its revision; 0: there is none.
func (n *shardSession) load(ctx context.Context, shard int32) (c checkpoint, rev uint64, err error) {
	e, err := n.kept.Get(ctx, n.key(shard))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return c, 0, nil
	}
	if err != nil {
		return c, 0, fmt.Errorf("read checkpoint of shard %d: %w", shard, err)
	}
	if err := json.Unmarshal(e.Value(), &c); err != nil {
		return c, 0, fmt.Errorf("read checkpoint of shard %d: %w", shard, err)
	}
	return c, e.Revision(), nil
}

var errWritten = errors.New("the checkpoint was written meanwhile")

// save writes a checkpoint if it is at the revision, else it returns errWritten.
func (n *shardSession) save(ctx context.Context, shard int32, c checkpoint, rev uint64) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if rev == 0 {
		rev, err = n.kept.Create(ctx, n.key(shard), b)
	} else {
		rev, err = n.kept.Update(ctx, n.key(shard), b, rev)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return errWritten
	}
	if err != nil {
		return fmt.Errorf("write checkpoint of shard %d: %w", shard, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.revisions[shard] = rev
	return nil
}

// saveTries bounds how often a write is tried again for another's that came
// between; with each the epoch is looked at anew.
const saveTries = 10

// Claim implements [stream.Keeper].
func (n *shardSession) Claim(ctx context.Context, l stream.Lease, seek bool) error {
	ctx, cancel := context.WithTimeout(ctx, apiTime)
	defer cancel()
	var err error
	for range saveTries {
		var c checkpoint
		var rev uint64
		if c, rev, err = n.load(ctx, l.Shard); err != nil {
			return err
		}
		if c.Epoch > l.Epoch {
			return &stream.Fenced{Seen: c.Epoch}
		}
		if rev == 0 || seek {
			if c.Next, err = n.place(ctx); err != nil {
				return err
			}
		}
		c.Epoch = l.Epoch
		if err = n.save(ctx, l.Shard, c, rev); err == nil {
			n.host.Assigned(l)
			n.pull(l, c.Next)
			return nil
		}
		if !errors.Is(err, errWritten) {
			return err
		}
	}
	return err
}

// place is where a shard without a checkpoint begins.
func (n *shardSession) place(ctx context.Context) (uint64, error) {
	switch at := n.want.Start; at.Where {
	case trigger.Latest:
		info, err := n.stream.Info(ctx)
		if err != nil {
			return 0, fmt.Errorf("find the end of stream %q: %w", n.src.cfg.Stream, err)
		}
		return info.State.LastSeq + 1, nil
	case trigger.AtOffset:
		return uint64(max(at.Offset, 1)), nil
	case trigger.AtTime: // the server knows where that is when it makes a consumer
		c, err := n.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartTimePolicy,
			OptStartTime: &at.Time, InactiveThreshold: unusedTime, MemoryStorage: true, Replicas: 1})
		if err != nil {
			return 0, fmt.Errorf("find the place in stream %q: %w", n.src.cfg.Stream, err)
		}
		info := c.CachedInfo()
		if err := n.stream.DeleteConsumer(ctx, info.Name); err != nil {
			return 0, fmt.Errorf("find the place in stream %q: %w", n.src.cfg.Stream, err)
		}
		return info.Delivered.Stream + 1, nil
	}
	return 1, nil
}

// Commit implements [stream.Session].
func (n *shardSession) Commit(ctx context.Context, ps []trigger.Position) error {
	ctx, cancel := context.WithTimeout(ctx, apiTime)
	defer cancel()
	for _, p := range ps {
		if err := n.store(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// store keeps one checkpoint, unless the shard was claimed under a greater
// epoch: then it is lost.
func (n *shardSession) store(ctx context.Context, p trigger.Position) error {
	n.mu.Lock()
	rev := n.revisions[p.Shard]
	n.mu.Unlock()
	var err error
	for range saveTries {
		if err = n.save(ctx, p.Shard, checkpoint{p.Epoch, uint64(p.Next)}, rev); !errors.Is(err, errWritten) { //nolint:gosec // it was a sequence
			return err
		}
		var c checkpoint
		if c, rev, err = n.load(ctx, p.Shard); err != nil {
			return err
		}
		if c.Epoch > p.Epoch {
			n.src.log.Info("shard is another's; its checkpoint is left alone", "shard", p.Shard, "epoch", p.Epoch, "seen", c.Epoch)
			n.host.Lost(stream.Lease{Topic: p.Topic, Shard: p.Shard, Epoch: p.Epoch, Shards: int32(n.src.cfg.Shards)}) //nolint:gosec // Validate bounds it
			return nil
		}
	}
	return err
}
