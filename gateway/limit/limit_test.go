package limit

import (
	"strconv"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/route"
)

func TestBuckets(t *testing.T) {
	l := New(route.RateLimit{Rate: 10, Burst: 3, PerClient: 1, ClientBurst: 2})
	now := time.Unix(1000, 0)
	take := func(client string, want bool) time.Duration {
		t.Helper()
		wait, ok := l.Take(client, now)
		if ok != want {
			t.Errorf("%s: %v, want %v", client, ok, want)
		}
		return wait
	}
	take("a", true)
	take("a", true)
	if wait := take("a", false); wait < 900*time.Millisecond || wait > 1100*time.Millisecond {
		t.Errorf("a shall wait %v", wait)
	}
	take("b", true) // the last for all
	if wait := take("c", false); wait < 90*time.Millisecond || wait > 110*time.Millisecond {
		t.Errorf("c shall wait %v", wait)
	}
	now = now.Add(100 * time.Millisecond)
	take("c", true)
	now = now.Add(time.Hour)
	take("a", true)
	take("a", true)
	take("a", false)
	now = now.Add(-time.Minute) // a clock that is set back gives nothing away
	take("a", false)
}

func TestManyClientsAreBounded(t *testing.T) {
	l := New(route.RateLimit{PerClient: 0.001})
	now := time.Unix(1000, 0)
	for i := range mostClients + 10 {
		if _, ok := l.Take(strconv.Itoa(i), now); !ok {
			t.Fatal("a new client was refused")
		}
	}
	if n := len(l.clients); n > mostClients {
		t.Errorf("%d clients are remembered", n)
	}
}
