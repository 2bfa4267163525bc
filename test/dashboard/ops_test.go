package dashboard_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/control/api/client"
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
	for i, job := range []string{`{"bad": "<script>window.hacked=1</script> \u202e"}`, "bad one", "bad \xff\xfe bytes", "bad two", "bad " + strings.Repeat("x", 2<<20)} {
		if err := c.RPush(t.Context(), "jobs", job).Err(); err != nil {
			t.Fatal(err)
		}
		m.letters("orders", i+1) // one at a time: those of one moment have no order
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

// letters waits until a function has n dead letters.
func (m *machine) letters(function string, n int) {
	m.Helper()
	api := client.New("http://"+m.api, "", nil)
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		list, err := api.Letters(m.Context(), function, "", 0)
		if err == nil && len(list.Items) == n {
			return
		}
		if last = err; err == nil {
			last = fmt.Errorf("there are %d", len(list.Items))
		}
	}
	m.Fatalf("waited for %d letters of %s: %v", n, function, last)
}
