package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/function"
)

// Who only asks knows how much waits, takes none of it, and does not take what
// transactions leave behind for records.
func TestWatch(t *testing.T) {
	each(t, func(t *testing.T, c *cluster) {
		topic := c.topic(t, 2)
		src := c.source(t, topic, "")
		w, err := src.Watch()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		waits := func(n int64) {
			t.Helper()
			eventually(t, fmt.Sprint(n, " records"), func() bool {
				got, err := w.Waiting(t.Context())
				return err == nil && got == n
			})
		}
		done := func(shard int32, next int64) {
			t.Helper()
			at := kadm.Offsets{}
			at.AddOffset(topic, shard, next, -1)
			eventually(t, "the checkpoint", func() bool {
				return kadm.NewClient(c.cl).CommitAllOffsets(t.Context(), src.cfg.ConsumerGroup, at) == nil
			})
		}
		waits(0)
		produce(t, c.cl, numbered(topic, 0, 0, 3)...)
		produce(t, c.cl, numbered(topic, 1, 3, 2)...)
		waits(5)
		done(0, 2)
		waits(3)
		done(0, 3)
		done(1, 2)
		waits(0)

		transact(t, c.brokers, kgo.TryCommit, numbered(topic, 0, 5, 1)...)
		waits(2) // the record and its mark
		done(0, 4)
		waits(0)
		transact(t, c.brokers, kgo.TryAbort, numbered(topic, 1, 6, 4)...)
		waits(0)
		w.Close()
		produce(t, c.cl, numbered(topic, 0, 10, 1)...)
		waits(2)
	})
}

// transact produces in a transaction of its own.
func transact(t *testing.T, brokers []string, end kgo.TransactionEndTry, rs ...*kgo.Record) {
	t.Helper()
	cl := client(t, brokers, kgo.TransactionalID(name("txn")), kgo.TransactionTimeout(time.Minute))
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, cl, rs...)
	if err := cl.EndTransaction(t.Context(), end); err != nil {
		t.Fatal(err)
	}
}

// A pattern stands for the topics that fit it now.
func TestWatchPattern(t *testing.T) {
	addrs := fake(t).ListenAddrs()
	cl := client(t, addrs)
	src := source(t, addrs, `{"topics": ["^orders-"], "consumerGroup": "g"}`)
	w, err := src.Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if n, err := w.Waiting(t.Context()); n != 0 || err != nil {
		t.Errorf("%d wait, %v", n, err)
	}
	makeTopic(t, cl, "orders-eu", 1)
	makeTopic(t, cl, "letters", 1)
	produce(t, cl, numbered("orders-eu", 0, 0, 2)...)
	produce(t, cl, numbered("letters", 0, 0, 2)...)
	eventually(t, "what waits", func() bool {
		n, err := w.Waiting(t.Context())
		return n == 2 && err == nil
	})
}

// Groups that do not begin at the start miss what comes while nobody is there.
func TestWatchNeedsABeginning(t *testing.T) {
	for at, ok := range map[string]bool{"": true, "earliest": true, "latest": false, "12": false, "2026-03-01T12:00:00Z": false} {
		src := source(t, []string{"127.0.0.1:1"}, `{"topics": ["a"]}`, func(s *function.Trigger) { s.StartAt = at })
		if _, err := src.Watch(); (err == nil) != ok {
			t.Errorf("startAt %q: %v", at, err)
		}
	}
	src := source(t, []string{"127.0.0.1:1"}, `{"topics": ["a"], "initialOffset": "latest"}`)
	if _, err := src.Watch(); err == nil {
		t.Error("initialOffset latest is watched")
	}
}
