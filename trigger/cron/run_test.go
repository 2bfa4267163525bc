package cron

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

func newErr(attributes string) error {
	_, err := Factory().New(trigger.Settings{Name: "tick"}, json.RawMessage(attributes))
	return err
}

// runFor runs a trigger for a span of fake time and returns its events.
func runFor(t *testing.T, span time.Duration, attributes string, h func(n int, ev *event.Event) error) (evs []*event.Event) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), span)
		defer cancel()
		var mu sync.Mutex
		err := newTrigger(t, attributes).Run(ctx, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, _ *event.Response) error {
			mu.Lock()
			evs = append(evs, ev.Clone())
			n := len(evs)
			mu.Unlock()
			return h(n, ev)
		}))
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return evs
}

func done(int, *event.Event) error { return nil }

func TestDaysOfTicks(t *testing.T) {
	evs := runFor(t, 10*24*time.Hour, `{"schedule":"*/10 * * * *"}`, done)
	if len(evs) != 10*24*6 && len(evs) != 10*24*6-1 { // the last falls on the end
		t.Errorf("%d ticks in ten days", len(evs))
	}
	for i := range evs[1:] {
		if gap := evs[i+1].Time.Sub(evs[i].Time); gap != 10*time.Minute {
			t.Fatalf("ticks %v apart", gap)
		}
	}
}

func TestEvent(t *testing.T) {
	evs := runFor(t, 90*time.Second, `{"interval":"1m","event":{"body":"hello","path":"/p","method":"POST","headers":{"X-Num":7,"Content-Type":"application/json"}}}`, done)
	if len(evs) != 1 {
		t.Fatalf("%d events, want 1", len(evs))
	}
	ev := evs[0]
	if string(ev.Body) != "hello" || string(ev.Path) != "/p" || string(ev.Method) != "POST" || string(ev.ContentType) != "application/json" {
		t.Errorf("event %q %q %q %q", ev.Body, ev.Path, ev.Method, ev.ContentType)
	}
	if got := string(ev.Header("x-nuclio-invoke-trigger")); got != "cron" {
		t.Errorf("X-Nuclio-Invoke-Trigger %q", got)
	}
	if got := string(ev.Header("x-num")); got != "7" {
		t.Errorf("X-Num %q", got)
	}
	if ev.Source.Kind != "cron" || ev.Source.Name != "tick" {
		t.Errorf("source %+v", ev.Source)
	}
}

// A run longer than the interval: the ticks it covers are missed.
func TestMissedByLongRun(t *testing.T) {
	for _, c := range []struct {
		missed string
		want   []time.Duration // ticks, from the start
	}{
		{"one", []time.Duration{1, 4, 5, 6}},
		{"skip", []time.Duration{1, 5, 6}}, // the run ended half a minute after the fourth
		{"all", []time.Duration{1, 2, 3, 4, 5, 6}},
	} {
		var start time.Time
		evs := runFor(t, 6*time.Minute+time.Second, `{"interval":"1m","missed":"`+c.missed+`"}`, func(n int, ev *event.Event) error {
			if n == 1 {
				start = ev.Time.Add(-time.Minute)
				time.Sleep(3*time.Minute + 30*time.Second)
			}
			return nil
		})
		var got []time.Duration
		for _, ev := range evs {
			got = append(got, ev.Time.Sub(start)/time.Minute)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: ticks %v, want %v", c.missed, got, c.want)
		}
	}
}

func TestAllow(t *testing.T) {
	evs := runFor(t, 5*time.Minute+time.Second, `{"interval":"1m","concurrencyPolicy":"allow"}`, func(int, *event.Event) error {
		time.Sleep(10 * time.Minute)
		return nil
	})
	if len(evs) != 5 {
		t.Errorf("%d runs, want 5", len(evs))
	}
}

// sleeper is a machine whose clock stands still while it sleeps: at its first
// wait after an hour it sleeps for two days.
type sleeper struct {
	system
	begin time.Time
	slept time.Duration
}

func (s *sleeper) Now() time.Time { return s.system.Now().Add(s.slept) }

func (s *sleeper) Wait(ctx context.Context, d time.Duration) {
	s.system.Wait(ctx, d)
	if s.slept == 0 && s.Now().Sub(s.begin) > time.Hour {
		s.slept = 48*time.Hour + 31*time.Minute
	}
}

func TestSuspend(t *testing.T) {
	for missed, want := range map[string]int{"one": 1, "skip": 0, "all": 48} {
		synctest.Test(t, func(t *testing.T) {
			trg := newTrigger(t, `{"schedule":"0 * * * *","missed":"`+missed+`"}`)
			s := &sleeper{begin: time.Now()}
			trg.clock = s
			ctx, cancel := context.WithTimeout(t.Context(), 70*time.Minute)
			defer cancel()
			late := 0
			err := trg.Run(ctx, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, _ *event.Response) error {
				if s.Now().Sub(ev.Time) > time.Minute {
					late++
				}
				return nil
			}))
			if err != nil || late != want {
				t.Errorf("%s: %d late runs, want %d; Run: %v", missed, late, want, err)
			}
		})
	}
}

