package dashboard_test

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/myelin-run/myelin/test/servers"
)

// bill works off a list, and has a binding.
const bill = `# @nuclio.configure
#
# function.yaml:
#   spec:
#     dataBindings:
#       seen: {kind: embedded}
#     triggers:
#       jobs: {kind: redisList, url: "redis://%s", attributes: {lists: [jobs]}}
def handler(context, event):
    return "billed"
`

// cli runs a command.
func (m *machine) cli(args ...string) {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(m.root, "bin/myelin"), args...)
	c.Env = m.env
	if out, err := c.CombinedOutput(); err != nil {
		m.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Mappings are drawn with what comes by them, made by a form, changed, paused and
// resumed.
func TestMappings(t *testing.T) {
	r := servers.Redis(t)
	c := redis.NewClient(&redis.Options{Addr: r.Addr})
	t.Cleanup(func() { _ = c.Close() })
	m := newMachine(t)
	m.deploy("bill.py", fmt.Sprintf(bill, r.Addr), false)
	m.cli("publish", "bill")
	m.cli("alias", "set", "bill", "prod=1")
	m.cli("mapping", "set", "bill-jobs", "--alias", "prod")
	fill(t, c)
	m.browse("mappings.mjs", func(what string) {
		status, ok := strings.CutPrefix(what, "ask ")
		if !ok {
			t.Errorf("the browser's script wants %q", what)
		}
		m.answers("/shop", status)
	})
}

// fill puts elements into the list until the test ends.
func fill(t *testing.T, c *redis.Client) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			c.RPush(ctx, "jobs", "a job") // a failure is seen by what does not come
			time.Sleep(50 * time.Millisecond)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// answers waits until the gateway answers with a status.
func (m *machine) answers(path, status string) {
	m.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get("http://" + m.gateway + path)
		if err == nil {
			resp.Body.Close()
			if fmt.Sprint(resp.StatusCode) == status {
				return
			}
			err = fmt.Errorf("it answers %s", resp.Status)
		}
		if time.Now().After(end) {
			m.Fatalf("%s does not answer %s: %v", path, status, err)
		}
	}
}
