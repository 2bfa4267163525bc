package stream

import (
	"context"
	"time"

	"github.com/myelin-run/myelin/trigger"
)

// All is the [trigger.Assigner] of a processor that has no others beside it: it
// has all shards. Its epochs are seconds, so that one who is started later
// follows one who was started before. Two at once take the shards from each
// other, again and again, which is safe and of no use.
type All struct {
	// Again is how long to wait until a shard that was refused is taken anew;
	// default 5 s.
	Again time.Duration
}

var _ trigger.Assigner = All{}

// freed says that a shard is not worked on any more.
type freed struct {
	shard trigger.Shard
	seen  uint32
}

// Assign implements [trigger.Assigner].
func (a All) Assign(ctx context.Context, _ string, _ float64, all []trigger.Shard, h trigger.Hands) error {
	if a.Again <= 0 {
		a.Again = 5 * time.Second
	}
	out, back := map[trigger.Shard]uint32{}, make(chan freed, len(all))
	take := func(s trigger.Shard, epoch uint32) {
		out[s] = epoch
		h.Take(s, epoch, func(seen uint32) { back <- freed{s, seen} })
	}
	now := uint32(time.Now().Unix()) //nolint:gosec // until 2106
	for _, s := range all {
		take(s, now)
	}
	refused, again := map[trigger.Shard]uint32{}, time.NewTicker(a.Again)
	defer again.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case f := <-back:
			refused[f.shard] = max(f.seen, out[f.shard]) + 1
			delete(out, f.shard)
		case <-again.C:
			for s, epoch := range refused {
				take(s, epoch)
			}
			clear(refused)
		}
	}
	for s, epoch := range out {
		h.Give(s, epoch, false)
	}
	for range out {
		<-back
	}
	return nil
}
