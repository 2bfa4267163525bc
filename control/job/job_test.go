package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

const patience = 60 * time.Second

var hello = catalog.Name{Namespace: "default", Name: "hello"}

// flaky is a store that can be told to fail, as one on a full disk does.
type flaky struct {
	store.Store
	mu      sync.Mutex
	fail    bool
	refused int
}

func (f *flaky) set(fail bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *flaky) Commit(ctx context.Context, ops ...store.Op) (store.Revision, error) {
	f.mu.Lock()
	fail := f.fail
	if fail {
		f.refused++
	}
	f.mu.Unlock()
	if fail {
		return 0, store.ErrFull
	}
	return f.Store.Commit(ctx, ops...)
}

func (f *flaky) refusals() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refused
}

// called counts the runs of items.
type called struct {
	mu   sync.Mutex
	runs map[string]int
	as   func(ctx context.Context, r Run) plan.JobOutcome
}

func (c *called) Call(ctx context.Context, r Run) plan.JobOutcome {
	c.mu.Lock()
	if c.runs == nil {
		c.runs = map[string]int{}
	}
	c.runs[r.Item]++
	c.mu.Unlock()
	if c.as != nil {
		return c.as(ctx, r)
	}
	return plan.JobOutcome{}
}

func (c *called) total() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.runs {
		n += k
	}
	return n
}

type world struct {
	*testing.T
	disk *flaky
	cat  *catalog.Catalog
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir(), Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	disk := &flaky{Store: s}
	w := &world{t, disk, catalog.New(disk)}
	if err := w.cat.Put(t.Context(), function.Config{Metadata: function.Metadata{Name: hello.Name, Namespace: hello.Namespace}}, ""); err != nil {
		t.Fatal(err)
	}
	return w
}

// begin begins a job of so many items.
func (w *world) begin(items int, spec function.JobSpec) {
	w.Helper()
	spec.Function = hello.Name
	j := function.Job{Metadata: function.Metadata{Name: "nightly", Namespace: hello.Namespace}, Spec: spec}
	function.JobDefaults(&j)
	if err := w.cat.StartJob(w.Context(), j, "id"+fmt.Sprint(time.Now().UnixNano()), catalog.Author{By: "ada"}); err != nil {
		w.Fatal(err)
	}
	var all []string
	for i := range items {
		all = append(all, fmt.Sprintf("item %d", i+1))
	}
	if n, err := w.cat.AddJobItems(w.Context(), hello, "nightly", 0, all); err != nil || n != int64(items) {
		w.Fatal(n, err)
	}
}

func (w *world) steer(verb string) {
	w.Helper()
	if err := w.cat.SteerJob(w.Context(), hello, "nightly", verb, catalog.Author{}); err != nil {
		w.Fatal(err)
	}
}

// drive starts a driver; what it returns ends it.
func (w *world) drive(c Caller, grace time.Duration) func() {
	ctx, cancel := context.WithCancel(context.Background())
	d := New(Options{Catalog: w.cat, Caller: c, Log: slog.New(slog.NewTextHandler(logTo{w.T}, nil)), Every: 20 * time.Millisecond, Grace: grace})
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	var once sync.Once
	end := func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				w.Error(err)
			}
		})
	}
	w.Cleanup(end)
	return end
}

type logTo struct{ t *testing.T }

func (l logTo) Write(b []byte) (int, error) {
	l.t.Log(string(b))
	return len(b), nil
}

