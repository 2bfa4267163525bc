package link

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// TestDesk settles entries in any order from many goroutines, and wants Redis
// to have heard of each once, as it was settled.
func TestDesk(t *testing.T) {
	var mu sync.Mutex
	heard := map[string]string{}
	calls := 0
	tell := func(what string) func(int, []any) error {
		return func(stream int, ids []any) error {
			mu.Lock()
			defer mu.Unlock()
			calls++
			for _, id := range ids {
				k := fmt.Sprint(stream, "/", id)
				if heard[k] != "" {
					t.Errorf("%s was told twice", k)
				}
				heard[k] = what
			}
			return nil
		}
	}
	d := NewDesk(3, tell("ack"), tell("back"))
	want := map[string]string{}
	for round := range 50 {
		var all sync.WaitGroup
		for i := range 100 {
			stream, back := rand.IntN(3), rand.IntN(4) == 0
			id := fmt.Sprint(round, "-", i)
			tag := d.Open(stream, id)
			want[fmt.Sprint(stream, "/", id)] = map[bool]string{true: "back", false: "ack"}[back]
			all.Go(func() {
				if err := d.Settle(back, tag); err != nil {
					t.Error(err)
				}
				if _, _, ok := d.Look(tag); ok {
					t.Error("a settled entry is still known")
				}
				if d.Settle(back, tag) == nil {
					t.Error("an entry was settled twice")
				}
			})
		}
		all.Wait()
	}
	for k, v := range want {
		if heard[k] != v {
			t.Errorf("%s: told %q, want %q", k, heard[k], v)
		}
	}
	t.Logf("%d entries in %d calls", len(want), calls)
}

func TestDeskKeepsItsError(t *testing.T) {
	lost := errors.New("lost")
	d := NewDesk(1, func(int, []any) error { return lost }, nil)
	for range 2 {
		if err := d.Settle(false, d.Open(0, "1-0")); !errors.Is(err, lost) {
			t.Errorf("settle: %v", err)
		}
	}
}
