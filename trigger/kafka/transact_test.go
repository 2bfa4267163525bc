package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

func exactly(s *function.Trigger) { s.Guarantee = "exactlyOnce" }

var inTransactions = stream.Want{Transactions: true}

// answers are one output for each record.
func answers(topic string, values ...string) []stream.Output {
	outs := make([]stream.Output, len(values))
	for i, v := range values {
		outs[i] = stream.Output{Topic: topic, Key: []byte(v), Body: []byte("did " + v), ContentType: "text/plain",
			Headers: []event.Field{{Key: "X", Value: v}}}
	}
	return outs
}

// outcome reads all that is committed in a topic up to its end.
func outcome(t *testing.T, c *cluster, topic string) []string {
	t.Helper()
	cl := client(t, c.brokers, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	mark := name("end")
	produce(t, c.cl, &kgo.Record{Topic: topic, Value: []byte(mark)})
	var got []string
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for ctx.Err() == nil {
		fs := cl.PollFetches(ctx)
		for r := range fs.RecordsAll() {
			if string(r.Value) == mark {
				return got
			}
			if !strings.HasPrefix(string(r.Value), "end-") {
				got = append(got, string(r.Value))
			}
		}
	}
	t.Fatal("the end of the topic did not come")
	return nil
}

// Answers and checkpoint are there together, or neither is.
func TestTransact(t *testing.T) { each(t, transacts) }

func transacts(t *testing.T, c *cluster) {
	in, out := c.topic(t, 1), c.topic(t, 1)
	produce(t, c.cl, numbered(in, 0, 0, 4)...)
	d := newDesk(t).sit(c.source(t, in, "", exactly), inTransactions)
	eventually(t, "4 records", func() bool { return d.count() == 4 })
	tx, ctx := d.s.(stream.Transactor), context.Background()

	ps := d.all()
	ps[0].Next = 2
	if err := tx.Transact(ctx, answers(out, "0", "1"), ps); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the checkpoint 2", func() bool { return c.committed(t, in, 0) == 2 })
	ps[0].Next = 3 // an event without an answer
	if err := tx.Transact(ctx, nil, ps); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the checkpoint 3", func() bool { return c.committed(t, in, 0) == 3 })
	stale := slices.Clone(ps)
	stale[0].Epoch--
	if err := tx.Transact(ctx, answers(out, "stale"), stale); err == nil {
		t.Error("an old lease transacts")
	}
	ps[0].Next = 4
	if err := tx.Transact(ctx, answers("no-such-topic", "3"), ps); err == nil {
		t.Error("answers go to a topic that is not there")
	}
	if at := c.committed(t, in, 0); at != 3 {
		t.Errorf("checkpoint %d after transactions that failed, want 3", at)
	}
	if got := outcome(t, c, out); !slices.Equal(got, []string{"did 0", "did 1"}) {
		t.Errorf("answers %q", got)
	}
}

// A processor that the group forgot while it ran cannot send what it did, nor
// can one whose generation is over; the next one does it instead, once.
func TestZombieIsFenced(t *testing.T) { each(t, zombie) }

func zombie(t *testing.T, c *cluster) {
	in, out := c.topic(t, 1), c.topic(t, 1)
	produce(t, c.cl, numbered(in, 0, 0, 1)...)
	src := c.source(t, in, `, "transactionTimeout": "5s"`, exactly)
	old := newDesk(t)
	old.commits = false
	old.sit(src, inTransactions)
	eventually(t, "the record", func() bool { return old.count() == 1 })
	ps := old.all()
	n := old.s.(*session)
	member, generation := n.cl.GroupMetadata()
	ctx := context.Background()

	n.cl.CloseAllowingRebalance() // the group goes on without it; its transactions' client lives
	fresh := newDesk(t).sit(src, inTransactions)
	eventually(t, "the successor to have the shard", func() bool { return fresh.count() == 1 })
	if err := n.transact(ctx, member, generation, answers(out, "zombie"), ps); err == nil {
		t.Fatal("a zombie transacts")
	}
	if err := fresh.s.(stream.Transactor).Transact(ctx, answers(out, "0"), fresh.all()); err != nil {
		t.Fatal(err)
	}
	if got := outcome(t, c, out); !slices.Equal(got, []string{"did 0"}) {
		t.Errorf("answers %q", got)
	}
}

// A transaction that its processor left open by dying holds up its successor
// for transactionTimeout, and is then as if it had not been.
func TestOpenTransactionOfTheDeadIsAborted(t *testing.T) { each(t, orphaned) }

func orphaned(t *testing.T, c *cluster) {
	in, out := c.topic(t, 1), c.topic(t, 1)
	produce(t, c.cl, numbered(in, 0, 0, 1)...)
	src := c.source(t, in, `, "transactionTimeout": "2s"`, exactly)
	old := newDesk(t)
	old.commits = false
	old.sit(src, inTransactions)
	eventually(t, "the record", func() bool { return old.count() == 1 })
	n := old.s.(*session)
	member, generation := n.cl.GroupMetadata()
	if err := n.side.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := n.fill(context.Background(), member, generation, answers(out, "orphan"), old.all()); err != nil {
		t.Fatal(err)
	}
	n.side.Close() // and no more is heard of it
	n.cl.CloseAllowingRebalance()

	fresh := newDesk(t).sit(src, inTransactions)
	eventually(t, "the record again", func() bool { return fresh.count() == 1 })
	if err := fresh.s.(stream.Transactor).Transact(context.Background(), answers(out, "0"), fresh.all()); err != nil {
		t.Fatal(err)
	}
	if got := outcome(t, c, out); !slices.Equal(got, []string{"did 0"}) {
		t.Errorf("answers %q", got)
	}
}

// Members come and go while answers are sent in transactions; each record has
// one answer.
func TestTransactionsThroughRebalances(t *testing.T) { each(t, churning) }

func churning(t *testing.T, c *cluster) {
	in, out := c.topic(t, 4), c.topic(t, 1)
	src := c.source(t, in, "", exactly)
	const first, more = 300, 30
	for p := range int32(4) {
		produce(t, c.cl, numbered(in, p, 1000*int(p), first)...)
	}
	stay := newTeller(t, src, out)
	for i := range 3 {
		guest := newTeller(t, src, out)
		eventually(t, "a share", func() bool { return guest.shards() == 2 && stay.shards() == 2 })
		guest.leave(false)
		eventually(t, "all", func() bool { return stay.shards() == 4 })
		for p := range int32(4) {
			produce(t, c.cl, numbered(in, p, 1000*int(p)+first+more*i, more)...)
		}
	}
	want := 4 * (first + 3*more)
	eventually(t, "all checkpoints", func() bool {
		sum := int64(0)
		for p := range int32(4) {
			sum += max(c.committed(t, in, p), 0)
		}
		return sum == int64(want)
	})
	seen := map[string]int{}
	for _, v := range outcome(t, c, out) {
		seen[v]++
	}
	for v, n := range seen {
		if n != 1 {
			t.Errorf("%s: %d answers", v, n)
		}
	}
	if len(seen) != want {
		t.Errorf("%d records have answers, want %d", len(seen), want)
	}
}

// newTeller is a desk that answers each record, in transactions of what it has
// taken since the last.
func newTeller(t *testing.T, src *Source, out string) *desk {
	d := newDesk(t)
	d.commits, d.tell = false, out
	return d.sit(src, inTransactions)
}

// What ends a transaction is passed: it is no event, and nothing seems to wait
// behind the last one.
func TestMarksArePassed(t *testing.T) {
	each(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 2)
		transact(t, c.brokers, kgo.TryCommit, numbered(topic, 0, 0, 3)...)
		transact(t, c.brokers, kgo.TryAbort, numbered(topic, 1, 3, 2)...)
		s := trigger.Settings{Name: "t", Workers: 2, Spec: function.Trigger{Delivery: function.Delivery{CheckpointInterval: quantity.Duration(20 * time.Millisecond)}}}
		trg, err := Factory().New(s, json.RawMessage(fmt.Sprintf(`{"brokers": [%q], "topics": [%q], "consumerGroup": %q,
			"sessionTimeout": "6s", "heartbeatInterval": "100ms"}`, c.brokers[0], topic, "group-"+topic)))
		if err != nil {
			t.Fatal(err)
		}
		var runs atomic.Int64
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- trg.Run(ctx, trigger.HandlerFunc(func(context.Context, *event.Event, *event.Response) error { runs.Add(1); return nil }))
		}()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		eventually(t, "the checkpoints behind the marks", func() bool {
			at, err := kadm.NewClient(c.cl).FetchOffsets(t.Context(), "group-"+topic) // there is no group at first
			a, _ := at.Lookup(topic, 0)
			b, _ := at.Lookup(topic, 1)
			return err == nil && a.At == 4 && b.At == 3
		})
		eventually(t, "a lag of nothing", func() bool { return trg.(trigger.Reporter).Report().Lag == 0 })
		if n := runs.Load(); n != 3 {
			t.Errorf("%d runs, want 3", n)
		}
	})
}
