package rabbitmq

import (
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

// TestWatch: who only asks knows how much waits, before there is any consumer and
// after it has gone, and takes none of it.
func TestWatch(t *testing.T) {
	b := newBroker(t, shared.RabbitMQ(t), nil)
	trg := b.Trigger(t, b.settings(t, function.Trigger{}))
	w, err := trg.(trigger.Watchable).Watch()
	must(t, err)
	defer w.Close()
	waits := func(n int64) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			got, err := w.Waiting(t.Context())
			if err == nil && got == n {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d wait, %v; want %d", got, err, n)
			}
		}
	}
	waits(0)
	b.Produce(t, make([]triggertest.Record, 5)...)
	waits(5)
	r := run(t, trg, nil)
	r.until("all to be done", func(x trigger.Report) bool { return x.Done == 5 })
	r.stop()
	r.done <- <-r.done // the cleanup looks at it too
	waits(0)
	b.Produce(t, make([]triggertest.Record, 1)...)
	waits(1)
	w.Close()
	waits(1)
}
