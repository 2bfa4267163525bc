package kafka

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// What is committed is not read again; what is not, is.
func TestReadsOnFromTheCheckpoint(t *testing.T) { each(t, readsOn) }

func readsOn(t *testing.T, c *cluster) {
	in := c.topic(t, 2)
	produce(t, c.cl, append(numbered(in, 0, 0, 10), numbered(in, 1, 100, 5)...)...)
	src := c.source(t, in, "")

	first := newDesk(t).sit(src, stream.Want{})
	eventually(t, "15 records", func() bool { return first.count() == 15 })
	if l := first.lease(shard{in, 1}); l.Shards != 2 || l.Epoch == 0 {
		t.Errorf("lease %+v, want 2 shards and an epoch", l)
	}
	if end := first.end(shard{in, 0}); end != 10 {
		t.Errorf("end %d, want 10", end)
	}
	first.leave(true)

	produce(t, c.cl, numbered(in, 0, 10, 3)...)
	second := newDesk(t).sit(src, stream.Want{})
	eventually(t, "3 records", func() bool { return second.count() == 3 })
	if got := second.of(shard{in, 0}); !slices.Equal(got, []string{"10", "11", "12"}) {
		t.Errorf("read on with %q", got)
	}
	ends, err := second.s.(stream.Ender).Ends(context.Background(), []stream.Lease{{Topic: in, Shard: 1}, {Topic: in, Shard: 0}})
	if err != nil || !slices.Equal(ends, []int64{5, 13}) {
		t.Errorf("ends %v, %v", ends, err)
	}
	second.leave(false)

	third := newDesk(t).sit(src, stream.Want{})
	eventually(t, "3 records again", func() bool { return third.count() == 3 })
}

// A record's fields come as they are, whatever bytes they have.
func TestRecordsAreReadInPlace(t *testing.T) {
	at := time.UnixMilli(1772366400123)
	rec := &kgo.Record{Offset: 7, Key: []byte("k\xff"), Value: []byte("v\x00"), Timestamp: at, Headers: []kgo.RecordHeader{
		{Key: "A\xfe", Value: []byte("\xff\x00")}, {Key: "content-TYPE", Value: []byte("text/x")}, {Key: "A\xfe", Value: nil}}}
	b := batchOf(stream.Lease{}, &kgo.FetchPartition{Records: []*kgo.Record{rec}, HighWatermark: 9, LastStableOffset: 8}, true)
	var ev event.Event
	b.Records.Read(0, &ev)
	off, key := b.Records.At(0)
	if off != 7 || string(key) != "k\xff" || string(ev.Body) != "v\x00" || !ev.Time.Equal(at) || string(ev.ContentType) != "text/x" {
		t.Errorf("read %d %q %+v", off, key, ev)
	}
	if v := ev.Header("a\xfe"); !bytes.Equal(v, []byte("\xff\x00")) {
		t.Errorf("header %q", v)
	}
	n := 0
	for k := range ev.Headers.All() {
		if n++; n == 1 && string(k) != "A\xfe" {
			t.Errorf("first header %q", k)
		}
	}
	if n != 3 || b.End != 8 || b.Bytes < 20 {
		t.Errorf("%d headers, end %d, %d bytes", n, b.End, b.Bytes)
	}
}

// Several members share out a topic ten times in a row, under load; what one
// committed when a shard was taken, the other reads on from. Nothing is lost,
// and since the revoke commits all that was taken, nothing comes twice.
func TestTenRebalances(t *testing.T) {
	for _, protocol := range []string{"classic", "consumer"} {
		t.Run(protocol, func(t *testing.T) {
			each(t, func(t *testing.T, c *cluster) { tenRebalances(t, c, protocol) })
		})
	}
}

func tenRebalances(t *testing.T, c *cluster, protocol string) {
	in := c.topic(t, 6)
	src := c.source(t, in, fmt.Sprintf(`, "groupProtocol": %q`, protocol))
	stay := newDesk(t).sit(src, stream.Want{})
	var desks []*desk
	sent := 0
	load := func() {
		for p := range int32(6) {
			produce(t, c.cl, numbered(in, p, sent, 20)...)
		}
		sent += 20
	}
	load()
	for range 5 { // a member comes, and goes: two rebalances
		d := newDesk(t).sit(src, stream.Want{})
		desks = append(desks, d)
		eventually(t, "a share of the topic", func() bool { load(); return d.shards() == 3 && stay.shards() == 3 })
		load()
		d.leave(true)
		eventually(t, "the whole topic", func() bool { load(); return stay.shards() == 6 })
	}
	all := append(desks, stay)
	eventually(t, "all records", func() bool { return total(all) >= 6*sent })
	for p := range int32(6) {
		seen := map[string]int{}
		for _, d := range all {
			for _, v := range d.of(shard{in, p}) {
				seen[v]++
			}
		}
		for i := range sent {
			if n := seen[fmt.Sprint(i)]; n != 1 {
				t.Errorf("shard %d, record %d was read %d times", p, i, n)
			}
		}
	}
}

