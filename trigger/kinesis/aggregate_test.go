package kinesis

import (
	"bytes"
	"crypto/md5" //nolint:gosec // what the format has
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/myelin-run/myelin/event"
)

// joined puts records in one, as Amazon's producer library does.
func joined(us ...user) []byte {
	var b []byte
	for _, u := range us {
		b = protowire.AppendString(protowire.AppendTag(b, fieldKey, protowire.BytesType), u.key)
	}
	for i, u := range us {
		r := protowire.AppendVarint(protowire.AppendTag(nil, fieldKeyIndex, protowire.VarintType), uint64(i))
		r = protowire.AppendBytes(protowire.AppendTag(r, fieldData, protowire.BytesType), u.data)
		b = protowire.AppendBytes(protowire.AppendTag(b, fieldRecord, protowire.BytesType), r)
	}
	sum := md5.Sum(b) //nolint:gosec // what the format has
	return append(append(bytes.Clone(aggregated), b...), sum[:]...)
}

// TestAggregate: records that are in one are events of their own, in order, and a
// checkpoint among them is gone on from.
func TestAggregate(t *testing.T) {
	t.Parallel()
	b := brokerAt(t, pool.Kinesis(t).Addr, 1)
	var us []user
	for i := range 5 {
		us = append(us, user{fmt.Sprint("k", i%2), fmt.Append(nil, i)})
	}
	_, sequence := b.put(t, "any", joined(us...))
	_, last := b.put(t, "k", []byte("5"))
	gate := make(chan struct{})
	r := b.alone(t, nil, func(ev *event.Event) error {
		if string(ev.Body) == "3" {
			<-gate
		}
		return nil
	})
	for i := range 3 {
		ev := r.next()
		if string(ev.Body) != fmt.Sprint(i) || string(ev.Key) != fmt.Sprint("k", i%2) || string(ev.ID) != fmt.Sprintf("%s:%s:%d", idOf(0), sequence, i) {
			t.Errorf("event %s with the key %s and the id %s", ev.Body, ev.Key, ev.ID)
		}
	}
	b.wants(t, 0, fmt.Sprintf("within %s 2", sequence))
	r.stop()
	close(gate)
	r.end()
	seen := len(r.events)
	r = b.alone(t, nil, nil)
	for i := 3 + seen; i < 6; i++ {
		if ev := r.next(); string(ev.Body) != fmt.Sprint(i) || ev.Token.Offset != int64(i) {
			t.Errorf("event %s with the offset %d, want %d", ev.Body, ev.Token.Offset, i)
		}
	}
	b.wants(t, 0, "after "+last)
}

func FuzzAggregate(f *testing.F) {
	f.Add(joined(user{"a", []byte("x")}, user{"b", nil}))
	f.Add(joined())
	f.Add([]byte("plain"))
	f.Add(aggregated)
	f.Fuzz(func(t *testing.T, data []byte) {
		r := record{PartitionKey: "own", Data: data}
		us := r.parts()
		if len(us) == 0 {
			t.Fatal("a record is nothing")
		}
		if len(us) == 1 && us[0].key == "own" && !bytes.Equal(us[0].data, data) {
			t.Fatal("what is no aggregate was changed")
		}
		_, _ = aggregate(data) // also where the digest is wrong
	})
}
