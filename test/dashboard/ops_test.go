package dashboard_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/test/servers"
)

// orders fails for good with every element that says bad, in words that do harm
// where they are not shown as text.
const orders = `# @nuclio.configure
#
# function.yaml:
#   spec:
#     triggers:
#       jobs: {kind: redisList, url: "redis://%s", numWorkers: 1, retry: {attempts: 1}, attributes: {lists: [jobs]}}
def handler(context, event):
    if b"bad" in event.body:
        raise ValueError("<img src=x onerror='window.hacked=1'> \x1b[31mred\x1b[0m \u202eevil")
    return "done"
`

const repairs = `
def handler(context, event):
    return "repaired"
`

// visits reads shards that the dealer deals to its processors.
const visits = `# @nuclio.configure
#
# function.yaml:
#   spec:
#     replicas: %d
#     triggers:
#       in: {kind: redis, url: "redis://%s", attributes: {streams: [visits], shards: 12, bodyField: data}}
def handler(context, event):
    return "seen"
`

// Dead letters are listed, looked at, run again and removed, and shards are seen
// to move.
func TestLettersAndDealer(t *testing.T) {
	r := servers.Redis(t)
	c := redis.NewClient(&redis.Options{Addr: r.Addr})
	t.Cleanup(func() { _ = c.Close() })
	m := newMachine(t)
	m.deploy("orders.py", fmt.Sprintf(orders, r.Addr), false)
	m.deploy("repairs.py", repairs, false)
	m.deploy("visits.py", fmt.Sprintf(visits, 2, r.Addr), false)
	err := c.RPush(t.Context(), "jobs", `{"bad": "<script>window.hacked=1</script> \u202e"}`, "bad one", "bad \xff\xfe bytes", "bad two", "bad "+strings.Repeat("x", 2<<20)).Err()
	if err != nil {
		t.Fatal(err)
	}
	m.browse("ops.mjs", func(what string) {
		switch what {
		case "scale":
			m.deploy("visits.py", fmt.Sprintf(visits, 3, r.Addr), false)
		default:
			t.Errorf("the browser's script wants %q", what)
		}
	})
}
