//go:build !race

package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/stream"
)

// What the trigger does with a record beyond what the client did costs no
// memory.
func TestNoAllocationsPerRecord(t *testing.T) {
	rs := make([]*kgo.Record, 1000)
	for i := range rs {
		rs[i] = &kgo.Record{Offset: int64(i), Value: make([]byte, 100), Headers: []kgo.RecordHeader{{Key: "A", Value: []byte("b")}}}
	}
	p := &kgo.FetchPartition{Records: rs}
	n := newSession(&Source{}, stream.Want{}, nil, nil, map[string]topicID{})
	n.leases[shard{"in", 0}] = stream.Lease{Topic: "in"}
	topic := &kgo.FetchTopic{Topic: "in"}
	var ev event.Event
	take := func(b stream.Batch) {
		for i := range b.Records.Len() {
			b.Records.At(i)
			b.Records.Read(i, &ev)
			ev.Headers.Get("a")
		}
		b.Records.Release()
	}
	p.Partition = 0
	each := testing.AllocsPerRun(100, func() {
		if err := n.one(topic, p, take); err != nil {
			t.Fatal(err)
		}
	})
	if each > 0 {
		t.Errorf("%v allocations for %d records", each, len(rs))
	}
}
