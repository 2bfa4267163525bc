package control

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

var (
	jobItems = flag.Int("jobitems", 3000, "items of the job that is disturbed")
	jobKills = flag.Duration("jobkills", 0, "how often something is killed besides")
)

// jobOf is a job of hello.
func jobOf(name string, parallel int) function.Job {
	return function.Job{Metadata: function.Metadata{Name: name}, Spec: function.JobSpec{
		Function: "hello", Parallel: parallel, KeepResults: true,
		Retry: function.JobRetry{Attempts: 50, Backoff: quantity.Duration(10 * time.Millisecond), MaxBackoff: quantity.Duration(time.Second)},
	}}
}

// begin begins a job.
func (w *world) begin(j function.Job) {
	w.Helper()
	if _, err := w.client.StartJob(w.Context(), j, client.Author{By: "test"}); err != nil {
		w.Fatal(err)
	}
}

// added adds numbered items to a job until it has upTo; a control plane that is
// away is waited for.
func (w *world) added(name string, upTo int) {
	w.Helper()
	for n := 0; n < upTo; {
		var batch []string
		for i := n; i < min(n+1000, upTo); i++ {
			batch = append(batch, fmt.Sprintf("item-%d", i+1))
		}
		w.await("items to be taken", func(ctx context.Context) error {
			_, err := w.client.AddJobItems(ctx, "hello", name, int64(n), batch)
			return err
		})
		n += len(batch)
	}
}

func (w *world) steerJob(name, verb string) function.Job {
	w.Helper()
	j, err := w.client.SteerJob(w.Context(), "hello", name, verb, client.Author{By: "test"})
	if err != nil {
		w.Fatalf("%s: %v", verb, err)
	}
	return j
}

// job waits until a job is as wanted.
func (w *world) job(name, what string, as func(function.JobStatus) bool) (st function.JobStatus) {
	w.Helper()
	w.await("a job "+what, func(ctx context.Context) error {
		j, err := w.client.Job(ctx, "hello", name)
		if st = j.Status; err == nil && !as(st) {
			err = fmt.Errorf("it is %+v", st)
		}
		return err
	})
	return st
}

// completed looks that each of so many items has exactly one record, and that
// of its own item.
func (w *world) completed(name string, items int) (attempts int) {
	w.Helper()
	seen := 0
	for after := int64(0); ; {
		page, next, err := w.client.JobItems(w.Context(), "hello", name, "", after)
		if err != nil {
			w.Fatal(err)
		}
		for _, it := range page {
			seen++
			text := fmt.Sprintf("item-%d", seen)
			if it.Number != int64(seen) || it.Item != text || it.State != function.ItemCompleted || it.Finished.IsZero() || it.Attempts < 1 {
				w.Fatalf("item %d: %+v", seen, it)
			}
			attempts += it.Attempts
		}
		if after = next; next == 0 {
			break
		}
	}
	if seen != items {
		w.Errorf("%d items, want %d", seen, items)
	}
	return attempts
}

// Processors and the control plane are killed again and again while a job runs
// and gets more items: each item is completed, and has exactly one record.
func TestJobSurvivesKills(t *testing.T) {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(uint64(seed), 1))
	w := newWorld(t)
	w.start()
	cfg := config("hello", "1")
	cfg.Spec.MinReplicas, cfg.Spec.MaxReplicas = new(2), new(2)
	cfg.Spec.Env = append(cfg.Spec.Env, function.EnvVar{Name: "MODE", Value: "tired"})
	w.deploy(cfg, function.Ready)
	began := time.Now()
	w.begin(jobOf("nightly", 16))
	w.added("nightly", *jobItems/2)
	kills, planes := 0, 0
	kill := func() {
		if kills++; kills%3 == 0 {
			planes++
			w.kill()
			w.start()
		} else if f, err := w.client.Function(t.Context(), "hello"); err == nil && len(f.Status.Replicas) > 0 {
			_ = syscall.Kill(f.Status.Replicas[chance.IntN(len(f.Status.Replicas))].PID, syscall.SIGKILL) // it may be gone already
		}
	}
	for part := 1; part <= 7; part++ { // items come while it runs
		w.job("nightly", "that goes on", func(st function.JobStatus) bool { return st.Settled() >= int64(*jobItems*part/16) })
		kill()
	}
	w.added("nightly", *jobItems)
	w.steerJob("nightly", "close")
	var st function.JobStatus
	for next := time.Now(); !st.State.Ended(); {
		w.await("the job", func(ctx context.Context) error {
			j, err := w.client.Job(ctx, "hello", "nightly")
			st = j.Status
			return err
		})
		if time.Since(began) > patience+time.Duration(*jobItems)*20*time.Millisecond {
			t.Fatalf("not at its end after %v: %+v", time.Since(began), st)
		}
		<-time.After(20 * time.Millisecond)
		if *jobKills > 0 && time.Since(next) > *jobKills {
			next = time.Now()
			kill()
		}
	}
	attempts := w.completed("nightly", *jobItems)
	t.Logf("%d items in %v over %d kills, %d of them of the control plane: %d attempts, epoch %d, %s", *jobItems, time.Since(began), kills, planes, attempts, st.Epoch, st.State)
	if st.State != function.JobSucceeded || st.Completed != int64(*jobItems) || st.Failed != 0 || int64(attempts) != st.Completed+st.Retries {
		t.Errorf("%+v", st)
	}
	if planes == 0 || st.Epoch != int64(planes)+1 {
		t.Errorf("epoch %d after %d control planes", st.Epoch, planes+1)
	}
}

