package python

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/runtimetest"
	"github.com/myelin-run/myelin/runtime/shm"
)

var spins = map[string]any{"spin": true}

// The whole suite with both sides awake between events.
func TestSuiteSpinning(t *testing.T) {
	runtimetest.Run(t, runtimetest.Fixture{Streams: true, New: func(t testing.TB, name string, logs *slog.Logger) runtime.Runtime {
		return fixture{code: functions[name], attrs: spins, log: logs}.load(t)
	}})
}

// Events that come one by one, in crowds and after pauses all have their
// answers: callers take turns with the reader, and both fall asleep.
func TestSpinningMissesNothing(t *testing.T) {
	in, _ := fixture{code: "def handler(c, e):\n    return e.body\n", attrs: spins}.open(t)
	if !in.Spins() {
		t.Skip("there is no CPU to spare here")
	}
	handle := func(body string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var resp event.Response
		if err := in.Invoke(ctx, &event.Event{Body: []byte(body)}, &resp); err != nil || string(resp.Body) != body {
			t.Errorf("%s: %q, %v", body, resp.Body, err)
		}
	}
	for round := range 60 {
		for i := range 200 {
			handle(strconv.Itoa(i))
		}
		var crowd sync.WaitGroup
		for g := range 1 + round%8 {
			crowd.Go(func() {
				for i := range 100 {
					handle(fmt.Sprint(g, ".", i))
				}
			})
		}
		crowd.Wait()
		time.Sleep(time.Duration(round%4) * 200 * time.Microsecond) // around the time that either side spins
	}
}

// Who spins sleeps in the end: an idle worker takes no time.
func TestSpinningEnds(t *testing.T) {
	in, _ := fixture{code: trivial, attrs: spins}.open(t)
	if !in.Spins() {
		t.Skip("there is no CPU to spare here")
	}
	var took []time.Duration
	var resp event.Response
	for range 20000 {
		resp.Reset()
		began := time.Now()
		if err := in.Invoke(context.Background(), &event.Event{Body: make([]byte, 1024)}, &resp); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("a call takes %v, %v, %v (5th, 50th, 99th percentile)", took[1000], took[10000], took[19800])
	deadline := time.Now().Add(time.Minute)
	for asleep := 0; asleep < 3; {
		before := ticks(t, in)
		time.Sleep(200 * time.Millisecond) // the time over which ticks are counted
		if ticks(t, in) == before {
			asleep++
		} else if asleep = 0; time.Now().After(deadline) {
			t.Fatal("the worker does not fall asleep")
		}
	}
}

// ticks is the processor time of the worker, in hundredths of a second.
func ticks(t *testing.T, in *shm.Instance) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", in.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return user + system
}
