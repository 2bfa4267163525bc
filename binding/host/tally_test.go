package host

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding/data"
)

// What is counted of an operation says how often, how long and how it went.
func TestTallies(t *testing.T) {
	var all tallies
	for i := 1; i <= 1000; i++ {
		all.note("kv.get", time.Duration(i)*time.Microsecond, nil)
	}
	all.note("kv.put", 0, data.Away)
	all.note("kv.put", time.Hour, data.Conflict)
	all.note("kv.put", -time.Second, errors.New("broken"))
	got := all.operations()
	if len(got) != 2 || got[0].Name != "kv.get" || got[1].Name != "kv.put" {
		t.Fatalf("%+v", got)
	}
	if g := got[0]; g.Calls != 1000 || g.Failed != 0 || !near(g.Mean, 500.5e-6, 1e-9) || !near(g.P50, 500e-6, 63e-6) || !near(g.P99, 990e-6, 125e-6) {
		t.Errorf("%+v", g)
	}
	if p := got[1]; p.Calls != 3 || p.Failed != 2 {
		t.Errorf("%+v", p)
	}
}

func near(got, want, by float64) bool { return math.Abs(got-want) <= by }

// Each time is counted in a step whose middle is within an eighth of it.
func TestSteps(t *testing.T) {
	for d := time.Duration(perPower); d > 0; d += d/3 + 1 {
		if got := middle(step(d)); !near(got, d.Seconds(), d.Seconds()/8) {
			t.Errorf("%s is counted as %gs", d, got)
		}
	}
}
