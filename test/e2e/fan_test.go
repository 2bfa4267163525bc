package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/test/servers"
)

const counts = `
import collections, threading
seen, lock = collections.Counter(), threading.Lock()

def handler(context, event):
    kind = event.trigger.kind
    if kind == "http":
        return dict(seen)
    body = event.body.decode()
    if body.startswith("bad"):
        raise ValueError("cannot read " + body)
    with lock:
        seen[kind + " " + body] += 1
`

func (p *plane) myelin(args ...string) string {
	p.Helper()
	out, err := exec.Command(bin(p, "myelin"), append(args, "--api", p.api)...).CombinedOutput()
	if err != nil {
		p.Logf("myelin %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

// seen asks a function what it has seen, by kind and body.
func (p *plane) seen(name string) map[string]int {
	p.Helper()
	m := map[string]int{}
	_, text := p.ask(name, "")
	_ = json.Unmarshal([]byte(text), &m)
	return m
}

// Two sources feed one function by one pool of workers; one source feeds two
// functions, each of which has its own place in it; what cannot be done is
// a letter, which is redriven.
func TestFanInAndOut(t *testing.T) {
	store, broker := servers.Redis(t), servers.NATS(t)
	db := redis.NewClient(&redis.Options{Addr: store.Addr})
	defer db.Close()
	nc, err := nats.Connect("nats://" + broker.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	p := newPlane(t)
	orders := fmt.Sprintf(`{"kind":"redis","url":"redis://%s","workerAllocatorName":"all","startAt":"earliest","retry":{"attempts":2,"backoff":{"initial":"10ms"}},
		"attributes":{"streams":["orders"],"makeStreams":true,"bodyField":"body"}}`, store.Addr)
	web := `"web":{"kind":"http","numWorkers":1,"workerAllocatorName":"all"}`
	send := func(from, to int) {
		for i := from; i < to; i++ {
			if err := db.XAdd(context.Background(), &redis.XAddArgs{Stream: "orders", Values: []any{"body", strconv.Itoa(i)}}).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.run("ship", "ship.py", counts, fmt.Sprintf(`--triggers={%s,"orders":%s,"calls":{"kind":"nats","url":"nats://%s","workerAllocatorName":"all","attributes":{"topic":"ship.>"}}}`, web, orders, broker.Addr))
	send(0, 50)
	p.until("ship to have the first orders", func() bool { return len(p.seen("ship")) == 50 })
	p.run("audit", "audit.py", counts, fmt.Sprintf(`--triggers={%s,"orders":%s}`, web, orders))
	send(50, 100)
	for i := range 20 {
		if _, err := nc.Request("ship.now", fmt.Appendf(nil, "%d", i), nats.DefaultTimeout*10); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	for name, want := range map[string]int{"ship": 120, "audit": 100} {
		p.until(name+" to have all", func() bool { return len(p.seen(name)) == want })
		for what, n := range p.seen(name) {
			if n != 1 {
				t.Errorf("%s saw %q %d times", name, what, n)
			}
		}
	}

	if err := db.XAdd(context.Background(), &redis.XAddArgs{Stream: "orders", Values: []any{"body", "bad"}}).Err(); err != nil {
		t.Fatal(err)
	}
	send(100, 110)
	for _, name := range []string{"ship", "audit"} {
		p.until("what follows a poison event, in "+name, func() bool { return p.seen(name)["redis 109"] == 1 })
		p.until("the letter of "+name, func() bool { return strings.Contains(p.myelin("letters", "list", name), "cannot read bad") })
	}
	if out := p.myelin("triggers", "list", "ship"); !strings.Contains(out, "running") || !strings.Contains(out, "nats") {
		t.Errorf("triggers of ship:\n%s", out)
	}
	// The function is mended, and the letter is run again.
	p.run("audit", "audit.py", strings.Replace(counts, `startswith("bad")`, `startswith("worse")`, 1), fmt.Sprintf(`--triggers={%s,"orders":%s}`, web, orders))
	if out := p.myelin("letters", "redrive", "audit", "--all"); !strings.Contains(out, "1 of 1 done") {
		t.Errorf("redrive: %s", out)
	}
	p.until("the redriven event to have run once", func() bool { return p.seen("audit")["redis bad"] == 1 })
	if out := p.myelin("letters", "redrive", "ship", "--all"); !strings.Contains(out, "0 of 1 done") {
		t.Errorf("redrive of what still fails: %s", out)
	}
}
