package control

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform/platformtest"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
)

// rolloutOf is a rollout of hello's alias prod; steps are weights and pauses,
// one after the other.
func rolloutOf(version int, least int64, steps ...any) function.Rollout {
	r := function.Rollout{Metadata: function.Metadata{Name: "prod"}, Spec: function.RolloutSpec{Function: "hello", Version: fmt.Sprint(version)}}
	for i := 0; i < len(steps); i += 2 {
		r.Spec.Steps = append(r.Spec.Steps, function.RolloutStep{Weight: float64(steps[i].(int)), Pause: quantity.Duration(steps[i+1].(time.Duration))})
	}
	r.Spec.Criteria.MinRequests = &least
	return r
}

// roll starts a rollout.
func (w *world) roll(r function.Rollout) function.Rollout {
	w.Helper()
	r, err := w.client.StartRollout(w.Context(), r, client.Author{By: "test"})
	if err != nil {
		w.Fatalf("start rollout: %v", err)
	}
	return r
}

// rollout waits until the rollout of prod is as wanted.
func (w *world) rollout(what string, as func(function.RolloutStatus) bool) function.RolloutStatus {
	w.Helper()
	var st function.RolloutStatus
	w.await("a rollout "+what, func(ctx context.Context) error {
		r, err := w.client.Rollout(ctx, "hello", "prod")
		if st = r.Status; err == nil && !as(st) {
			err = fmt.Errorf("it is %+v", st)
		}
		return err
	})
	return st
}

func in(s function.RolloutState) func(function.RolloutStatus) bool {
	return func(st function.RolloutStatus) bool { return st.State == s }
}

func (w *world) leadsTo(want string) {
	w.Helper()
	a, err := w.client.Alias(w.Context(), "hello", "prod")
	if err != nil || fmt.Sprint(a.Spec.Versions) != want {
		w.Errorf("the alias leads to %v, want %s, %v", a.Spec.Versions, want, err)
	}
}

// version deploys and publishes hello, which behaves as mode says.
func (w *world) version(v, mode string) int {
	w.Helper()
	cfg := config("hello", v)
	want := function.Ready
	if mode != "" {
		cfg.Spec.Env = append(cfg.Spec.Env, function.EnvVar{Name: "MODE", Value: mode})
	}
	if mode == "fail" {
		want = function.Failed
	}
	w.deploy(cfg, want)
	return w.publish("hello")
}

// A version that is good gets all traffic step by step, and no request fails
// meanwhile, though the control plane is killed in the midst of a step: the
// step's clock goes on where it was.
func TestRolloutOfAGoodVersion(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.move(alias("prod", w.version("1", ""), 100))
	two := w.version("2", "")
	load := steady(150, "http://"+w.gateway+"/hello:prod")
	w.roll(rolloutOf(two, 10, 20, 500*time.Millisecond, 50, 4*time.Second, 100, 500*time.Millisecond))
	mid := w.rollout("in its second step", func(st function.RolloutStatus) bool { return st.Step == 2 && !st.Began.IsZero() })
	w.kill()
	w.start()
	on := w.rollout("that goes on", func(st function.RolloutStatus) bool { return st.Step == 2 && st.New.Requests > 0 || st.Step == 3 })
	if on.Step == 2 && (!on.Began.Equal(mid.Began) || !on.Due.Equal(mid.Due)) {
		t.Errorf("the step began at %v and is due at %v, before at %v and %v", on.Began, on.Due, mid.Began, mid.Due)
	}
	st := w.rollout("that ends", func(st function.RolloutStatus) bool { return st.State.Ended() })
	w.leadsTo("[{2 100}]")
	w.answers("http://"+w.gateway+"/hello:prod", "2")
	load.stop(t)
	var said []string
	for _, e := range st.Events {
		said = append(said, e.Message)
		if e.Message == "passed" && (e.New.Requests < 10 || e.Old.Requests == 0) {
			t.Errorf("passed with %+v and %+v", e.New, e.Old)
		}
		if e.Message == "passed" && e.Step == 2 && e.At.Before(mid.Due) {
			t.Errorf("step 2 ended at %v, was to last until %v", e.At, mid.Due)
		}
	}
	want := "started: from 1 to version 2 in 3 steps|20% of the traffic goes to version 2|passed|50% of the traffic goes to version 2|passed|100% of the traffic goes to version 2|succeeded: all goes to version 2"
	if got := strings.Join(said, "|"); got != want || st.State != function.RolloutSucceeded || st.By != "test" {
		t.Errorf("%s: %s", st.State, got)
	}
}