func (w *world) await(what string, as func(function.JobStatus) bool) function.JobStatus {
	w.Helper()
	for deadline := time.Now().Add(patience); ; {
		j, err := w.cat.Job(w.Context(), hello, "nightly")
		if err != nil {
			w.Fatal(err)
		}
		if as(j.Status) {
			return j.Status
		}
		if time.Now().After(deadline) {
			w.Fatalf("waited for a job that is %s: %+v", what, j.Status)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func ended(st function.JobStatus) bool { return st.State.Ended() }

// records returns the records of all items, of which each must have one.
func (w *world) records(items int) []function.JobItem {
	w.Helper()
	var all []function.JobItem
	for more, after := true, int64(0); more; {
		page, next, err := w.cat.JobItems(w.Context(), hello, "nightly", "", after, 1000)
		if err != nil {
			w.Fatal(err)
		}
		all, more = append(all, page...), next
		if len(page) > 0 {
			after = page[len(page)-1].Number
		}
	}
	if len(all) != items {
		w.Fatalf("%d items, want %d", len(all), items)
	}
	for i, it := range all {
		if it.Number != int64(i+1) || it.Item != fmt.Sprintf("item %d", i+1) || it.State == function.ItemWaiting || it.Finished.IsZero() {
			w.Fatalf("item %d is %+v", i+1, it)
		}
	}
	return all
}

// Items are run as many at once as is said, those that fail again, and those
// that fail for good are in the report.
func TestJobRunsItems(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	now, most := 0, 0
	c := &called{as: func(_ context.Context, r Run) plan.JobOutcome {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		defer func() {
			mu.Lock()
			now--
			mu.Unlock()
		}()
		switch {
		case r.Number%50 == 0 && r.Attempt < 3:
			return plan.JobOutcome{Verdict: plan.JobAgain, Text: "not yet"}
		case r.Number == 7:
			return plan.JobOutcome{Verdict: plan.JobBad, Text: "400: never"}
		case r.Number == 8:
			return plan.JobOutcome{Verdict: plan.JobAgain, Text: "500: again and again"}
		}
		return plan.JobOutcome{Text: "did " + r.Item}
	}}
	w.drive(c, time.Second)
	w.begin(300, function.JobSpec{Parallel: 7, KeepResults: true, Retry: function.JobRetry{Attempts: 4, Backoff: quantity.Duration(time.Millisecond)}})
	w.await("running", func(st function.JobStatus) bool { return st.Settled() == 300 })
	if n, err := w.cat.AddJobItems(t.Context(), hello, "nightly", 298, []string{"item 299", "item 300", "item 301"}); err != nil || n != 301 {
		t.Errorf("%d items, %v", n, err)
	}
	w.steer(plan.JobClose)
	st := w.await("at its end", ended)
	if st.State != function.JobFailed || st.Completed != 299 || st.Failed != 2 || st.Retries != 6*2+3 || st.Running != 0 || st.Duplicates != 0 {
		t.Errorf("%+v", st)
	}
	all := w.records(301)
	if all[6].Attempts != 1 || all[6].Error != "400: never" || all[7].Attempts != 4 || all[49].Attempts != 3 || all[49].Result != "did item 50" {
		t.Errorf("%+v, %+v, %+v", all[6], all[7], all[49])
	}
	failed, more, err := w.cat.JobItems(t.Context(), hello, "nightly", function.ItemFailed, 0, 1)
	if err != nil || len(failed) != 1 || failed[0].Number != 7 || !more {
		t.Errorf("%+v, %v, %v", failed, more, err)
	}
	if most > 7 || c.total() != 301+15 {
		t.Errorf("%d at once, %d runs", most, c.total())
	}
	if err := w.cat.DeleteJob(t.Context(), hello, "nightly", ""); err != nil {
		t.Error(err)
	}
	left, _, err := w.disk.List(t.Context(), "job")
	if err != nil || len(left) != 0 {
		t.Errorf("%d keys are left, %v", len(left), err)
	}
}

// Paused, no further item is run; cancelled, what runs is waited for within the
// grace, and the rest has no record.
func TestJobIsPausedAndCancelled(t *testing.T) {
	w := newWorld(t)
	gate := make(chan struct{})
	c := &called{as: func(ctx context.Context, r Run) plan.JobOutcome {
		select {
		case <-gate:
			return plan.JobOutcome{}
		case <-ctx.Done():
			return plan.JobOutcome{Verdict: plan.JobAgain, Text: "cut off"}
		}
	}}
	w.drive(c, 50*time.Millisecond)
	w.begin(200, function.JobSpec{Parallel: 4})
	w.await("busy", func(st function.JobStatus) bool { return st.Running == 4 })
	w.steer(plan.JobPause)
	// What the runner began before it heard of the pause is finished.
	idle := w.await("idle", func(st function.JobStatus) bool {
		select {
		case gate <- struct{}{}:
		case <-time.After(time.Millisecond):
		}
		return st.Running == 0 && st.State == function.JobPaused && st.Completed > 0
	})
	if n := c.total(); int64(n) != idle.Completed || n == 200 {
		t.Errorf("%d runs of a job that is paused with %d completed", n, idle.Completed)
	}
	w.steer(plan.JobResume)
	w.await("busy again", func(st function.JobStatus) bool { return st.Running == 4 })
	w.steer(plan.JobCancel)
	if st := w.await("cancelled", ended); st.State != function.JobCancelled || st.Completed != idle.Completed || st.Failed != 0 {
		t.Errorf("%+v", st)
	}
	var busy *catalog.BusyError
	if _, err := w.cat.AddJobItems(t.Context(), hello, "nightly", -1, []string{"late"}); !errors.As(err, &busy) {
		t.Errorf("added to a job that is cancelled: %v", err)
	}
}

// A driver that was taken for dead runs on: not one of its records counts, but
// the runs are counted as duplicates, and each item has one record.
func TestJobTakenFromAZombie(t *testing.T) {
	w := newWorld(t)
	gate := make(chan struct{})
	slow := &called{as: func(context.Context, Run) plan.JobOutcome {
		<-gate
		return plan.JobOutcome{Text: "by the zombie"}
	}}
	endZombie := w.drive(slow, patience)
	w.begin(200, function.JobSpec{Parallel: 5, KeepResults: true})
	w.steer(plan.JobClose)
	w.await("busy", func(st function.JobStatus) bool { return st.Running == 5 })
	w.drive(&called{as: func(context.Context, Run) plan.JobOutcome { return plan.JobOutcome{Text: "by the new one"} }}, patience)
	st := w.await("at its end", ended)
	if st.State != function.JobSucceeded || st.Completed != 200 || st.Epoch != 2 {
		t.Errorf("%+v", st)
	}
	close(gate)
	endZombie()
	for _, it := range w.records(200) {
		if it.Result != "by the new one" || it.Epoch != 2 || it.Attempts != 1 {
			t.Fatalf("%+v", it)
		}
	}
	if st := w.await("counted", func(st function.JobStatus) bool { return st.Duplicates == 5 }); st.Completed != 200 {
		t.Errorf("%+v", st)
	}
}

// While the store takes nothing no more items are run than can be put on record
// later, and nothing is lost or counted twice.
func TestJobOnAFullDisk(t *testing.T) {
	w := newWorld(t)
	c := &called{}
	c.as = func(_ context.Context, r Run) plan.JobOutcome {
		if r.Number == 100 {
			w.disk.set(true)
		}
		return plan.JobOutcome{}
	}
	w.drive(c, time.Second)
	w.begin(3000, function.JobSpec{Parallel: 3})
	for deadline := time.Now().Add(patience); w.disk.refusals() < 2; {
		if time.Now().After(deadline) {
			t.Fatal("nothing was refused")
		}
		<-time.After(5 * time.Millisecond)
	}
	w.disk.set(false)
	w.await("gone on", func(st function.JobStatus) bool { return st.Completed == 3000 })
	w.steer(plan.JobClose)
	if st := w.await("at its end", ended); st.State != function.JobSucceeded || st.Completed != 3000 {
		t.Errorf("%+v", st)
	}
	w.records(3000)
	if n := c.total(); n != 3000 {
		t.Errorf("%d runs", n)
	}
}

// A job that is deleted with its function leaves nothing behind, and its runner
// ends.
func TestJobGoesWithItsFunction(t *testing.T) {
	w := newWorld(t)
	c := &called{as: func(ctx context.Context, _ Run) plan.JobOutcome {
		<-ctx.Done()
		return plan.JobOutcome{Verdict: plan.JobAgain}
	}}
	end := w.drive(c, time.Second)
	w.begin(500, function.JobSpec{Parallel: 2})
	w.await("busy", func(st function.JobStatus) bool { return st.Running == 2 })
	if err := w.cat.Delete(t.Context(), hello, ""); err != nil {
		t.Fatal(err)
	}
	left, _, err := w.disk.List(t.Context(), "job")
	if err != nil || len(left) != 0 {
		t.Errorf("%d keys are left, %v", len(left), err)
	}
	end()
}