func total(ds []*desk) int {
	n := 0
	for _, d := range ds {
		n += d.count()
	}
	return n
}

// A checkpoint under a lease that is over is left out, and no error.
func TestOldLeaseDoesNotCommit(t *testing.T) { each(t, oldLease) }

func oldLease(t *testing.T, c *cluster) {
	in := c.topic(t, 1)
	produce(t, c.cl, numbered(in, 0, 0, 10)...)
	d := newDesk(t).sit(c.source(t, in, ""), stream.Want{})
	eventually(t, "10 records", func() bool { return d.count() == 10 })
	p := d.all()[0]
	if err := d.s.Commit(context.Background(), []trigger.Position{p}); err != nil {
		t.Fatal(err)
	}
	old := p
	old.Epoch, old.Next = p.Epoch-1, 3
	if err := d.s.Commit(context.Background(), []trigger.Position{old}); err != nil {
		t.Errorf("an old lease: %v, want nil", err)
	}
	if at := c.committed(t, in, 0); at != 10 {
		t.Errorf("checkpoint %d, want 10", at)
	}
}

// A member that was away longer than its session commits nothing, even before
// it has heard of it.
func TestForgottenMemberDoesNotCommit(t *testing.T) { each(t, forgotten) }

func forgotten(t *testing.T, c *cluster) {
	in := c.topic(t, 1)
	produce(t, c.cl, numbered(in, 0, 0, 10)...)
	src := c.source(t, in, "")
	d := newDesk(t).sit(src, stream.Want{})
	eventually(t, "10 records", func() bool { return d.count() == 10 })
	n := d.s.(*session)
	ps := d.all()
	if err := n.commit(context.Background(), "somebody else", 1, ps); !gone(err) {
		t.Errorf("an unknown member commits: %v", err)
	}
	member, generation := n.cl.GroupMetadata()
	if err := n.commit(context.Background(), member, generation-1, ps); !shifting(err) {
		t.Errorf("an old generation commits: %v", err)
	}
	if at := c.committed(t, in, 0); at != -1 {
		t.Errorf("checkpoint %d, want none", at)
	}
}

// A seek moves the shards, once, and stores the place.
func TestSeek(t *testing.T) { each(t, seeks) }

func seeks(t *testing.T, c *cluster) {
	in := c.topic(t, 1)
	rs := numbered(in, 0, 0, 10)
	for i, r := range rs {
		r.Timestamp = time.UnixMilli(int64(1000 * (i + 1)))
	}
	produce(t, c.cl, rs...)
	src := c.source(t, in, "")
	d := newDesk(t).sit(src, stream.Want{})
	eventually(t, "10 records", func() bool { return d.count() == 10 })
	d.leave(true)

	for _, tc := range []struct {
		at    trigger.Start
		first string
		left  int
	}{
		{trigger.Start{Where: trigger.Earliest}, "0", 10},
		{trigger.Start{Where: trigger.AtOffset, Offset: 4}, "4", 6},
		{trigger.Start{Where: trigger.AtTime, Time: time.UnixMilli(7500)}, "7", 3},
		{trigger.Start{Where: trigger.AtOffset, Offset: 400}, "", 0},
		{trigger.Start{Where: trigger.Latest}, "", 0},
	} {
		d := newDesk(t).sit(src, stream.Want{Seek: true, Start: tc.at})
		eventually(t, "the new checkpoint", func() bool { return c.committed(t, in, 0) == int64(10-tc.left) })
		eventually(t, "the records", func() bool { return d.count() == tc.left })
		if tc.left > 0 && d.of(shard{in, 0})[0] != tc.first {
			t.Errorf("%+v: began with %s", tc.at, d.of(shard{in, 0})[0])
		}
		d.leave(false)
	}
}
