package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
)

// run runs a whole trigger until the test ends or the function that it returns
// is called.
func run(t *testing.T, c *cluster, in, out string, letters trigger.Destination, h trigger.HandlerFunc) (end func()) {
	t.Helper()
	s := trigger.Settings{Name: "t", Workers: 4, Letters: letters, Spec: function.Trigger{Delivery: function.Delivery{
		Guarantee: "exactlyOnce", OnSuccess: &function.Destination{Kind: "topic", Topic: out},
		CheckpointInterval: quantity.Duration(20 * time.Millisecond)}}}
	trg, err := Factory().New(s, json.RawMessage(fmt.Sprintf(`{"brokers": [%q], "topics": [%q], "consumerGroup": %q,
		"sessionTimeout": "6s", "heartbeatInterval": "100ms", "maxMessageSize": "2Ki"}`, c.brokers[0], in, "group-"+in)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- trg.Run(ctx, h) }()
	end = func() {
		if cancel(); done != nil {
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
			done = nil
		}
	}
	t.Cleanup(end)
	return end
}

type kept struct{ n atomic.Int32 }

func (k *kept) Send(_ context.Context, l *letter.Letter) error {
	if !strings.Contains(l.Error, "maxMessageSize") {
		return fmt.Errorf("an unexpected letter: %s", l.Error)
	}
	k.n.Add(1)
	return nil
}

// Whole triggers come and go and their functions fail at times; each record has
// one answer, and one whose answer is too large is given up and holds up nobody.
func TestExactlyOnceThroughTheEngine(t *testing.T) { each(t, exactlyOnce) }

func exactlyOnce(t *testing.T, c *cluster) {
	in, out := c.topic(t, 4), c.topic(t, 1)
	const n = 2000
	var runs atomic.Int64
	letters := &kept{}
	h := func(_ context.Context, ev *event.Event, resp *event.Response) error {
		if runs.Add(1)%97 == 0 {
			return event.ErrCrashed
		}
		resp.Body = append(append(resp.Body[:0], "did "...), ev.Body...)
		if string(ev.Body) == "7" {
			resp.Body = append(resp.Body, make([]byte, 4000)...)
		}
		return nil
	}
	go func() {
		for i := range n {
			c.cl.Produce(context.Background(), numbered(in, int32(i%4), i, 1)[0], nil)
			if i%200 == 0 {
				_ = c.cl.Flush(context.Background())
			}
		}
	}()
	stay := run(t, c, in, out, letters, h)
	for i := range 4 {
		guest := run(t, c, in, out, letters, h)
		eventually(t, "progress", func() bool { return runs.Load() > int64(i+1)*n/8 })
		guest()
	}
	eventually(t, "the checkpoints", func() bool {
		sum := int64(0)
		for p := range int32(4) {
			sum += max(0, c.committed(t, in, p))
		}
		return sum >= n
	})
	stay()
	got := outcome(t, c, out)
	slices.Sort(got)
	if twice := len(got) - len(slices.Compact(slices.Clone(got))); twice != 0 || len(got) != n-1 {
		t.Errorf("%d answers, %d of them twice; want %d", len(got), twice, n-1)
	}
	if letters.n.Load() != 1 {
		t.Errorf("%d letters, want 1", letters.n.Load())
	}
	t.Logf("%d runs of %d records", runs.Load(), n)
}