// A year's ticks of a millisecond are not counted one by one.
func TestLatestIsQuickAndComplete(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := start.Add(365 * 24 * time.Hour)
	due := latest(every{start, time.Millisecond}, start, now)
	if len(due) <= maxMissed || !due[len(due)-1].Equal(now) {
		t.Errorf("%d ticks, the last %v", len(due), due[len(due)-1])
	}
	due = latest(every{start, 24 * time.Hour}, start, now.Add(time.Second))
	if len(due) <= maxMissed {
		t.Errorf("%d ticks of a year of days", len(due))
	}
	if due = latest(every{start, 90 * time.Hour}, start, now); len(due) != 97 {
		t.Errorf("%d ticks, want all 97", len(due))
	}
}

// jumper is a clock that is set back once.
type jumper struct {
	system
	begin time.Time
	at    time.Duration
	by    time.Duration
}

func (j *jumper) Now() time.Time {
	now := j.system.Now()
	if now.Sub(j.begin) > j.at {
		return now.Add(-j.by)
	}
	return now
}

// A clock set back makes no tick come twice; set back far, it starts anew.
func TestClockSetBack(t *testing.T) {
	for by, want := range map[time.Duration]int{30 * time.Minute: 4, 24 * time.Hour: 5} {
		synctest.Test(t, func(t *testing.T) {
			trg := newTrigger(t, `{"schedule":"0 * * * *"}`)
			trg.clock = &jumper{begin: time.Now(), at: 2*time.Hour + 10*time.Minute, by: by}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour+15*time.Minute)
			defer cancel()
			seen := map[time.Time]int{}
			err := trg.Run(ctx, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, _ *event.Response) error {
				seen[ev.Time]++
				return nil
			}))
			if err != nil || len(seen) != want {
				t.Errorf("set back by %v: %d different ticks, want %d; Run: %v", by, len(seen), want, err)
			}
		})
	}
}

func TestRetryAndBusy(t *testing.T) {
	var at []time.Duration
	var first time.Time
	evs := runFor(t, 90*time.Second, `{"interval":"1m","jobBackoffLimit":2}`, func(n int, _ *event.Event) error {
		if n == 1 {
			first = time.Now()
		}
		at = append(at, time.Since(first))
		if n <= 3 {
			return event.ErrBusy
		}
		return errors.New("no")
	})
	if len(evs) != 6 { // three times busy, an attempt and two more
		t.Errorf("%d calls, want 6", len(evs))
	}
	for _, ev := range evs[1:] {
		if string(ev.ID) != string(evs[0].ID) {
			t.Error("another attempt has another id")
		}
	}
	if !slices.IsSorted(at) || at[1] != 100*time.Millisecond {
		t.Errorf("attempts at %v", at)
	}
	evs = runFor(t, 2*time.Minute+time.Second, `{"interval":"1m"}`, func(int, *event.Event) error { return event.ErrBusy })
	if n := len(evs); n < 10 || n > 30 {
		t.Errorf("%d calls while busy", n)
	}
	if last := evs[len(evs)-1].Time.Sub(evs[0].Time); last != time.Minute {
		t.Errorf("the second tick came after %v, want 1m", last)
	}
}

func TestJitter(t *testing.T) {
	var late []time.Duration
	runFor(t, 100*time.Minute+30*time.Second, `{"interval":"1m","jitter":"20s"}`, func(_ int, ev *event.Event) error {
		late = append(late, time.Since(ev.Time))
		return nil
	})
	if len(late) != 100 || slices.Max(late) >= 20*time.Second || slices.Max(late)-slices.Min(late) < 5*time.Second {
		t.Errorf("%d runs, from %v to %v late", len(late), slices.Min(late), slices.Max(late))
	}
}

// A predecessor stops at a random moment and its successor begins later, with
// what the predecessor says of its last tick: no tick is lost or comes twice,
// and an interval stays in step.
func TestSuccession(t *testing.T) {
	for _, attributes := range []string{`{"schedule":"*/5 * * * * *","missed":"all"}`, `{"interval":"7s","missed":"all"}`, `{"interval":"7s","missed":"all","jitter":"3s"}`} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			seen := map[time.Duration]int{}
			var from time.Time
			for i := range 40 {
				trg, err := Factory().New(trigger.Settings{Name: "tick", Share: function.Share{Part: 1, From: from}}, json.RawMessage(attributes))
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+i*i*37%29)*700*time.Millisecond)
				err = trg.Run(ctx, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, _ *event.Response) error {
					seen[ev.Time.Sub(start)]++
					time.Sleep(time.Duration(i%3) * 400 * time.Millisecond)
					return nil
				}))
				cancel()
				if err != nil {
					t.Fatal(err)
				}
				from = trg.(trigger.Successor).Until()
				time.Sleep(time.Duration(i%5) * 900 * time.Millisecond)
			}
			step := 5 * time.Second
			if attributes[2] == 'i' {
				step = 7 * time.Second
			}
			last := from.Sub(start).Truncate(step)
			for at := step; at <= last; at += step {
				if seen[at] != 1 {
					t.Errorf("%s: the tick %v after the start came %d times", attributes, at, seen[at])
				}
				delete(seen, at)
			}
			if len(seen) != 0 || last < time.Minute {
				t.Errorf("%s: %d other ticks up to %v: %v", attributes, len(seen), last, seen)
			}
		})
	}
}
