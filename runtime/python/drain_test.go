package python

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// The word to settle is heard at once whenever it comes, above all while the
// worker is about to sleep after an event.
func TestDrainIsHeard(t *testing.T) {
	both(t, func(t *testing.T, attrs map[string]any) {
		told := filepath.Join(t.TempDir(), "told")
		code := `
def init_context(context):
    def drained():
        with open(` + strconv.Quote(told) + `, "ab") as f:
            f.write(b".")
    context.platform.set_drain_callback(drained)

def handler(context, event):
    return "ok"
`
		inst, err := (fixture{code: code, attrs: attrs}).load(t).Open(t.Context(), runtime.Worker{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = inst.Close(t.Context()) }()
		var resp event.Response
		for i := range 300 {
			resp.Reset()
			if err := inst.Invoke(t.Context(), &event.Event{Body: []byte("x")}, &resp); err != nil {
				t.Fatal(err)
			}
			for began := time.Now(); time.Since(began) < time.Duration(i%60)*time.Microsecond; { // until when differs
			}
			if err := inst.(runtime.Drainer).Drain(); err != nil {
				t.Fatal(err)
			}
			for until := time.Now().Add(20 * time.Second); ; <-time.After(time.Millisecond) {
				if b, _ := os.ReadFile(told); bytes.Count(b, []byte(".")) > i {
					break
				}
				if time.Now().After(until) {
					t.Fatalf("the %dth was not heard", i)
				}
			}
		}
	})
}
