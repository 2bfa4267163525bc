package history

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/platform"
)

// fake is a platform whose processors say what the test wants.
type fake struct {
	mu   sync.Mutex
	says map[string][]string // metrics of the processors, by deployment
	asks int
}

// say has the processors of a deployment say something else; nil: it is gone.
func (f *fake) say(name string, texts ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if texts == nil {
		delete(f.says, name)
		return
	}
	f.says[name] = texts
}

// asked is how often they were asked since the last time.
func (f *fake) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.asks
	f.asks = 0
	return n
}

func (f *fake) Observe(context.Context, string) (out []platform.Observed, _ error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.says {
		out = append(out, platform.Observed{Name: name})
	}
	return out, nil
}

func (f *fake) Ask(_ context.Context, name, method, path string, _ []byte) (out []platform.Reply) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asks++
	if method != http.MethodGet || path != "/metrics" {
		return []platform.Reply{{Body: []byte("asked for " + path)}}
	}
	for i, text := range f.says[name] {
		r := platform.Reply{Replica: fmt.Sprint("r", i), Status: http.StatusOK, Body: []byte(text)}
		if text == "" {
			r.Status = 0
		}
		out = append(out, r)
	}
	return out
}

// metrics are what a processor says that started at a time and ran so many
// events, of which some failed; a tenth of them took up to 0.1 s, the rest 0.01 s.
func metrics(started time.Time, events, failed int) string {
	return fmt.Sprintf(`# TYPE process_start_time_seconds gauge
process_start_time_seconds %f
# TYPE myelin_events_total counter
myelin_events_total{trigger="http",kind="http",outcome="ok"} %d
myelin_events_total{trigger="http",kind="http",outcome="error"} %d
myelin_events_total{trigger="http",kind="http",outcome="busy"} 3
# TYPE myelin_event_duration_seconds histogram
myelin_event_duration_seconds_bucket{trigger="http",kind="http",le="0.01"} %d
myelin_event_duration_seconds_bucket{trigger="http",kind="http",le="0.1"} %d
myelin_event_duration_seconds_bucket{trigger="http",kind="http",le="+Inf"} %d
myelin_event_duration_seconds_sum{trigger="http",kind="http"} 1
myelin_event_duration_seconds_count{trigger="http",kind="http"} %d
# TYPE myelin_workers gauge
myelin_workers{pool="p",state="busy"} 1
myelin_workers{pool="p",state="idle"} 3
# TYPE myelin_events_waiting gauge
myelin_events_waiting{pool="p"} 5
# TYPE myelin_trigger_lag gauge
myelin_trigger_lag{trigger="k",kind="kafka"} 70
`, float64(started.UnixMilli())/1000, events-failed, failed, events*9/10, events, events, events)
}

var hello = catalog.Name{Namespace: "default", Name: "hello"}

// run runs a history in a bubble until the test ends.
func run(t *testing.T, f *fake) *History {
	t.Helper()
	h := New(Options{Platform: f, Processors: f})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestCountsWhatWasDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, begin := time.Now().Add(-time.Hour), time.Now()
		f := &fake{says: map[string][]string{"default.hello": {metrics(old, 1000, 100)}}}
		h := run(t, f)
		time.Sleep(time.Second)
		if p := h.Of(hello, time.Time{}, 10); len(p) != 1 || p[0].Events != 0 || p[0].Processors != 1 || p[0].Workers != 4 || p[0].Busy != 1 || p[0].Waiting != 5 || p[0].Lag != 70 {
			t.Fatalf("what was done before counts, or how it is now does not: %+v", p)
		}
		// Asked for, it is looked at every two seconds.
		f.say("default.hello", metrics(old, 1100, 110))
		time.Sleep(2 * time.Second)
		p := h.Of(hello, begin.Add(time.Second), 10)
		if len(p) != 1 || p[0].Events != 100 || p[0].Errors != 10 || p[0].Refused != 0 || math.Abs(p[0].Seconds-2) > 0.6 {
			t.Fatalf("got %+v", p)
		}
		if want := []Took{{UpTo: 0.01, Events: 90}, {UpTo: 0.1, Events: 10}}; !slices.Equal(p[0].Times, want) {
			t.Errorf("got times %v", p[0].Times)
		}
		if from := h.Sources(hello); len(from) != 1 || from[0].Trigger != "http" || from[0].Version != "" || from[0].Rate < 35 || from[0].Rate > 70 || math.Abs(from[0].Errors*10-from[0].Rate) > 0.1 {
			t.Errorf("by triggers %+v", from)
		}
		if p[0].P50 < 0.005 || p[0].P50 > 0.01 || p[0].P99 < 0.05 || p[0].P99 > 0.1 {
			t.Errorf("got times %v and %v", p[0].P50, p[0].P99)
		}
		// A processor of another version that begins counts as a whole, one that
		// does not answer does nothing, and one that began anew did not undo anything.
		f.say("default.hello", metrics(time.Now(), 7, 0), "")
		f.say("default.hello.3", metrics(time.Now(), 5, 0))
		for range 10 {
			h.All("", time.Time{}, 1)
			time.Sleep(2 * time.Second)
		}
		sum := 0.0
		for _, p := range h.Of(hello, p[0].At, 100) {
			sum += p.Events
		}
		if from := h.Sources(hello); len(from) != 2 || from[0].Version != "" || from[1].Version != "3" {
			t.Errorf("by triggers %+v", from)
		}
		if sum != 12 {
			t.Errorf("%v events were counted: %+v", sum, h.Of(hello, p[0].At, 100))
		}
	})
}