// People pause, resume and cancel jobs and ask what failed. What cannot be is
// refused, and leaves nothing behind.
func TestJobsAreSteered(t *testing.T) {
	w := newWorld(t)
	w.start()
	refused := func(what, want string, status int, err error) {
		t.Helper()
		var p *problem.Problem
		if !errors.As(err, &p) || p.Status != status || !strings.Contains(p.Detail, want) {
			t.Errorf("%s: %v, want %d and %q", what, err, status, want)
		}
	}
	start := func(j function.Job) error {
		_, err := w.client.StartJob(t.Context(), j, client.Author{})
		return err
	}
	refused("an unknown function", `there is no function "hello"`, http.StatusUnprocessableEntity, start(jobOf("nightly", 2)))
	cfg := config("hello", "1")
	cfg.Spec.Env = append(cfg.Spec.Env, function.EnvVar{Name: "MODE", Value: "flaky"})
	w.deploy(cfg, function.Ready)
	j := jobOf("nightly", 1)
	j.Spec.Alias = "prod"
	refused("an unknown alias", `hello has no alias "prod"`, http.StatusUnprocessableEntity, start(j))
	j = jobOf("nightly", 5000)
	refused("too many at once", "spec.parallel: is 5000, expected 1 to 1000", http.StatusUnprocessableEntity, start(j))

	j = jobOf("nightly", 1)
	j.Spec.Retry.Attempts = 1
	w.begin(j)
	refused("a second one", "exists already", http.StatusConflict, start(j))
	add := func(at int64, items ...string) error {
		_, err := w.client.AddJobItems(t.Context(), "hello", "nightly", at, items)
		return err
	}
	steer := func(verb string) error {
		_, err := w.client.SteerJob(t.Context(), "hello", "nightly", verb, client.Author{})
		return err
	}
	refused("closing an empty set", "it has no items", http.StatusConflict, steer("close"))
	refused("an empty item", "it is empty", http.StatusUnprocessableEntity, add(-1, "a", ""))
	refused("a long item", "an item at most 65536", http.StatusUnprocessableEntity, add(-1, strings.Repeat("x", 65537)))
	refused("items behind a gap", "has 0 items", http.StatusConflict, add(5, "x"))
	w.steerJob("nightly", "pause")
	w.added("nightly", 10)
	if st := w.job("nightly", "paused", func(st function.JobStatus) bool { return st.Items == 10 }); st.Settled() != 0 {
		t.Errorf("it runs: %+v", st)
	}
	refused("pausing twice", "is paused", http.StatusConflict, steer("pause"))
	refused("deleting it", "cancel it first", http.StatusConflict, w.client.DeleteJob(t.Context(), "hello", "nightly"))
	w.steerJob("nightly", "close")
	w.steerJob("nightly", "resume")
	st := w.job("nightly", "at its end", func(st function.JobStatus) bool { return st.State.Ended() })
	if st.State != function.JobFailed || st.Failed != 2 || st.Completed != 8 {
		t.Errorf("%+v", st)
	}
	failed, _, err := w.client.JobItems(t.Context(), "hello", "nightly", function.ItemFailed, 0)
	if err != nil || len(failed) != 2 || failed[0].Error != "500: every fifth request fails" || failed[0].Number != 5 {
		t.Errorf("%+v, %v", failed, err)
	}
	refused("adding too late", "is failed: nothing can be added", http.StatusConflict, add(-1, "x"))
	if err := w.client.DeleteJob(t.Context(), "hello", "nightly"); err != nil {
		t.Error(err)
	}
	if _, err := w.client.Job(t.Context(), "hello", "nightly"); !client.NotFound(err) {
		t.Errorf("a deleted one: %v", err)
	}
}

// Items go to the versions that an alias names, by its weights, and a job of a
// function that does not serve waits for it.
func TestJobFollowsAnAlias(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.move(alias("prod", w.version("1", ""), 50, w.version("2", ""), 50))
	j := jobOf("nightly", 4)
	j.Spec.Alias = "prod"
	w.begin(j)
	w.added("nightly", 200)
	w.steerJob("nightly", "close")
	w.job("nightly", "at its end", func(st function.JobStatus) bool { return st.State == function.JobSucceeded })
	w.completed("nightly", 200)
	items, _, err := w.client.JobItems(t.Context(), "hello", "nightly", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]int{}
	for _, it := range items {
		by[strings.SplitN(it.Result, ",", 2)[0]]++
	}
	if one, two := by[`{"Version":"1"`], by[`{"Version":"2"`]; one < 50 || two < 50 || one+two != 200 {
		t.Errorf("run by %v", by)
	}

	off := config("hello", "3")
	off.Spec.Disable = true
	w.deploy(off, function.Disabled)
	w.begin(jobOf("later", 4))
	w.added("later", 20)
	w.steerJob("later", "close")
	w.job("later", "that waits", func(st function.JobStatus) bool {
		return strings.Contains(st.Message, "it is disabled") && st.Settled() == 0
	})
	w.deploy(config("hello", "4"), function.Ready)
	w.job("later", "at its end", func(st function.JobStatus) bool { return st.State == function.JobSucceeded && st.Retries == 0 })
	w.completed("later", 20)
}
