// Package dealt has the dealer assign the shards of a trigger: each trigger is a
// member of a table, and a shard is a resource of it. It must not know what a
// shard is, nor where its checkpoint is kept.
package dealt

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/myelin-run/myelin/dealer"
	"github.com/myelin-run/myelin/dealer/client"
	"github.com/myelin-run/myelin/trigger"
)

// Options of a Dealt.
type Options struct {
	// Address is where the dealer takes beats: "unix:/path" or "host:port".
	Address string
	// Processor is the name of this processor, the same after a restart: who
	// begins anew under it takes the place of the one before at once.
	Processor string
	Zone      string
	// Beat is how often the processor says that it is there; default 1 s.
	Beat time.Duration
	Log  *slog.Logger // default: none
}

// Dealt is an [trigger.Assigner].
type Dealt struct{ o Options }

var _ trigger.Assigner = (*Dealt)(nil)

// New opens nothing.
func New(o Options) *Dealt { return &Dealt{o} }

// capacity is the weight of a processor that takes all of its share.
const capacity = 100

// Assign implements [trigger.Assigner]. While the dealer is away it works on
// with what it has.
func (d *Dealt) Assign(ctx context.Context, table string, part float64, all []trigger.Shard, h trigger.Hands) error {
	weight := capacity
	if part > 0 && part < 1 {
		weight = max(1, int(math.Round(part*capacity)))
	}
	c, err := client.New(client.Options{Addresses: []string{d.o.Address}, Processor: d.o.Processor, Zone: d.o.Zone, Capacity: weight, Beat: d.o.Beat, Log: d.o.Log})
	if err != nil {
		return err
	}
	t := &taker{h: h, topics: map[string]bool{}}
	resources := make([]dealer.Resource, len(all))
	for i, s := range all {
		t.topics[s.Topic] = true
		resources[i].Name = nameOf(s)
	}
	t.member, err = c.Join(table, edition(all), resources, t)
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

// edition counts the changes of a list of shards: a processor of before that says
// again what it knows neither takes away those that came since, nor brings back those
// that went. Shards are numbered as they come, and none comes back, so what is missing
// below the last one went.
func edition(all []trigger.Shard) uint64 {
	last := map[string]int32{}
	for _, s := range all {
		last[s.Topic] = max(last[s.Topic], s.N)
	}
	came := uint64(0)
	for _, n := range last {
		came += uint64(n) + 1
	}
	went := came - uint64(len(all))
	return came + went
}

// taker passes on what the dealer says.
type taker struct {
	h      trigger.Hands
	member *client.Member // set before it is called
	topics map[string]bool
}

var _ client.Work = (*taker)(nil)

// Start implements [client.Work]. What is no shard of the trigger's is had
// without being worked on.
func (t *taker) Start(l dealer.Lease) {
	s, ok := t.shardOf(l.Resource)
	if !ok {
		return
	}
	t.h.Take(s, uint32(l.Epoch), func(seen uint32) {
		if seen > 0 {
			t.member.Refused(l, dealer.Epoch(seen))
			return
		}
		t.member.Released(l)
	})
}

// Stop implements [client.Work].
func (t *taker) Stop(l dealer.Lease, atOnce bool) {
	s, ok := t.shardOf(l.Resource)
	if !ok {
		t.member.Released(l)
		return
	}
	t.h.Give(s, uint32(l.Epoch), atOnce)
}

func nameOf(s trigger.Shard) string { return fmt.Sprintf("%s/%d", s.Topic, s.N) }

// shardOf reads what nameOf wrote.
func (t *taker) shardOf(name string) (s trigger.Shard, ok bool) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return s, false
	}
	n, err := strconv.ParseInt(name[i+1:], 10, 32)
	if err != nil || n < 0 {
		return s, false
	}
	s = trigger.Shard{Topic: name[:i], N: int32(n)}
	return s, t.topics[s.Topic]
}
