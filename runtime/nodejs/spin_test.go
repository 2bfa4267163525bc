package nodejs

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
	runtimetest.Run(t, runtimetest.Fixture{New: func(t testing.TB, name string, logs *slog.Logger) runtime.Runtime {
		return fixture{code: functions[name][0], attrs: spins, log: logs}.load(t)
	}})
}

// Events one by one and in crowds have their answers, timers go on, and who
// spins sleeps in the end.
func TestSpinning(t *testing.T) {
	in, _ := fixture{code: "let ticks = 0\nconst t = setInterval(() => ticks++, 1)\nexports.handler = (c, e) => e.body.toString() === 'ticks' ? (clearInterval(t), String(ticks)) : e.body\n", attrs: spins}.open(t)
	if !in.Spins() {
		t.Skip("there is no CPU to spare here")
	}
	handle := func(body string) string {
		var resp event.Response
		if err := in.Invoke(context.Background(), &event.Event{Body: []byte(body)}, &resp); err != nil || body != "ticks" && string(resp.Body) != body {
			t.Errorf("%s: %q, %v", body, resp.Body, err)
		}
		return string(resp.Body)
	}
	var took []time.Duration
	for i := range 20000 {
		began := time.Now()
		handle(strconv.Itoa(i))
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("a call takes %v, %v, %v (5th, 50th, 99th percentile)", took[1000], took[10000], took[19800])
	for round := range 30 {
		var crowd sync.WaitGroup
		for g := range 1 + round%8 {
			crowd.Go(func() {
				for i := range 100 {
					handle(fmt.Sprint(g, ".", i))
				}
			})
		}
		crowd.Wait()
	}
	if n, err := strconv.Atoi(handle("ticks")); err != nil || n < 3 {
		t.Errorf("%d ticks of a timer, %v", n, err)
	}
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