// Who looks has functions asked more often, and nobody looking costs little.
func TestAsksSeldomWhenNobodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{says: map[string][]string{}}
		for i := range 1000 {
			f.says[fmt.Sprintf("default.f%d", i)] = []string{metrics(time.Now(), 1, 0)}
		}
		h := run(t, f)
		time.Sleep(200 * time.Second)
		f.asked()
		time.Sleep(250 * time.Second)
		if n := f.asked(); n > 2200 {
			t.Errorf("asked %d times in 250 s", n)
		}
		one := catalog.Name{Namespace: "default", Name: "f7"}
		began := time.Now()
		for range 20 {
			h.Of(one, time.Time{}, 1)
			time.Sleep(time.Second)
		}
		if n := len(h.Of(one, began, 100)); n < 8 {
			t.Errorf("%d points in 20 s, asked %d times", n, f.asked())
		}
	})
}

func TestKeepsABoundedPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{says: map[string][]string{"default.hello": {metrics(time.Now(), 1, 0)}, "team.hello": nil}}
		h := run(t, f)
		for range 40 {
			time.Sleep(30 * time.Second)
			h.Of(hello, time.Time{}, 1)
		}
		all := h.All("default", time.Time{}, 10000)
		if len(all) != 1 || len(all[hello]) > most || len(all[hello]) < 100 {
			t.Errorf("%d functions, %d points", len(all), len(all[hello]))
		}
		if p := h.Of(hello, time.Time{}, 3); len(p) != 3 || !p[2].At.Equal(all[hello][len(all[hello])-1].At) {
			t.Errorf("got %+v", p)
		}
		f.say("default.hello")
		time.Sleep(time.Minute)
		if all := h.All("", time.Time{}, 1); len(all) != 1 {
			t.Errorf("what is gone is remembered: %v", all)
		}
	})
}

