package dashboard_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/test/servers"
)

// The event of a dead letter is tried on two versions, whose answers are seen side
// by side; it is saved, and there when the page is opened again.
func TestReplay(t *testing.T) {
	r := servers.Redis(t)
	c := redis.NewClient(&redis.Options{Addr: r.Addr})
	t.Cleanup(func() { _ = c.Close() })
	m := newMachine(t)
	broken := fmt.Sprintf(orders, r.Addr)
	m.deploy("orders.py", broken, false)
	if err := c.RPush(t.Context(), "jobs", "bad <b>\u202eone</b>").Err(); err != nil {
		t.Fatal(err)
	}
	m.cli("publish", "orders")
	m.cli("alias", "set", "orders", "prod=1")
	m.deploy("orders.py", strings.Replace(broken, `b"bad" in`, `b"worse" in`, 1), false)
	m.browse("replay.mjs", func(what string) { t.Errorf("the browser's script wants %q", what) })
}
