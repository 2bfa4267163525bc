package dashboard_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/test/servers"
)

// listened answers with what brought an event and what it carries, unless that
// is bad.
const listened = `# @nuclio.configure
#
# function.yaml:
#   spec:
#     triggers:
#       web: {kind: http, numWorkers: 2}
#       in: {kind: redis, url: "redis://%s", retry: {attempts: 1}, attributes: {streams: [visits], makeStreams: true, bodyField: data}}
def handler(context, event):
    if b"bad" in event.body:
        raise ValueError("<img src=x onerror='window.hacked=1'> \u202eevil")
    return "one " + event.trigger.kind + " " + event.body.decode(errors="replace")
`

// Events of HTTP and of a Redis stream are captured as they come to two versions,
// looked at, and run again.
func TestCapture(t *testing.T) {
	r := servers.Redis(t)
	c := redis.NewClient(&redis.Options{Addr: r.Addr})
	t.Cleanup(func() { _ = c.Close() })
	m := newMachine(t)
	source := fmt.Sprintf(listened, r.Addr)
	m.deploy("events.py", source, false)
	m.cli("publish", "events")
	m.cli("alias", "set", "events", "prod=1")
	m.deploy("events.py", strings.Replace(source, "one ", "two ", 1), false)
	m.browse("capture.mjs", func(what string) {
		if what != "stream" {
			t.Errorf("the browser's script wants %q", what)
		}
		for _, body := range []string{"good \xff\x00", "bad <script>window.hacked=1</script>"} {
			if err := c.XAdd(t.Context(), &redis.XAddArgs{Stream: "visits", Values: []string{"data", body}}).Err(); err != nil {
				t.Error(err)
			}
		}
	})
}