// What processors say is the function's to forge: the answer stays JSON.
func TestForgedMetricsAreNumbers(t *testing.T) {
	texts := []string{
		"", "{", "myelin_events_total NaN\n", "# TYPE myelin_workers gauge\nmyelin_workers{state=\"busy\"} +Inf\nmyelin_workers{state=\"idle\"} -Inf\n",
		"# TYPE myelin_events_total counter\nmyelin_events_total{outcome=\"ok\"} 1e308\nmyelin_events_total{outcome=\"error\",a=\"1\"} 1e308\n",
		strings.Repeat("x", 300), "# TYPE myelin_events_total counter\nmyelin_events_total{outcome=\"ok\",trigger=\"" + strings.Repeat("x", 300) + "\"} 1\n",
		"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1e300\n",
		"# TYPE myelin_event_duration_seconds histogram\nmyelin_event_duration_seconds_bucket{le=\"NaN\"} 5\nmyelin_event_duration_seconds_bucket{le=\"-1\"} 9\nmyelin_event_duration_seconds_bucket{le=\"1e-320\"} 10\nmyelin_event_duration_seconds_bucket{le=\"1e300\"} 12\nmyelin_event_duration_seconds_bucket{le=\"+Inf\"} 7\nmyelin_event_duration_seconds_sum 1\nmyelin_event_duration_seconds_count 7\n",
	}
	var many strings.Builder
	many.WriteString("# TYPE myelin_event_wait_seconds histogram\n")
	for i := range 5000 {
		fmt.Fprintf(&many, "myelin_event_wait_seconds_bucket{le=\"%d\"} %d\n", i+1, i)
	}
	many.WriteString("myelin_event_wait_seconds_sum 1\nmyelin_event_wait_seconds_count 5000\n")
	var triggers strings.Builder
	triggers.WriteString("# TYPE myelin_events_total counter\n")
	for i := range 1000 {
		fmt.Fprintf(&triggers, "myelin_events_total{trigger=\"t%d\",outcome=\"ok\"} 1\n", i)
	}
	for _, text := range append(texts, many.String(), triggers.String()) {
		_, c, err := read(platform.Reply{Body: []byte(text)})
		if err != nil {
			continue
		}
		if len(c.by) > mostSources {
			t.Errorf("%d triggers are kept", len(c.by))
		}
		if len(c.waited) > maxBuckets {
			t.Errorf("%d buckets are kept", len(c.waited))
		}
		s := &series{}
		for _, next := range []map[string]counted{{"a": c}, {"a": c, "b": c}, {}} {
			s.add(next, time.Now(), time.Time{})
		}
		for _, p := range s.points {
			if len(p.Times) > mostTimes {
				t.Errorf("%d buckets of a point are kept", len(p.Times))
			}
		}
		if _, err := json.Marshal([]any{s.points, s.sources}); err != nil {
			t.Errorf("%.80q: %v", text, err)
		}
	}
}

// starting is what a processor says of its start once it has answered.
func starting(way string, total float64) string {
	return fmt.Sprintf("# TYPE myelin_start_phase_seconds gauge\nmyelin_start_phase_seconds{way=%q,phase=\"exec\"} %f\nmyelin_start_phase_seconds{way=%q,phase=\"answer\"} %f\nmyelin_start_phase_seconds{way=%q,phase=\"forged\"} 7\n", way, total/4, way, 3*total/4, way)
}

// Starts are told in the span in which a processor first answers, once, and not
// if that was before anybody looked.
func TestStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{says: map[string][]string{}}
		old := time.Now().Add(-time.Hour)
		f.say("default.hello", metrics(old, 10, 0)+starting("cold", 2))
		h := run(t, f)
		look := func() []Point {
			h.Of(hello, time.Time{}, most) // somebody looks
			time.Sleep(10 * time.Second)
			return h.Of(hello, time.Time{}, most)
		}
		count := func(points []Point) (n int, ways []string) {
			for _, p := range points {
				n += p.Started
				for _, s := range p.Starts {
					ways = append(ways, fmt.Sprint(s.Way, " ", s.Total, " ", s.Phases))
				}
			}
			return n, ways
		}
		time.Sleep(20 * time.Second)
		if n, _ := count(look()); n != 0 {
			t.Errorf("%d starts of what ran before", n)
		}
		young := time.Now()
		f.say("default.hello", metrics(old, 10, 0)+starting("cold", 2), metrics(young, 0, 0)) // has not answered
		if n, _ := count(look()); n != 0 {
			t.Errorf("%d starts without an answer", n)
		}
		f.say("default.hello", metrics(old, 10, 0)+starting("cold", 2), metrics(young, 1, 0)+starting("cold", 0.4), metrics(old.Add(time.Minute), 1, 0)+starting("warm", 0.04))
		n, ways := count(look())
		slices.Sort(ways)
		if want := []string{"cold 0.4 map[answer:0.3 exec:0.1]", "warm 0.04 map[answer:0.03 exec:0.01]"}; n != 2 || !slices.Equal(ways, want) {
			t.Errorf("%d: %q, want %q", n, ways, want)
		}
		if n, _ := count(look()); n != 2 {
			t.Errorf("%d starts, counted again", n)
		}
	})
}
