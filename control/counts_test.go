package control

import (
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/gateway/meter"
	"github.com/myelin-run/myelin/platform"
)

// What came since a mark is counted by version, over gateways and processors
// that went on, that began anew, and that are new.
func TestCountsSinceAMark(t *testing.T) {
	count := func(m *meter.Meters, route, version string, good, bad, gone int) {
		k := meter.Key{Route: route, Namespace: "default", Function: "f", Version: version, Alias: "prod"}
		for range good {
			m.Count(k, 200, false, time.Millisecond)
		}
		for range bad {
			m.Count(k, 502, true, time.Millisecond)
		}
		for range gone {
			m.Count(k, 499, false, time.Millisecond)
		}
	}
	var stays, comes meter.Meters
	count(&stays, "", "1", 100, 10, 0)
	count(&stays, "", "2", 50, 50, 0)
	before := reading{
		Gateways:   map[int][]meter.Sample{1: stays.Snapshot(), 2: stays.Snapshot()}, // 2 ends
		Processors: map[string]runs{"a": {"2", 10, 10}, "b": {"1", 5, 0}},
	}
	count(&stays, "", "1", 7, 1, 3)
	count(&stays, "r", "2", 5, 0, 0)
	count(&comes, "", "2", 1, 2, 0)
	count(&comes, "", "3", 1, 2, 0)
	now := reading{
		Gateways:   map[int][]meter.Sample{1: stays.Snapshot(), 3: comes.Snapshot()},
		Processors: map[string]runs{"a": {"2", 14, 11}, "c": {"2", 2, 2}, "d": {"$latest", 9, 9}},
	}
	if got := now.since(before, []int{2}); got != (function.RolloutFigures{Requests: 8, Errors: 2, P99: got.P99, Events: 6, EventErrors: 3}) || got.P99 < 1000 || got.P99 > 1300 {
		t.Errorf("of version 2: %+v", got)
	}
	if got := now.since(before, []int{1}); got != (function.RolloutFigures{Requests: 8, Errors: 1, P99: got.P99}) {
		t.Errorf("of version 1: %+v", got)
	}
	if got := now.since(before, []int{1, 0, 7}); got.Events != 9 || got.Requests != 8 {
		t.Errorf("of several: %+v", got)
	}
}

// The events of a processor are those of the triggers that follow the alias.
func TestEventsOfAProcessor(t *testing.T) {
	text := `# TYPE myelin_events_total counter
myelin_events_total{function="f",kind="nats",outcome="ok",trigger="in"} 7
myelin_events_total{function="f",kind="nats",outcome="error",trigger="in"} 2
myelin_events_total{function="f",kind="nats",outcome="timeout",trigger="in"} 1
myelin_events_total{function="f",kind="nats",outcome="busy",trigger="in"} 50
myelin_events_total{function="f",kind="http",outcome="ok",trigger="default-http"} 1000
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.5e+09
`
	who, got, err := eventsOf(platform.Reply{Replica: "r1", Status: 200, Body: []byte(text)}, map[string]bool{"in": true})
	if err != nil || who != "r1 1.5e+09" || got != (runs{Events: 10, Errors: 3}) {
		t.Errorf("%q, %+v, %v", who, got, err)
	}
	if _, _, err := eventsOf(platform.Reply{Body: []byte("myelin_events_total{")}, nil); err == nil {
		t.Error("what is no metrics is read")
	}
}
