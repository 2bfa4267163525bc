package exactly_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/kv/embedded"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/processor/exactly"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
	"github.com/myelin-run/myelin/trigger/triggertest/memory"
)

func openedKeys(t *testing.T, dir string) *data.KV {
	t.Helper()
	b, err := embedded.Factory().New(binding.Settings{Name: "seen", Dir: dir, Log: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return data.NewKV(bindingtest.Opened(t, b).(data.KeyStore), &data.Guard{Name: "seen", Timeout: 30 * time.Second})
}

// count is a function that counts the events of each key.
func count(ctx context.Context, s *data.State, key string) error {
	n := 0
	switch v, err := s.Get(ctx, key); {
	case err == nil:
		if n, err = strconv.Atoi(string(v)); err != nil {
			return err
		}
	case !errors.Is(err, data.NotFound):
		return err
	}
	return s.Put(ctx, key, strconv.AppendInt(nil, int64(n+1), 10))
}

const users, counted, cuts = 5, 100, 4

// survive has two processors count events while their connections break and
// their functions fail after they counted, and reads the counts.
func survive(t *testing.T, run func(l *memory.Log, f func(ctx context.Context, s *data.State, ev *event.Event) error), s *data.State) {
	t.Helper()
	l := memory.NewLog(3)
	l.Options.Restores = true
	var runs atomic.Int64
	f := func(ctx context.Context, s *data.State, ev *event.Event) error {
		if err := count(ctx, s, string(ev.Key)); err != nil {
			return err
		}
		if runs.Add(1)%11 == 0 {
			return errors.New("failed after it counted")
		}
		return nil
	}
	run(l, f)
	run(l, f)
	total := func() (sum int) {
		for u := range users {
			v, err := s.Get(t.Context(), fmt.Sprint("user", u))
			if err != nil && !errors.Is(err, data.NotFound) {
				t.Fatal(err)
			}
			n, _ := strconv.Atoi(string(v))
			sum += n
		}
		return sum
	}
	for i := range cuts {
		for n := i * counted / cuts; n < (i+1)*counted/cuts; n++ {
			l.Produce(t, triggertest.Record{Key: fmt.Sprint("user", n%users), Body: strconv.Itoa(n)})
		}
		until(t, "some counts", func() bool { return total() > i*counted/cuts })
		l.Cut(t)
	}
	until(t, "all counts", func() bool { return total() >= counted })
	l.Produce(t, triggertest.Record{Key: "last", Body: "0"}) // comes after what is run again, in its shard
	until(t, "the last", func() bool { _, err := s.Get(t.Context(), "last"); return err == nil })
	for u := range users {
		if v, err := s.Get(t.Context(), fmt.Sprint("user", u)); err != nil || string(v) != strconv.Itoa(counted/users) {
			t.Errorf("user %d: %s, %v; want %d", u, v, err, counted/users)
		}
	}
	t.Logf("%d runs of %d events", runs.Load(), counted+1)
}

// State in a table, by a trigger that is exactly once on it.
func TestCountersInTables(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		s := data.NewState(exactly.NewState(d.open(t), d.kind, "shop/orders"))
		survive(t, func(l *memory.Log, f func(context.Context, *data.State, *event.Event) error) {
			var once sync.Once
			var own *data.State
			start(t, l, d, settings["alone"], func(ctx context.Context, db *data.Table, ev *event.Event) error {
				once.Do(func() { own = data.NewState(exactly.NewState(db, d.kind, "shop/orders")) })
				return f(ctx, own, ev)
			})
		}, s)
	})
}

// State in keys, by a trigger that delivers at least once.
func TestCountersInKeys(t *testing.T) {
	dir := t.TempDir()
	s := data.NewState(exactly.NewKeys(openedKeys(t, dir), "shop/orders"))
	survive(t, func(l *memory.Log, f func(context.Context, *data.State, *event.Event) error) {
		own := data.NewState(exactly.NewKeys(openedKeys(t, dir), "shop/orders"))
		set := settings["alone"]
		set.Name, set.Attempts = "in", true
		trig := l.Trigger(t, set)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- trig.Run(ctx, handler(func(ctx context.Context, ev *event.Event) error { return f(ctx, own, ev) }))
		}()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}, s)
}

// An event that runs again finds what it found; one behind which others have
// written changes nothing.
func TestEventsRunAgain(t *testing.T) {
	s := data.NewState(exactly.NewKeys(openedKeys(t, t.TempDir()), "f"))
	at := func(offset int64, shard int32) context.Context {
		return trigger.WithAttempt(t.Context(), trigger.Place{Topic: "in", Shard: shard, Offset: offset})
	}
	for _, c := range []struct {
		ctx  context.Context
		want string
	}{
		{at(3, 1), "1"}, {at(3, 1), "1"}, {at(5, 1), "2"}, {at(5, 1), "2"}, {at(3, 1), "2"}, {at(4, 1), "2"}, {at(7, 1), "3"},
		{at(2, 0), "4"}, {at(2, 0), "4"}, {t.Context(), "5"}, {t.Context(), "6"},
	} {
		if err := count(c.ctx, s, "k"); err != nil {
			t.Fatal(err)
		}
		if v, err := s.Get(t.Context(), "k"); err != nil || string(v) != c.want {
			t.Errorf("%s, %v; want %s", v, err, c.want)
		}
	}
	ctx := at(9, 0)
	if err := errors.Join(s.Delete(ctx, "k"), s.Delete(ctx, "never")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, "k"); !errors.Is(err, data.NotFound) {
		t.Errorf("who deleted it finds %v", err)
	}
	if v, err := s.Get(at(9, 0), "k"); err != nil || string(v) != "6" {
		t.Errorf("the event that deleted it finds %s, %v when it runs again", v, err)
	}
	var none *data.State
	if err := none.Put(t.Context(), "k", nil); !errors.Is(err, data.Misuse) {
		t.Errorf("no state: %v", err)
	}
	for _, key := range []string{"", string(make([]byte, 600))} {
		if err := s.Put(t.Context(), key, nil); !errors.Is(err, data.Misuse) {
			t.Errorf("key of %d bytes: %v", len(key), err)
		}
	}
}
