package meter

import (
	"strings"
	"testing"
	"time"
)

func TestBuckets(t *testing.T) {
	for i := range Buckets - 1 {
		if i > 0 && Bound(i) <= Bound(i-1) {
			t.Errorf("bucket %d ends at %v, the one before at %v", i, Bound(i), Bound(i-1))
		}
		if got := bucketOf(Bound(i) - time.Microsecond); got != i {
			t.Errorf("just below %v is in bucket %d, not %d", Bound(i), got, i)
		}
		if got := bucketOf(Bound(i)); got != i+1 {
			t.Errorf("%v is in bucket %d, not %d", Bound(i), got, i+1)
		}
	}
	if bucketOf(-1) != 0 || bucketOf(1<<62) != Buckets-1 {
		t.Error("the ends are not kept")
	}
}

func TestSamples(t *testing.T) {
	var m Meters
	a, b := Key{Namespace: "default", Function: "f", Version: "1"}, Key{Route: "r", Namespace: "default", Function: "f", Version: "2"}
	for range 99 {
		m.Count(a, 200, false, time.Millisecond)
	}
	m.Count(a, 502, true, time.Second)
	before := m.Snapshot()[0]
	if before.Requests != 100 || before.Errors != 1 || before.Own != 1 || before.P50 < 1000 || before.P50 > 1300 || before.P99 < 1_000_000 || before.P99 > 1_300_000 {
		t.Errorf("%+v", before)
	}
	m.Count(a, 499, false, 20*time.Millisecond)
	m.Count(b, 404, false, 0)
	all := m.Snapshot()
	if len(all) != 2 || all[1].Key != b || all[1].Classes[4] != 1 {
		t.Fatalf("%+v", all)
	}
	if d := all[0].Since(before); d.Requests != 1 || d.Classes[0] != 1 || d.Errors != 0 || d.P99 < 20_000 || d.P99 > 26_000 {
		t.Errorf("since: %+v", d)
	}
	if d := before.Since(all[0]); d.Requests != 100 {
		t.Errorf("of a gateway that began anew: %+v", d)
	}
	if p := all[0].Plus(all[1]); p.Requests != 102 {
		t.Errorf("both: %+v", p)
	}
	var text strings.Builder
	if err := m.WritePrometheus(&text); err != nil || !strings.Contains(text.String(), `myelin_gateway_requests_total{route="r",namespace="default",function="f",version="2",alias="",status="4xx"} 1`) ||
		!strings.Contains(text.String(), `myelin_gateway_request_seconds_count{route="",namespace="default",function="f",version="1",alias=""} 101`) {
		t.Errorf("%s, %v", text.String(), err)
	}
	m.Keep(func(k Key) bool { return k == a })
	if left := m.Snapshot(); len(left) != 1 {
		t.Errorf("left: %+v", left)
	}
}
