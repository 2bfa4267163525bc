package runtime

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/event"
)

// What a function says of an event is what the processor reads.
func TestSettlementRoundTrip(t *testing.T) {
	for _, s := range []Settlement{
		{Trigger: "in", Topic: "orders", Shard: 3, Offset: 1 << 40},
		{Offset: -1, Err: errors.New("no")},
		{Trigger: "in", Err: event.Permanent(errors.New("never"))},
	} {
		got, err := SettlementOf(s.Call())
		if err != nil || got.Trigger != s.Trigger || got.Topic != s.Topic || got.Shard != s.Shard || got.Offset != s.Offset ||
			(got.Err == nil) != (s.Err == nil) || event.IsPermanent(got.Err) != event.IsPermanent(s.Err) {
			t.Errorf("%+v became %+v, %v", s, got, err)
		}
		if s.Err != nil && got.Err.Error() != s.Err.Error() {
			t.Errorf("%v became %v", s.Err, got.Err)
		}
	}
}

// A worker may write anything: it gets an error, or a failure that is bounded.
func TestSettlementsOfAnybody(t *testing.T) {
	at := func(shard, offset string) []event.Field {
		return []event.Field{{Key: "shard", Value: shard}, {Key: "offset", Value: offset}}
	}
	for _, c := range []Call{
		{Method: "ack"}, {Method: "ack", Headers: at("", "1")}, {Method: "ack", Headers: at("1", "")}, {Method: "ack", Headers: at("99999999999", "1")},
		{Method: "ack", Headers: at("1", "1e3")}, {Method: "ack", Headers: at("1", "99999999999999999999")}, {Method: "", Headers: at("1", "1")},
		{Method: "ACK", Headers: at("1", "1")}, {Method: "drop\r\n", Headers: at("1", "1")},
	} {
		_, err := SettlementOf(&c)
		if e := (*event.Error)(nil); !errors.As(err, &e) || e.Status != 400 {
			t.Errorf("%+v: %v", c, err)
		}
	}
	s, err := SettlementOf(&Call{Method: "nack", Headers: at("0", "0"), Body: []byte(strings.Repeat("x", 1<<20))})
	if err != nil || len(s.Err.Error()) != maxReason {
		t.Errorf("%v", err)
	}
	if s, err = SettlementOf(&Call{Method: "reject", Headers: at("0", "0")}); err != nil || s.Err == nil || !event.IsPermanent(s.Err) {
		t.Errorf("without a reason: %+v, %v", s, err)
	}
	if !reflect.DeepEqual(Settlement{}.Call().Headers, at("0", "0")) {
		t.Error("the zero place")
	}
}
