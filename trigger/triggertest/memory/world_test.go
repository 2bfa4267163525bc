package memory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

// world is a broker, processors that come, go and die, and connections that
// break, all at random.
type world struct {
	t      *testing.T
	r      *rand.Rand
	broker interface {
		triggertest.Broker
		triggertest.Cutter
	}
	spec    function.Trigger
	letters *letters

	mu   sync.Mutex
	runs map[int]int
	last map[string]int // by key: the highest that was done
	back []string       // what broke the order of a key
}

const worldSize = 3000

func newWorld(t *testing.T, seed uint64, spec function.Trigger) *world {
	t.Logf("seed %d", seed)
	spec.Retry = &function.Retry{Attempts: 3, Backoff: &function.Backoff{Initial: quantity.Duration(time.Millisecond)}}
	spec.CheckpointInterval = quantity.Duration(2 * time.Millisecond)
	return &world{t: t, r: rand.New(rand.NewPCG(seed, 0)), spec: spec, runs: map[int]int{}, last: map[string]int{}, letters: &letters{}}
}

// one runs an event: every hundredth fails each time, others once in a while.
func (w *world) one(ev *event.Event) error {
	n, _ := strconv.Atoi(string(ev.Body))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs[n]++
	if n%100 == 7 {
		return errors.New("always")
	}
	if w.runs[n] == 1 && n%13 == 0 {
		return event.ErrCrashed
	}
	if w.runs[n] == 1 && n%17 == 0 {
		return event.ErrBusy
	}
	// A later event of a key is done only if those before it are, or are letters.
	key := string(ev.Key)
	for before := n - 8; before > w.last[key] && before >= 0; before -= 8 {
		if before%100 != 7 && w.runs[before] == 0 {
			w.back = append(w.back, fmt.Sprintf("%d of %s was done before %d", n, key, before))
		}
	}
	w.last[key] = max(w.last[key], n)
	return nil
}

func (w *world) Handle(_ context.Context, ev *event.Event, _ *event.Response) error { return w.one(ev) }

func (w *world) HandleBatch(_ context.Context, evs []*event.Event, _ []*event.Response, errs []error) {
	for i, ev := range evs {
		errs[i] = w.one(ev)
	}
}

// processor is one that runs until stop.
func (w *world) processor() (stop func()) {
	trg := w.broker.Trigger(w.t, trigger.Settings{Name: "in", Spec: w.spec, Letters: w.letters, Workers: 2})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- trg.Run(ctx, w) }()
	return func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				w.t.Errorf("Run: %v", err)
			}
		case <-time.After(30 * time.Second):
			w.t.Error("Run did not return")
		}
	}
}

// live has things happen while events come.
func (w *world) live() {
	stops := []func(){w.processor()}
	for from := 0; from < worldSize; from += 100 {
		var rs []triggertest.Record
		for n := from; n < from+100; n++ {
			rs = append(rs, triggertest.Record{Key: fmt.Sprint("k", n%8), Body: fmt.Sprint(n)})
		}
		w.broker.Produce(w.t, rs...)
		switch k := w.r.IntN(6); {
		case k == 0 && len(stops) < 4:
			stops = append(stops, w.processor())
		case k == 1 && len(stops) > 1:
			i := w.r.IntN(len(stops))
			stops[i]()
			stops = append(stops[:i], stops[i+1:]...)
		case k == 2:
			w.broker.Cut(w.t)
		}
		<-time.After(time.Duration(w.r.IntN(10)) * time.Millisecond)
	}
	w.done()
	for _, stop := range stops {
		stop()
	}
}

// done waits until each event was done or is a letter.
func (w *world) done() {
	deadline := time.Now().Add(60 * time.Second)
	for {
		missing := w.missing()
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Errorf("%d events are lost, such as %v", len(missing), missing[:min(10, len(missing))])
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (w *world) missing() (out []int) {
	dead := w.letters.numbers()
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range worldSize {
		if w.runs[n] == 0 || n%100 == 7 && !dead[n] {
			out = append(out, n)
		}
	}
	return out
}

func TestStreamWorlds(t *testing.T) {
	for i, spec := range []function.Trigger{
		{}, {Delivery: function.Delivery{WorkersPerShard: 3}},
		{Batch: &function.Batch{Mode: "enable", BatchSize: 7, Timeout: quantity.Duration(time.Millisecond)}},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			w := newWorld(t, rand.Uint64(), spec)
			w.broker = NewLog(5)
			w.live()
			if spec.Batch == nil && len(w.back) > 0 {
				t.Errorf("%d times the order of a key was lost, such as: %s", len(w.back), w.back[0])
			}
			for n := range w.letters.numbers() {
				if n%100 != 7 {
					t.Errorf("event %d is a letter", n)
				}
			}
		})
	}
}

func TestQueueWorlds(t *testing.T) {
	for i, o := range []queue.Options{{Requeues: true}, {Requeues: true, Delays: true}} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			w := newWorld(t, rand.Uint64(), function.Trigger{})
			w.broker = NewQueue(o)
			w.live()
		})
	}
}
