package kinesis

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/test/dealing"
	"github.com/myelin-run/myelin/test/mortal"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

// described is a shard with the keys that it has.
type described struct {
	ShardId      string
	HashKeyRange struct{ StartingHashKey, EndingHashKey string }

	SequenceNumberRange struct{ EndingSequenceNumber string }
}

func number0(s string) *big.Int {
	n, _ := new(big.Int).SetString(s, 10)
	return n
}

// open are the shards to which something comes, in the order of their keys.
func (b *broker) open(t testing.TB) (out []described) {
	t.Helper()
	var list struct{ Shards []described }
	b.call(t, "ListShards", map[string]any{"StreamName": b.name}, &list)
	for _, s := range list.Shards {
		if s.SequenceNumberRange.EndingSequenceNumber == "" {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b described) int {
		return number0(a.HashKeyRange.StartingHashKey).Cmp(number0(b.HashKeyRange.StartingHashKey))
	})
	return out
}

// split makes two of the nth shard that is open.
func (b *broker) split(t testing.TB, n int) {
	t.Helper()
	s := b.open(t)[n]
	middle := new(big.Int).Add(number0(s.HashKeyRange.StartingHashKey), number0(s.HashKeyRange.EndingHashKey))
	b.call(t, "SplitShard", map[string]any{"StreamName": b.name, "ShardToSplit": s.ShardId, "NewStartingHashKey": middle.Rsh(middle, 1).String()}, nil)
	b.active(t, b.name)
}

// merge makes one of the nth shard that is open and the one behind it.
func (b *broker) merge(t testing.TB, n int) {
	t.Helper()
	all := b.open(t)
	b.call(t, "MergeShards", map[string]any{"StreamName": b.name, "ShardToMerge": all[n].ShardId, "AdjacentShardToMerge": all[n+1].ShardId}, nil)
	b.active(t, b.name)
}

const keys = 12

// putRound sends one record of each key, with its number.
func (b *broker) putRound(t testing.TB, n int) {
	t.Helper()
	var rs []triggertest.Record
	for k := range keys {
		rs = append(rs, triggertest.Record{Key: fmt.Sprint("k", k), Body: fmt.Sprintf("k%d-%d", k, n)})
	}
	b.Produce(t, rs...)
}

// order looks whether the events of each key come in order.
type order struct {
	mu    sync.Mutex
	last  map[string]int
	wrong []string
	seen  int
	again int
}

func newOrder() *order { return &order{last: map[string]int{}} }

func (o *order) sees(ev *event.Event) error {
	key, number, _ := strings.Cut(string(ev.Body), "-")
	n, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	last, known := o.last[key]
	if !known {
		last = -1
	}
	switch {
	case n == last+1:
		o.last[key] = n
		o.seen++
	case n <= last:
		o.again++
	default:
		o.wrong = append(o.wrong, fmt.Sprintf("%s after %d of shard %d", ev.Body, last, ev.Token.Shard))
	}
	return nil
}

func (o *order) check(t testing.TB, again bool) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.wrong) > 0 {
		t.Errorf("%d out of order: %v", len(o.wrong), o.wrong[:min(len(o.wrong), 10)])
	}
	if !again && o.again > 0 {
		t.Errorf("%d came twice", o.again)
	}
}

func (o *order) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen
}

// TestReshard: the records of a key are in order over splits and merges, whoever reads
// the shards, and none comes twice.
func TestReshard(t *testing.T) { reshard(t, "") }

// TestFanOutReshard: likewise, with enhanced fan-out.
func TestFanOutReshard(t *testing.T) { reshard(t, "readers") }

func reshard(t *testing.T, consumer string) {
	t.Parallel()
	b := newBroker(t)
	b.consumer = consumer
	b.dealer = dealing.Start(t, time.Minute) // nobody dies
	o := newOrder()
	var all []*running
	for range 2 {
		s := b.settings(t)
		s.Shards = b.dealer.Assigner()
		all = append(all, run(t, b.at(t, s, nil), o.sees))
	}
	round := 0
	rounds := func(n int) {
		for range n {
			b.putRound(t, round)
			round++
		}
	}
	rounds(5)
	for _, change := range []func(){
		func() { b.split(t, 0) }, func() { b.split(t, 3) }, func() { b.merge(t, 0) }, func() { b.merge(t, 1); b.split(t, 0) },
	} {
		change()
		rounds(5)
	}
	eventually(t, fmt.Sprintf("%d events", round*keys), func() bool { return o.count() == round*keys })
	o.check(t, false)
	// What has ended is dealt no more.
	open := len(b.open(t))
	eventually(t, "the shards that are open, and no others", func() bool {
		has := 0
		for _, r := range all {
			has += len(r.Report().Shards)
		}
		return has == open
	})
	rounds(2)
	eventually(t, "all", func() bool { return o.count() == round*keys })
	o.check(t, false)
}