// Whenever the control plane is killed, each step is gone once and in its order,
// and no request fails.
func TestRolloutSurvivesKills(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(uint64(seed), 1))
	w := newWorld(t)
	w.start()
	w.move(alias("prod", w.version("1", ""), 100))
	two := w.version("2", "")
	load := steady(100, "http://"+w.gateway+"/hello:prod")
	var steps []any
	want := []string{"started: from 1 to version 2 in 6 steps"}
	for _, weight := range []int{10, 30, 50, 70, 90} {
		steps = append(steps, weight, 200*time.Millisecond)
		want = append(want, fmt.Sprintf("%d%% of the traffic goes to version 2", weight), "passed")
	}
	w.roll(rolloutOf(two, 2, append(steps, 100, time.Duration(0))...))
	for range 5 {
		<-time.After(time.Duration(chance.Int64N(int64(500 * time.Millisecond)))) // any moment
		w.kill()
		w.start()
	}
	st := w.rollout("that ends", func(st function.RolloutStatus) bool { return st.State.Ended() })
	load.stop(t)
	w.leadsTo("[{2 100}]")
	var said []string
	for _, e := range st.Events {
		said = append(said, e.Message)
	}
	if diff := cmp.Diff(append(want, "succeeded: all goes to version 2"), said); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	a, err := w.client.Alias(t.Context(), "hello", "prod")
	if err != nil || len(a.Status.History) != 7 {
		t.Errorf("%d moves, want one for each step and the first: %v", len(a.Status.History), err)
	}
}

// Versions that fail, are slow or do not start are taken back.
func TestRolloutOfABadVersionIsTakenBack(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.move(alias("prod", w.version("1", ""), 100))
	load := steady(60, "http://"+w.gateway+"/hello:prod")
	defer func() {
		load.cancel()
		load.wg.Wait()
	}()
	failing := rolloutOf(w.version("2", "flaky"), 20, 30, time.Hour, 100, time.Duration(0))
	failing.Spec.Criteria.MaxErrorRateIncrease = new(5.0)
	slow := rolloutOf(w.version("3", "slow"), 10, 10, time.Hour, 100, time.Duration(0))
	slow.Spec.Criteria.MaxP99Factor = new(2.0)
	missing := rolloutOf(w.version("4", "fail"), 10, 10, time.Hour, 100, time.Duration(0))
	missing.Spec.ReadyTimeout = quantity.Duration(time.Second)
	for _, c := range []struct {
		rollout function.Rollout
		because string
	}{{failing, "failed, and 0% of what it replaces: more than 5% above"}, {slow, "the 99th percentile is "}, {missing, "version 4 is "}} {
		began := time.Now()
		w.roll(c.rollout)
		st := w.rollout("that ends", func(st function.RolloutStatus) bool { return st.State.Ended() })
		t.Logf("%s after %v: %s", st.State, time.Since(began), st.Message)
		if st.State != function.RolloutRolledBack || !strings.Contains(st.Message, c.because) {
			t.Errorf("%s: %q, want %q", st.State, st.Message, c.because)
		}
		w.leadsTo("[{1 100}]")
		a, err := w.client.Alias(t.Context(), "hello", "prod")
		if err != nil || !strings.Contains(a.Status.History[0].Note, st.Message) {
			t.Errorf("the alias's history says %+v, %v", a.Status.History[0], err)
		}
		for range 20 {
			if a, err := platformtest.Ask(platformtest.Fresh(), "http://"+w.gateway+"/hello:prod", "x"); err != nil || a.Version != "1" {
				t.Fatalf("after the way back: version %s, %v", a.Version, err)
			}
		}
	}
}

