package dashboard_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/test/servers"
)

const elsewhere = `def handler(context, event):
    return "from elsewhere"
`

// From an empty machine to a function of which a second version has a tenth of
// the traffic, and back, and to a dead letter of one that failed, which the one
// before runs: in a browser alone.
func TestStory(t *testing.T) {
	r := servers.Redis(t)
	c := redis.NewClient(&redis.Options{Addr: r.Addr})
	t.Cleanup(func() { _ = c.Close() })
	m := newMachine(t)
	m.browse("story.mjs", func(what string) {
		switch what {
		case "deploy":
			m.deploy("main.py", elsewhere, false, "--name", "hello-python", "--env", "LEVEL=high")
		case "fail":
			m.deploy("main.py", fmt.Sprintf(orders, r.Addr), false, "--name", "hello-python")
			if err := c.RPush(t.Context(), "jobs", "a bad job").Err(); err != nil {
				t.Error(err)
			}
			m.letters("hello-python", 1)
		default:
			t.Errorf("the browser's script wants %q", what)
		}
	})
}
