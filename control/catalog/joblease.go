package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
)

// ErrJobLost says that somebody else has taken up a job: what was not put on
// record by then never will be.
var ErrJobLost = errors.New("somebody else has taken up the job")

// JobLease is the right to put the items of a job on record, until somebody else
// takes the job up. One goroutine uses it.
type JobLease struct {
	c     *Catalog
	of    Name
	name  string
	id    string
	epoch int64
	marks map[int]mark // of the records of pages that are open
	whole int          // pages from the first on that are complete
	full  map[int]bool // complete ones behind them
}

// mark is how a page of records is stored.
type mark struct {
	at   store.Revision
	done int // how many records it has
}

// TakeJob takes a job up, under an epoch greater than any before.
// [store.ErrNotFound]: there is none, or it has ended.
func (c *Catalog) TakeJob(ctx context.Context, n Name, name string) (*JobLease, error) {
	l := &JobLease{c: c, of: n, name: name, marks: map[int]mark{}, full: map[int]bool{}}
	err := again(func() error {
		k, err := c.keptJob(ctx, n, name)
		if err != nil {
			return err
		}
		if k.Status.State.Ended() {
			return store.ErrNotFound
		}
		k.Status = plan.JobTaken(k.Status, now())
		l.id, l.epoch, l.whole = k.ID, k.Status.Epoch, k.Whole
		op, err := k.op(n, name)
		if err == nil {
			_, err = c.s.Commit(ctx, op)
		}
		return met(err)
	})
	return l, err
}

// Epoch is that of the lease.
func (l *JobLease) Epoch() int64 { return l.epoch }

// kept is the job as it is stored, if it is still the lease's.
func (l *JobLease) kept(ctx context.Context) (k keptJob, err error) {
	k, err = l.c.keptJob(ctx, l.of, l.name)
	switch {
	case err == nil && k.ID != l.id:
		return k, store.ErrNotFound
	case err == nil && k.Status.Epoch != l.epoch:
		return k, ErrJobLost
	}
	return k, err
}

// Look returns the job as it is now, and how many pages it has. Like Save it fails
// with [store.ErrNotFound] if the job is gone, and with [ErrJobLost].
func (l *JobLease) Look(ctx context.Context) (j function.Job, pages int, err error) {
	k, err := l.kept(ctx)
	if err != nil {
		return j, 0, err
	}
	j, err = l.c.Job(ctx, l.of, l.name)
	j.Status = k.Status
	return j, k.Pages, err
}

// First is the first page that may have an item without a record.
func (l *JobLease) First() int { return l.whole }

// Page reads a page with its records.
func (l *JobLease) Page(ctx context.Context, at int) (plan.JobPage, plan.JobRecords, error) {
	p, r, rev, err := l.c.jobPage(ctx, l.of, l.id, at)
	if err == nil && len(r.Done) == len(p.Items) {
		l.complete(at)
		return p, r, nil
	}
	l.marks[at] = mark{rev, len(r.Done)}
	return p, r, err
}

func (l *JobLease) complete(at int) {
	l.full[at] = true
	delete(l.marks, at)
	for l.full[l.whole] {
		delete(l.full, l.whole)
		l.whole++
	}
}

// Save puts changes on record, and with them the job's status, as with makes it
// of the one that is stored and of what is new; all or nothing. [ErrJobLost]:
// nothing of it is on record, as the job is another's. After any other error
// nobody knows; the same, or more, is to be saved again.
func (l *JobLease) Save(ctx context.Context, changes []plan.JobPageChange, with func(function.JobStatus, plan.JobTally) function.JobStatus) error {
	var rev store.Revision
	err := again(func() error {
		k, err := l.kept(ctx)
		if err != nil {
			return err
		}
		ops := []store.Op{{}}
		var fresh plan.JobTally
		for _, ch := range changes {
			op, err := l.record(ch)
			if err != nil {
				return err
			}
			t := ch.Records.Tally(l.marks[ch.Page].done)
			fresh.Completed, fresh.Failed = fresh.Completed+t.Completed, fresh.Failed+t.Failed
			ops = append(ops, op)
		}
		k.Status, k.Whole = with(k.Status, fresh), l.whole
		if ops[0], err = k.op(l.of, l.name); err != nil {
			return err
		}
		rev, err = l.c.s.Commit(ctx, ops...)
		if errors.Is(err, store.ErrConflict) {
			return l.met(ctx, changes)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, ch := range changes {
		l.marks[ch.Page] = mark{rev, len(ch.Records.Done)}
		if ch.Full {
			l.complete(ch.Page)
		}
	}
	return nil
}

// met looks what else has changed. A status may have been steered, a rotation of
// the store's key writes pages anew as they are, and what was thought not to be
// saved may have been; records of others there are none as long as the job is
// the lease's.
func (l *JobLease) met(ctx context.Context, changes []plan.JobPageChange) error {
	if _, err := l.kept(ctx); err != nil {
		return err
	}
	for _, ch := range changes {
		r, rev, err := l.c.recordPage(ctx, l.of, l.id, ch.Page)
		if err != nil {
			return err
		}
		l.marks[ch.Page] = mark{rev, len(r.Done)}
	}
	return errMet
}

func (l *JobLease) record(ch plan.JobPageChange) (store.Op, error) {
	b, err := json.Marshal(ch.Records)
	if err != nil {
		return store.Op{}, fmt.Errorf("store records of job %s: %w", l.name, err)
	}
	return store.Op{Key: jobPage(jobRecords, l.of, l.id, ch.Page), Value: b, Check: true, If: l.marks[ch.Page].at}, nil
}

// NoteDuplicates counts runs that ended when the job was another's already.
func (l *JobLease) NoteDuplicates(ctx context.Context, runs int) error {
	return again(func() error {
		k, err := l.c.keptJob(ctx, l.of, l.name)
		if errors.Is(err, store.ErrNotFound) || err == nil && k.ID != l.id || runs == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		k.Status.Duplicates += int64(runs)
		op, err := k.op(l.of, l.name)
		if err == nil {
			_, err = l.c.s.Commit(ctx, op)
		}
		return met(err)
	})
}
