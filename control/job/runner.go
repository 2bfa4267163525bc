package job

import (
	"context"
	"errors"
	"time"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
)

const (
	// maxPages is how many pages of items are open at most, but for one more
	// for each few that run at once.
	maxPages = 64
	// maxChanges is how many pages one commit holds.
	maxChanges = 64
	// maxUnsaved is how many records may wait to be stored before no more items
	// are run.
	maxUnsaved = 4000
)

// runner runs the items of one job. One goroutine has it; calls and commits run
// in others, and answer by channels.
type runner struct {
	o     Options
	k     key
	poke  chan struct{}
	lease *catalog.JobLease
	deck  *plan.Deck
	job   function.Job
	pages int // that the job has
	next  int // the page to be opened next

	calls  context.Context // of the calls
	end    context.CancelFunc
	done   chan settled
	saved  chan saved
	saving bool
	stuck  bool      // the last commit failed
	last   time.Time // when something was stored last
	until  time.Time // when calls end whose job is cancelled; zero: it is not
	wants  string    // why items are not run; "" if they are
}

type settled struct {
	plan.JobTask
	plan.JobOutcome
	dropped bool // nobody waited for the outcome any more
}

type saved struct {
	changes []plan.JobPageChange
	err     error
}

func newRunner(o Options, k key) *runner {
	return &runner{o: o, k: k, poke: make(chan struct{}, 1)}
}

// nudge says that the job has changed. Any goroutine may.
func (r *runner) nudge() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// run takes the job up and runs it until it has ended, or ctx is done.
func (r *runner) run(ctx context.Context) error {
	lease, err := r.o.Catalog.TakeJob(ctx, r.k.Name, r.k.job)
	if err != nil {
		return err
	}
	r.lease, r.next = lease, lease.First()
	r.saving, r.stuck, r.until, r.wants = false, false, time.Time{}, ""
	if err := r.refresh(ctx); err != nil {
		return err
	}
	r.deck = plan.NewDeck(r.job.Spec, lease.Epoch())
	r.done, r.saved = make(chan settled, max(r.job.Spec.Parallel, 1)), make(chan saved, 1)
	r.calls, r.end = context.WithCancel(context.WithoutCancel(ctx))
	defer r.end()
	return r.finish(ctx, r.loop(ctx))
}

