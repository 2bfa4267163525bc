package breaker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding/data"
)

// A breaker opens after failures in a row, lets one call try after its pause, and
// closes if that went well.
func TestBreaker(t *testing.T) {
	b := New(3, time.Minute)
	at := time.Unix(0, 0)
	b.now = func() time.Time { return at }
	calls := 0
	var answer error
	kv := data.NewKV(store(func() error { calls++; return answer }), &data.Guard{Name: "k", Gate: b})
	get := func(err error) error {
		answer = err
		_, err = kv.Get(context.Background(), "a")
		return err
	}
	for i, c := range []struct {
		after  time.Duration
		answer error
		calls  int // so far
		state  string
	}{
		{0, data.Timeout, 1, Closed}, {0, data.Timeout, 2, Closed}, {0, data.NotFound, 3, Closed},
		{0, data.Timeout, 4, Closed}, {0, data.Timeout, 5, Closed}, {0, data.Timeout, 6, Open},
		{59 * time.Second, nil, 6, Open}, {time.Second, data.Timeout, 7, Open},
		{59 * time.Second, nil, 7, Open}, {time.Second, nil, 8, Closed}, {0, nil, 9, Closed},
	} {
		at = at.Add(c.after)
		err := get(c.answer)
		if calls != c.calls || b.State() != c.state {
			t.Errorf("%d: %d calls, %s, want %d, %s (%v)", i, calls, b.State(), c.calls, c.state, err)
		}
		if i == 6 && !errors.Is(err, data.Away) {
			t.Errorf("refused with %v", err)
		}
	}
	if n := b.Opened(); n != 2 {
		t.Errorf("opened %d times", n)
	}
	at = at.Add(time.Hour)
	for range 3 {
		_ = get(data.Timeout)
	}
	at = at.Add(time.Hour)
	if b.State() != Probing || b.Pass() != nil || !errors.Is(b.Pass(), data.Away) {
		t.Error("not one call is let through to try")
	}
	gone, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.Passed(nil)
	for range 5 {
		answer = data.Timeout
		kv := data.NewKV(store(func() error { cancel(); return answer }), &data.Guard{Name: "k", Gate: b})
		_, _ = kv.Get(gone, "a")
	}
	if b.State() != Closed {
		t.Error("calls that were given up are held against the service")
	}
}

type store func() error

func (s store) Get(context.Context, string) (data.Value, error)               { return data.Value{}, s() }
func (s store) Put(context.Context, string, []byte, data.Put) (string, error) { return "", s() }
func (s store) Delete(context.Context, string, *string) error                 { return s() }
