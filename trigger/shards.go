package trigger

import "context"

// Shard names one shard of a source.
type Shard struct {
	Topic string
	N     int32
}

// Assigner says which shards of a source are this processor's, for sources that
// do not say so themselves: the dealer does, or whoever gives one processor
// all of them.
type Assigner interface {
	// Assign tells h of those of all that are this processor's until ctx is done.
	// Then it waits for those that h still has to be free, within a bound of its
	// own, and returns. All who name one table share its shards; who asks for part
	// of a share gets so much less of them. An error before ctx is done ends the
	// trigger: whoever assigns is not one that can be waited for.
	Assign(ctx context.Context, table string, part float64, all []Shard, h Hands) error
}

// Hands take shards and let go of them. Both methods return at once, and one
// goroutine calls them.
type Hands interface {
	// Take says that the shard is this processor's under an epoch, greater than
	// that of any earlier owner. free is to be called, once and from any
	// goroutine, when nobody here works on it any more: after Give, or because a
	// store of checkpoints refused the epoch for a greater one. That one is seen
	// then; 0 otherwise.
	Take(s Shard, epoch uint32, free func(seen uint32))
	// Give says that the shard is to be let go of: what runs is finished, and
	// the checkpoint stored; atOnce: neither, for it may be another's already.
	Give(s Shard, epoch uint32, atOnce bool)
}