// People pause, resume, promote and abort rollouts, and move the alias
// meanwhile, which ends it. What cannot be is refused.
func TestRolloutsAreSteered(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.move(alias("prod", w.version("1", ""), 100))
	two := w.version("2", "")
	long := rolloutOf(two, 0, 10, time.Hour, 100, time.Duration(0))
	steer := func(verb string) function.Rollout {
		t.Helper()
		r, err := w.client.SteerRollout(t.Context(), "hello", "prod", verb, client.Author{By: "bob", Note: "I say so"})
		if err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
		return r
	}
	refused := func(what, want string, status int, err error) {
		t.Helper()
		var p *problem.Problem
		if !errors.As(err, &p) || p.Status != status || !strings.Contains(p.Detail, want) {
			t.Errorf("%s: %v, want %d and %q", what, err, status, want)
		}
	}
	begun := func(st function.RolloutStatus) bool { return !st.Began.IsZero() && st.Step == 1 }

	w.roll(long)
	w.rollout("in its first step", begun)
	w.leadsTo("[{1 90} {2 10}]")
	_, err := w.client.StartRollout(t.Context(), long, client.Author{})
	refused("a second one", "under way (step 1 of 2)", http.StatusConflict, err)
	refused("deleting it", "under way", http.StatusConflict, w.client.DeleteRollout(t.Context(), "hello", "prod"))
	if r, err := w.client.PutRollout(t.Context(), long, client.Author{}); err != nil || len(r.Status.Events) != 2 {
		t.Errorf("the same again: %+v, %v", r.Status, err)
	}
	if r := steer("pause"); r.Status.State != function.RolloutPaused || r.Status.Left.Std() < 58*time.Minute || !r.Status.Due.IsZero() {
		t.Errorf("paused: %+v", r.Status)
	}
	_, err = w.client.SteerRollout(t.Context(), "hello", "prod", "pause", client.Author{})
	refused("pausing twice", "is paused", http.StatusConflict, err)
	if r := steer("resume"); r.Status.State != function.RolloutProgressing || time.Until(r.Status.Due) < 58*time.Minute {
		t.Errorf("resumed: %+v", r.Status)
	}
	steer("abort")
	st := w.rollout("that was aborted", in(function.RolloutRolledBack))
	w.leadsTo("[{1 100}]")
	if st.Message != "aborted: I say so" || st.Events[len(st.Events)-2].By != "bob" {
		t.Errorf("%+v", st)
	}
	if r, err := w.client.PutRollout(t.Context(), long, client.Author{}); err != nil || r.Status.State != function.RolloutRolledBack {
		t.Errorf("the same again: %+v, %v", r.Status, err)
	}

	w.roll(long)
	w.move(alias("prod", 1, 60, 2, 40))
	st = w.rollout("that was overtaken", in(function.RolloutSuperseded))
	w.leadsTo("[{1 60} {2 40}]")
	if !strings.Contains(st.Message, "the alias was moved to 1 (60%), 2 (40%)") {
		t.Errorf("%+v", st)
	}

	w.roll(long) // of the rest
	steer("promote")
	w.rollout("that was promoted", in(function.RolloutSucceeded))
	w.leadsTo("[{2 100}]")
	all, err := w.client.Rollouts(t.Context(), "hello")
	if err != nil || len(all) != 1 || len(all[0].Status.Events) < 3 {
		t.Errorf("%+v, %v", all, err)
	}
	_, err = w.client.StartRollout(t.Context(), long, client.Author{})
	refused("to where it leads", "spec.version: the alias leads to version 2 already", http.StatusUnprocessableEntity, err)
	nowhere := rolloutOf(9, 0, 10, time.Second, 50, time.Second)
	nowhere.Metadata.Name = "prd"
	_, err = w.client.StartRollout(t.Context(), nowhere, client.Author{})
	refused("weights", "spec.steps[1].weight: is 50, expected 100", http.StatusUnprocessableEntity, err)
	nowhere.Spec.Steps[1].Weight = 100
	_, err = w.client.StartRollout(t.Context(), nowhere, client.Author{})
	refused("a version that is not there", "spec.version: hello has no version 9", http.StatusUnprocessableEntity, err)
	refused("an alias that is not there", `metadata.name: hello has no alias "prd"`, http.StatusUnprocessableEntity, err)
	if err := w.client.DeleteRollout(t.Context(), "hello", "prod"); err != nil {
		t.Error(err)
	}
	if _, err := w.client.Rollout(t.Context(), "hello", "prod"); !client.NotFound(err) {
		t.Errorf("a deleted one: %v", err)
	}

	back := rolloutOf(1, 0, 10, time.Hour, 100, time.Duration(0))
	w.roll(back)
	if err := w.client.Delete(t.Context(), "hello"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Rollout(t.Context(), "hello", "prod"); !client.NotFound(err) {
		t.Errorf("a rollout of a function that is no more: %v", err)
	}
}

// Events that follow the alias count: a version that fails with them is taken
// back, by the figures of the real processor.
func TestRolloutCountsEvents(t *testing.T) {
	addr := servers.NATS(t).Addr
	w := newNoting(t)
	w.move(alias("prod", w.version("one"), 100))
	two := w.version("broken")
	w.mapped("queue", function.Trigger{Kind: "nats", URL: "nats://" + addr}, map[string]any{"topic": "in", "queueName": "q"})
	w.follows("queue", "[{1 100}]")
	send := natsSender(t, addr)
	r := rolloutOf(two, 5, 50, time.Hour, 100, time.Duration(0))
	r.Spec.Criteria.MaxErrorRate = new(50.0)
	w.roll(r)
	st := w.rollout("that ends", func(st function.RolloutStatus) bool {
		send("x")
		return st.State.Ended()
	})
	t.Logf("%s: %s", st.State, st.Message)
	if st.State != function.RolloutRolledBack || !strings.Contains(st.Message, "100% of") || st.New.Events < 5 || st.New.EventErrors != st.New.Events || st.New.Requests != 0 {
		t.Errorf("%+v", st)
	}
	if st.Old.EventErrors != 0 {
		t.Errorf("of the old version: %+v", st.Old)
	}
	w.leadsTo("[{1 100}]")
}

// natsSender returns what sends an event to the subject in.
func natsSender(t *testing.T, addr string) func(body string) {
	t.Helper()
	conn, err := nats.Connect("nats://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return func(body string) {
		t.Helper()
		if err := conn.Publish("in", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
}
