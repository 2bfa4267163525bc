package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

func toTwo() function.Rollout {
	r := function.Rollout{Metadata: function.Metadata{Name: "prod", Namespace: hello.Namespace}, Spec: function.RolloutSpec{Function: hello.Name, Version: "2"}}
	r.Spec.Steps = []function.RolloutStep{{Weight: 10, Pause: quantity.Duration(time.Minute)}, {Weight: 100}}
	function.RolloutDefaults(&r)
	return r
}

// rolling is a catalog with a rollout of prod to version 2 under way.
func rolling(t *testing.T) *Catalog {
	t.Helper()
	c := published(t, 3)
	if _, err := c.PutAlias(t.Context(), prod("1"), "", Author{}); err != nil {
		t.Fatal(err)
	}
	if err := c.StartRollout(t.Context(), toTwo(), "", true, Author{By: "ada"}); err != nil {
		t.Fatal(err)
	}
	return c
}

func led(t *testing.T, c *Catalog, want string) {
	t.Helper()
	a, err := c.Alias(t.Context(), hello, "prod")
	if err != nil || fmt.Sprint(a.Spec.Versions) != want {
		t.Errorf("the alias leads to %v, want %s, %v", a.Spec.Versions, want, err)
	}
}

// Somebody moves the alias between what a rollout saw and what it stores: it
// looks again, and their move stands.
func TestRolloutMeetsAPerson(t *testing.T) {
	c := rolling(t)
	led(t, c, "[{1 90} {2 10}]")
	looks := 0
	err := c.FollowRollout(t.Context(), hello, "prod", Author{}, func(f Following) (plan.RolloutNext, json.RawMessage, bool, error) {
		if looks++; looks == 1 {
			if _, err := c.PutAlias(t.Context(), prod("3"), "", Author{By: "bob"}); err != nil {
				t.Fatal(err)
			}
		}
		st := f.Rollout.Status
		st.Began = time.Now()
		next := plan.Rollout(f.Rollout.Spec, st, plan.Seen{Now: time.Now().Add(time.Hour), Alias: f.Alias, Effective: true, Figures: &plan.RolloutFigures{New: function.RolloutFigures{Requests: 1000}}})
		return next, f.Mark, true, nil
	})
	if err != nil || looks != 2 {
		t.Errorf("looked %d times, %v", looks, err)
	}
	r, err := c.Rollout(t.Context(), hello, "prod")
	if err != nil || r.Status.State != function.RolloutSuperseded || !strings.Contains(r.Status.Message, "moved to 3 by bob") {
		t.Errorf("%+v, %v", r.Status, err)
	}
	led(t, c, "[{3 100}]")
}

// Of those who start, steer and delete at once one succeeds.
func TestRolloutsAreOneAtATime(t *testing.T) {
	c := rolling(t)
	if err := c.SteerRollout(t.Context(), hello, "prod", plan.RolloutPromote, Author{}); err != nil {
		t.Fatal(err)
	}
	led(t, c, "[{2 100}]")
	var busy *BusyError
	if err := c.StartRollout(t.Context(), toTwo(), "", true, Author{}); !errors.As(err, &busy) {
		t.Errorf("a second one: %v", err)
	}
	if err := c.DeleteRollout(t.Context(), hello, "prod", ""); !errors.As(err, &busy) {
		t.Errorf("deleting it: %v", err)
	}
	var wg sync.WaitGroup
	done := make([]error, 8)
	for i := range done {
		wg.Go(func() { done[i] = c.SteerRollout(t.Context(), hello, "prod", plan.RolloutAbort, Author{}) })
	}
	wg.Wait()
	won := 0
	for _, err := range done {
		switch {
		case err == nil:
			won++
		case !errors.As(err, &busy):
			t.Errorf("one of several: %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d aborted it", won)
	}
	led(t, c, "[{1 100}]")
	if err := c.Delete(t.Context(), hello, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Rollout(t.Context(), hello, "prod"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of a function that is no more: %v", err)
	}
}

// The mark of a step stays its own until another is made.
func TestRolloutKeepsItsMark(t *testing.T) {
	c := rolling(t)
	follow := func(mark string, save bool) (was string) {
		t.Helper()
		err := c.FollowRollout(t.Context(), hello, "prod", Author{}, func(f Following) (plan.RolloutNext, json.RawMessage, bool, error) {
			was = string(f.Mark)
			return plan.RolloutNext{Status: f.Rollout.Status}, json.RawMessage(mark), save, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return was
	}
	follow(`{"a":1}`, true)
	follow(`{"a":2}`, false)
	if err := c.SteerRollout(t.Context(), hello, "prod", plan.RolloutPause, Author{}); err != nil {
		t.Fatal(err)
	}
	if got := follow("", false); got != `{"a":1}` {
		t.Errorf("the mark is %s", got)
	}
}