// TestChildrenWait: a child is not read before its parent is read to its end, and that
// is stored: also not by a processor that has nothing of the parent.
func TestChildrenWait(t *testing.T) {
	t.Parallel()
	b := brokerAt(t, pool.Kinesis(t).Addr, 1)
	for i := range 10 {
		b.put(t, "k", []byte(fmt.Sprint(i)))
	}
	b.split(t, 0)
	for i := range 10 {
		b.put(t, "k", []byte(fmt.Sprint(10+i)))
	}
	gate := make(chan struct{})
	open := sync.OnceFunc(func() { close(gate) })
	defer open()
	parent, child := b.settings(t), b.settings(t)
	parent.Shards, child.Shards = only{0}, only{1, 2}
	p := run(t, b.at(t, parent, nil), func(ev *event.Event) error {
		if string(ev.Body) == "9" {
			<-gate
		}
		return nil
	})
	c := run(t, b.at(t, child, nil), nil)
	for range 9 {
		p.next()
	}
	c.shards(2)
	before := b.edge.called("ListShards")
	eventually(t, "the list of shards to be asked for again", func() bool { return b.edge.called("ListShards") > before+3 })
	if n := len(c.events); n > 0 {
		t.Fatalf("%d events of a child came before its parent was done", n)
	}
	open()
	for i := range 10 {
		if ev := c.next(); string(ev.Body) != fmt.Sprint(10+i) {
			t.Errorf("event %s, want %d", ev.Body, 10+i)
		}
	}
}

// TestLatestOverReshard: one that begins with what comes now reads the children of a
// shard from their first record, and what was closed before not at all.
func TestLatestOverReshard(t *testing.T) {
	t.Parallel()
	b := brokerAt(t, pool.Kinesis(t).Addr, 1)
	b.put(t, "k", []byte("old"))
	b.split(t, 0)
	b.put(t, "k", []byte("old too"))
	r := b.alone(t, map[string]any{"iteratorType": "LATEST"}, nil)
	eventually(t, "both children to be read from now on", func() bool { return b.edge.called("GetShardIterator") >= 2 })
	b.put(t, "k", []byte("1"))
	if ev := r.next(); string(ev.Body) != "1" {
		t.Fatalf("event %s", ev.Body)
	}
	r.end()
	b.put(t, "k", []byte("2"))
	b.split(t, 0)
	b.split(t, 1)
	b.split(t, 2)
	b.put(t, "k", []byte("3"))
	r = b.alone(t, map[string]any{"iteratorType": "LATEST"}, nil)
	for _, want := range []string{"2", "3"} {
		if ev := r.next(); string(ev.Body) != want {
			t.Errorf("event %s, want %s", ev.Body, want)
		}
	}
}

// TestKilledOverReshard: a processor that is killed again and again while shards are
// split and merged loses nothing.
func TestKilledOverReshard(t *testing.T) { killedOverReshard(t, "") }

// TestFanOutKilled: likewise, with enhanced fan-out.
func TestFanOutKilled(t *testing.T) { killedOverReshard(t, "readers") }

func killedOverReshard(t *testing.T, consumer string) {
	t.Parallel()
	b := newBroker(t)
	b.consumer = consumer
	const rounds = 40
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range rounds {
			b.putRound(t, i)
			switch i {
			case 5, 10, 30:
				b.split(t, i%3)
			case 20, 35:
				b.merge(t, 1)
			}
		}
	}()
	defer func() { <-done }()
	attributes, err := json.Marshal(b.attributes(map[string]any{"assignment": "all"}))
	must(t, err)
	seen := mortal.Run(t, "http://KEY@"+b.proxy.Addr()+"\n"+string(attributes), 4, 80, rounds*keys)
	if len(seen) != rounds*keys {
		t.Errorf("%d of %d events", len(seen), rounds*keys)
	}
}

// only gives a processor some shards, whatever others there are.
type only []int32

func (o only) Assign(ctx context.Context, _ string, _ float64, all []trigger.Shard, h trigger.Hands) error {
	var wg sync.WaitGroup
	for _, n := range o {
		wg.Add(1)
		h.Take(trigger.Shard{Topic: all[0].Topic, N: n}, 1, func(uint32) { wg.Done() })
	}
	<-ctx.Done()
	for _, n := range o {
		h.Give(trigger.Shard{Topic: all[0].Topic, N: n}, 1, false)
	}
	wg.Wait()
	return nil
}