func (r *runner) loop(ctx context.Context) error {
	for !r.job.Status.State.Ended() || r.saving {
		if err := r.deal(ctx); err != nil {
			return err
		}
		r.save(ctx)
		timer := time.NewTimer(r.sleep())
		var err error
		select {
		case s := <-r.done:
			r.settle(s)
		case s := <-r.saved:
			err = r.stored(ctx, s)
		case <-r.poke:
			err = r.refresh(ctx)
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		timer.Stop()
		if err != nil {
			return err
		}
	}
	return nil
}

// refresh reads the job anew.
func (r *runner) refresh(ctx context.Context) error {
	j, pages, err := r.lease.Look(ctx)
	if err != nil {
		return err
	}
	r.job, r.pages = j, pages
	if j.Status.State == function.JobCancelling && r.until.IsZero() {
		r.until = time.Now().Add(r.o.Grace)
	}
	return nil
}

// deal opens pages and calls the function, as far as that is to be.
func (r *runner) deal(ctx context.Context) error {
	if !r.until.IsZero() && time.Now().After(r.until) {
		r.end()
	}
	if r.job.Status.State != function.JobRunning || r.stuck || r.deck.Unsaved() > maxUnsaved {
		return nil
	}
	parallel := r.job.Spec.Parallel
	for !r.saving && r.next < r.pages && r.deck.Fresh() < 2*parallel+64 && r.deck.Pages() < maxPages+parallel/8 {
		page, records, err := r.lease.Page(ctx, r.next)
		if err != nil {
			return err
		}
		r.deck.Open(r.next, page, records)
		r.next++
	}
	for r.deck.Running() < parallel {
		t, ok := r.deck.Next(time.Now())
		if !ok {
			break
		}
		go r.call(Run{Of: r.k.Name, Job: r.k.job, Spec: r.job.Spec, JobTask: t})
	}
	return nil
}

// call runs the function on an item; done has room for the outcome.
func (r *runner) call(run Run) {
	ctx, cancel := context.WithTimeout(r.calls, run.Spec.Timeout.Std())
	defer cancel()
	o := r.o.Caller.Call(ctx, run)
	r.done <- settled{run.JobTask, o, r.calls.Err() != nil}
}

func (r *runner) settle(s settled) {
	switch {
	case s.dropped:
		r.deck.Drop(s.JobTask)
		return
	case s.Verdict == plan.JobNotRun:
		r.wants = s.Text
	default:
		r.wants = ""
	}
	r.deck.Settle(s.JobTask, s.JobOutcome, time.Now())
}

// due tells whether something is to be stored now, and else when.
func (r *runner) due() (now bool, in time.Duration) {
	if r.saving {
		return false, time.Hour
	}
	st := r.job.Status
	dirty := r.deck.Dirty()
	if r.deck.Running() == 0 && !r.stuck {
		st.Running = 0
		if dirty && r.deck.Fresh() == 0 || plan.JobSettle(st, time.Time{}).State != st.State {
			return true, 0
		}
	}
	wait := r.o.Every
	switch {
	case r.stuck:
		wait = pause
	case dirty:
	case r.deck.Running() != r.job.Status.Running || r.wants != r.shown():
		wait = pause
	default:
		return false, time.Hour
	}
	in = wait - time.Since(r.last)
	return in <= 0, in
}

// shown is why items are not run, as the status says.
func (r *runner) shown() string {
	if r.job.Status.State != function.JobRunning {
		return r.wants
	}
	return r.job.Status.Message
}

// sleep is how long there is nothing to do if nothing happens.
func (r *runner) sleep() time.Duration {
	_, in := r.due()
	next := r.deck.Wake()
	if r.job.Status.State == function.JobRunning && !r.stuck && !next.IsZero() && r.deck.Running() < r.job.Spec.Parallel {
		in = min(in, time.Until(next))
	}
	if !r.until.IsZero() && r.calls.Err() == nil {
		in = min(in, time.Until(r.until))
	}
	return max(in, time.Millisecond)
}

// save stores what became of items, in the background.
func (r *runner) save(ctx context.Context) {
	if now, _ := r.due(); !now {
		return
	}
	r.saving, r.last = true, time.Now()
	changes := r.deck.Changes(maxChanges)
	with := r.status(changes)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
		defer cancel()
		r.saved <- saved{changes, r.lease.Save(ctx, changes, with)}
	}()
}

// status makes the status of the one that is stored and of what is new.
func (r *runner) status(changes []plan.JobPageChange) func(function.JobStatus, plan.JobTally) function.JobStatus {
	running, wants, retries := r.deck.Running(), r.wants, plan.Retries(changes)
	return func(st function.JobStatus, t plan.JobTally) function.JobStatus {
		st.Running = running
		st.Completed, st.Failed, st.Retries = st.Completed+t.Completed, st.Failed+t.Failed, st.Retries+retries
		if st.State == function.JobRunning {
			st.Message = wants
		}
		return plan.JobSettle(st, time.Now().UTC().Round(time.Millisecond))
	}
}

// stored takes what became of a commit.
func (r *runner) stored(ctx context.Context, s saved) error {
	r.saving = false
	if errors.Is(s.err, catalog.ErrJobLost) || errors.Is(s.err, store.ErrNotFound) {
		return s.err
	}
	if s.err != nil {
		if !r.stuck {
			r.o.Log.Warn("put items of a job on record: no more are run until that is possible", "function", r.k.String(), "job", r.k.job, "error", s.err)
		}
		r.stuck = true
		return nil
	}
	r.stuck = false
	r.deck.Saved(s.changes)
	return r.refresh(ctx)
}
