package v3io

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/delivery"
	"github.com/myelin-run/myelin/trigger/stream"
)

// A checkpoint is two attributes of the shard's object: the sequence of the last
// record before which all are done, itself included, under the name that the
// platform's own consumer groups give it, so that a group goes on where they were;
// and the greatest epoch under which the shard was claimed. All writes are on the
// condition that the epoch is as it was read, or as this session has written it.

// committed is the attribute with the sequence.
func (c *Config) committed() string { return "__" + c.ConsumerGroup + "_committed_sequence_number" }

// epoch is the attribute with the epoch. It stands in conditions, and so has only
// letters, digits and underscores.
func (c *Config) epoch() string {
	other := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	}
	name := c.ConsumerGroup
	if strings.ContainsFunc(name, other) {
		h := fnv.New64a()
		_, _ = h.Write([]byte(name))
		name = fmt.Sprintf("%s_%x", strings.Map(func(r rune) rune {
			if other(r) {
				return '_'
			}
			return r
		}, name), h.Sum64())
	}
	return "__" + name + "_myelin_epoch"
}

// errNoObject says that a shard has had no record yet, and so no object that could
// have attributes.
var errNoObject = errors.New("the shard has no object yet")

// claimTries bounds how often a claim is tried again for another's that came
// between.
const claimTries = 10

// Claim implements [stream.Keeper]. A shard without an object is claimed by its
// puller, once it has one.
func (n *session) Claim(ctx context.Context, l stream.Lease, seek bool) error {
	next, err := n.claim(ctx, l, seek, false)
	if err != nil && !errors.Is(err, errNoObject) {
		if _, fenced := errors.AsType[*stream.Fenced](err); fenced {
			return err
		}
		return n.src.explain(err)
	}
	n.host.Assigned(l)
	n.pull(l, next)
	return nil
}

// claim takes a shard under an epoch, and returns where to read on. fresh says
// that all that is in the shard has come since it was assigned.
func (n *session) claim(ctx context.Context, l stream.Lease, seek, fresh bool) (next int64, err error) {
	committed, epoch := n.src.cfg.committed(), n.src.cfg.epoch()
	for range claimTries {
		got, err := n.api.attributes(ctx, l.Shard, committed+","+epoch)
		if errors.Is(err, errAbsent) {
			return 0, errNoObject
		}
		if err != nil {
			return 0, err
		}
		seen, was := got[epoch]
		if seen > int64(l.Epoch) {
			return 0, &stream.Fenced{Seen: uint32(min(seen, 1<<32-1))} //nolint:gosec // it is bounded
		}
		last, known := got[committed]
		values := map[string]int64{epoch: int64(l.Epoch)}
		if seek || !known {
			if next, err = n.place(ctx, l.Shard, fresh); err != nil {
				return 0, err
			}
			last = next - 1
			values[committed] = last
		}
		condition := fmt.Sprintf("not(exists(%s))", epoch)
		if was {
			condition = fmt.Sprintf("%s == %d", epoch, seen)
		}
		if err = n.api.set(ctx, l.Shard, values, condition); err == nil {
			return last + 1, nil
		}
		if !errors.Is(err, errChanged) {
			return 0, err
		}
	}
	return 0, fmt.Errorf("claim shard %d: its attributes change again and again", l.Shard)
}

// place is the sequence at which a shard without a checkpoint begins.
func (n *session) place(ctx context.Context, shard int32, fresh bool) (int64, error) {
	at, where := n.want.Start, n.want.Start.Where
	if where == trigger.Anywhere && n.src.cfg.SeekTo == seekLatest {
		where = trigger.Latest
	}
	if fresh && where == trigger.Latest {
		return 1, nil
	}
	switch where {
	case trigger.Latest:
		return n.end(ctx, shard)
	case trigger.AtOffset:
		return max(at.Offset, 1), nil
	case trigger.AtTime:
		next, _, err := n.first(ctx, shard, seeking{Type: atTime, Sec: max(at.Time.Unix(), 0), NSec: int64(at.Time.Nanosecond())})
		if err != nil || next > 0 {
			return next, err
		}
		return n.end(ctx, shard)
	}
	return 1, nil
}

// first is the sequence of the first record at a place, 0 if there is none, and how
// many come behind it.
func (n *session) first(ctx context.Context, shard int32, at seeking) (sequence, behind int64, err error) {
	location, err := n.api.seek(ctx, shard, at)
	if err != nil {
		return 0, 0, err
	}
	got, err := n.api.records(ctx, shard, location, 1)
	if err != nil || len(got.Records) == 0 {
		return 0, 0, err
	}
	return got.Records[0].SequenceNumber, got.RecordsBehindLatest + int64(len(got.Records)-1), nil
}

// end is the sequence behind the last record of a shard. The location of the end
// does not say it: the first record does, and how many are behind.
func (n *session) end(ctx context.Context, shard int32) (int64, error) {
	first, behind, err := n.first(ctx, shard, seeking{Type: atEarliest})
	if err != nil || first == 0 {
		return 1, err
	}
	return first + behind + 1, nil
}

// Commit implements [stream.Session]. A platform that wants fewer requests is
// waited for: that is no reason to end the session, and to run again what is done.
func (n *session) Commit(ctx context.Context, ps []trigger.Position) error {
	ctx, cancel := context.WithTimeout(ctx, n.src.cfg.Timeout.Std())
	defer cancel()
	slow := 0
	for len(ps) > 0 {
		err := n.store(ctx, ps[0])
		switch {
		case err == nil:
			ps, slow = ps[1:], 0
			continue
		case !errors.Is(err, errThrottled):
			return n.src.explain(err)
		}
		if slow++; !delivery.Sleep(ctx, pauseAfter(err, slow)) {
			return n.src.explain(err)
		}
	}
	return nil
}

// store keeps one checkpoint, unless the shard was claimed under a greater epoch:
// then it is lost.
func (n *session) store(ctx context.Context, p trigger.Position) error {
	epoch := n.src.cfg.epoch()
	err := n.api.set(ctx, p.Shard, map[string]int64{n.src.cfg.committed(): p.Next - 1}, fmt.Sprintf("%s == %d", epoch, p.Epoch))
	if !errors.Is(err, errChanged) {
		return err
	}
	l := stream.Lease{Topic: p.Topic, Shard: p.Shard, Epoch: p.Epoch}
	if e := n.same(ctx, l); e == nil {
		return err // the epoch is ours: something else was wrong
	} else if _, fenced := errors.AsType[*stream.Fenced](e); !fenced {
		return e
	}
	n.src.log.Info("shard is another's; its checkpoint is left alone", "stream", p.Topic, "shard", p.Shard, "epoch", p.Epoch)
	n.host.Lost(l)
	return nil
}

// same says whether a shard is still the one that was claimed under the lease: a
// Fenced if it was claimed by another since, another error if it was made anew.
func (n *session) same(ctx context.Context, l stream.Lease) error {
	got, err := n.api.attributes(ctx, l.Shard, n.src.cfg.epoch())
	if err != nil {
		return err
	}
	switch seen, ok := got[n.src.cfg.epoch()]; {
	case !ok:
		err = errors.New("the stream was made anew")
		n.fail(fmt.Errorf("read stream %q: %w", n.src.topic(), err))
		return err
	case seen > int64(l.Epoch):
		return &stream.Fenced{Seen: uint32(min(seen, 1<<32-1))} //nolint:gosec // it is bounded
	}
	return nil
}
