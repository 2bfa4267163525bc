package kinesis

import (
	"context"
	"time"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/amazon"
	"github.com/myelin-run/myelin/trigger/delivery"
	"github.com/myelin-run/myelin/trigger/stream"
)

// Claim implements [stream.Keeper]. Where a shard whose parents are still read begins
// is for its puller to say, once they are.
func (n *session) Claim(ctx context.Context, l stream.Lease, seek bool) error {
	c, err := n.table.claim(ctx, l.Shard, l.Epoch)
	if err == nil && seek {
		c.place = place{}
		err = n.table.save(ctx, l.Shard, c)
	}
	if err != nil {
		return n.unfenced(err)
	}
	p := &puller{n: n, lease: l, kept: c, seek: seek, flow: make(chan struct{})}
	if _, listed, _, _ := n.src.look(l.Shard); !listed {
		if err := n.describe(ctx); err != nil {
			return err
		}
	}
	if _, err := p.decide(ctx); err != nil {
		return n.unfenced(err)
	}
	n.host.Assigned(l)
	n.pull(p)
	return nil
}

// unfenced explains an error of the table, but for the one that says that a shard is
// another's.
func (n *session) unfenced(err error) error {
	if isFenced(err) {
		return err
	}
	return n.src.kept(err)
}

// begins is where a shard without a checkpoint is read from. tip says that it is what
// comes from now on. The children of a shard that was read begin with their oldest
// record: they have what came after it.
func (n *session) begins(ctx context.Context, sh shard, seek bool) (at place, tip bool, err error) {
	where := n.want.Start.Where
	if where == trigger.Anywhere && n.src.cfg.IteratorType == latest {
		where = trigger.Latest
	}
	switch where {
	case trigger.AtTime:
		return place{kind: atTime, time: n.want.Start.Time}, false, nil
	case trigger.Latest:
		read := false
		for i := 0; i < len(sh.parents) && !seek && !read; i++ {
			c, ok, err := n.table.get(ctx, sh.parents[i])
			if err != nil {
				return at, false, err
			}
			read = ok && c.place.kind != skipped && c.place.kind != nowhere
		}
		if read {
			break
		}
		if sh.closed {
			return place{kind: skipped}, false, nil
		}
		return now(), true, nil
	}
	return place{kind: atHorizon}, false, nil
}

// now is where a shard goes on if a processor dies that began at its tip and has done
// nothing yet: a little before, as clocks differ.
func now() place { return place{kind: atTime, time: time.Now().Add(-time.Second)} }

// Commit implements [stream.Session]. A service that wants fewer requests is waited
// for: that is no reason to end the session, and to run again what is done.
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
		case !amazon.Busy(err):
			return n.src.kept(err)
		}
		if slow++; !delivery.Sleep(ctx, delivery.Reconnect(slow)) {
			return n.src.kept(err)
		}
	}
	return nil
}

// store keeps one checkpoint, unless the shard was claimed under a greater epoch:
// then it is lost.
func (n *session) store(ctx context.Context, at trigger.Position) error {
	p := n.puller(at.Shard, at.Epoch)
	if p == nil {
		return nil
	}
	to, ok := p.reached(at.Next)
	if !ok {
		return nil
	}
	err := n.table.save(ctx, at.Shard, checkpoint{epoch: at.Epoch, place: to, next: at.Next})
	if isFenced(err) {
		n.src.log.Info("shard is another's; its checkpoint is left alone", "stream", at.Topic, "shard", at.Shard, "epoch", at.Epoch)
		n.host.Lost(p.lease)
		return nil
	}
	if err != nil {
		return err
	}
	p.saved(at.Next)
	if to.over() {
		n.src.log.Info("shard is read to its end", "stream", at.Topic, "shard", at.Shard)
		n.src.finished(n.created, at.Shard)
	}
	return nil
}
