package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// The prefixes of what belongs to jobs. Below them lie namespace, function and
// job; for items and records the job's id, and the number of the page.
const (
	JobKeys       = "jobs/"
	JobStatusKeys = "job-status/"
	jobItems      = "job-items/"
	jobRecords    = "job-records/"
)

func (n Name) job(name string) string       { return JobKeys + n.path() + "/" + name }
func (n Name) jobStatus(name string) string { return JobStatusKeys + n.path() + "/" + name }

func jobPage(prefix string, n Name, id string, page int) string {
	return fmt.Sprintf("%s%s/%s/%08d", prefix, n.path(), id, page)
}

// keptJob is the status of a job as it is stored.
type keptJob struct {
	// ID is the job's own: another one of the same name has another.
	ID     string             `json:"id"`
	Status function.JobStatus `json:"status"`
	Pages  int                `json:"pages"`
	Bytes  int64              `json:"bytes"` // of all items
	// Whole is how many pages from the first on have a record of each item.
	Whole int `json:"whole"`

	at store.Revision
}

func (c *Catalog) keptJob(ctx context.Context, n Name, name string) (k keptJob, err error) {
	e, err := store.Get(ctx, c.s, n.jobStatus(name))
	if err != nil {
		return k, err
	}
	if err := json.Unmarshal(e.Value, &k); err != nil {
		return k, fmt.Errorf("read %s: %w", e.Key, err)
	}
	k.at = e.Revision
	return k, nil
}

func (k keptJob) op(n Name, name string) (store.Op, error) {
	b, err := json.Marshal(k)
	if err != nil {
		return store.Op{}, fmt.Errorf("store status of job %s: %w", name, err)
	}
	return store.Op{Key: n.jobStatus(name), Value: b, Check: true, If: k.at}, nil
}

// Job returns a job. [store.ErrNotFound]: there is none.
func (c *Catalog) Job(ctx context.Context, n Name, name string) (function.Job, error) {
	e, err := store.Get(ctx, c.s, n.job(name))
	if err != nil {
		return function.Job{}, err
	}
	k, err := c.keptJob(ctx, n, name)
	if err != nil {
		return function.Job{}, err
	}
	return decodeJob(e, k)
}

func decodeJob(e store.Entry, k keptJob) (j function.Job, err error) {
	if err := json.Unmarshal(e.Value, &j); err != nil {
		return j, fmt.Errorf("read %s: %w", e.Key, err)
	}
	j.Status, j.Metadata.ResourceVersion = k.Status, strconv.FormatInt(int64(e.Revision), 10)
	return j, nil
}

// Jobs returns the jobs of a function, in order, and the revision at which that
// was so. A name that is empty stands for all, as in [Catalog.Aliases].
func (c *Catalog) Jobs(ctx context.Context, n Name) ([]function.Job, store.Revision, error) {
	entries, rev, err := c.s.List(ctx, JobKeys+n.below())
	if err != nil || len(entries) == 0 {
		return nil, rev, err
	}
	found, _, err := c.s.List(ctx, JobStatusKeys+n.below())
	if err != nil {
		return nil, 0, err
	}
	kept := map[string]keptJob{}
	for _, e := range found {
		var k keptJob
		if err := json.Unmarshal(e.Value, &k); err != nil {
			return nil, 0, fmt.Errorf("read %s: %w", e.Key, err)
		}
		kept[e.Key[len(JobStatusKeys):]] = k
	}
	out := make([]function.Job, len(entries))
	for i, e := range entries {
		if out[i], err = decodeJob(e, kept[e.Key[len(JobKeys):]]); err != nil {
			return nil, 0, err
		}
	}
	return out, rev, nil
}

// StartJob stores a job, open and without items. [store.ErrConflict]: there is
// one of that name already. [document.Errors] say what it names that is not
// there.
func (c *Catalog) StartJob(ctx context.Context, j function.Job, id string, who Author) error {
	n := Name{j.Metadata.Namespace, j.Spec.Function}
	return again(func() error {
		fam, err := c.family(ctx, n)
		if err != nil {
			return err
		}
		if err := c.runsJob(ctx, n, j.Spec); err != nil {
			return err
		}
		_, err = store.Get(ctx, c.s, n.job(j.Metadata.Name))
		if err == nil {
			return store.ErrConflict
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		j.Status, j.Metadata.ResourceVersion = function.JobStatus{}, ""
		b, err := document.MarshalRevealed(j)
		if err != nil {
			return fmt.Errorf("store job: %w", err)
		}
		status, err := keptJob{ID: id, Status: plan.JobStart(who.By, now())}.op(n, j.Metadata.Name)
		if err != nil {
			return err
		}
		// The family is written too, and so the function does not go meanwhile.
		_, err = c.s.Commit(ctx, store.Op{Key: n.job(j.Metadata.Name), Value: b, Check: true}, status, fam.op())
		return met(err)
	})
}

func now() time.Time { return time.Now().UTC().Round(time.Millisecond) }

// runsJob says what a job names that is not there.
func (c *Catalog) runsJob(ctx context.Context, n Name, spec function.JobSpec) error {
	var problems document.Errors
	_, err := store.Get(ctx, c.s, n.spec())
	if errors.Is(err, store.ErrNotFound) {
		problems.Add("spec.function", "there is no function %q in namespace %s", n.Name, n.Namespace)
		return problems
	}
	if err != nil {
		return err
	}
	if spec.Alias != "" {
		if _, err = c.Alias(ctx, n, spec.Alias); errors.Is(err, store.ErrNotFound) {
			problems.Add("spec.alias", "%s has no alias %q", n.Name, spec.Alias)
			return problems
		}
	}
	if v, perr := function.ParseVersion(spec.Version); err == nil && perr == nil && v > 0 {
		named, nerr := c.Named(ctx, n)
		_, err = store.Get(ctx, c.s, Deployment{n, v}.spec())
		switch {
		case nerr != nil:
			return nerr
		case errors.Is(err, store.ErrNotFound):
			problems.Add("spec.version", "%s has no version %d", n.Name, v)
			return problems
		case err == nil && len(named[v]) == 0:
			problems.Add("spec.version", "version %d of %s does not run, as no alias names it: myelin alias set %s NAME=%d", v, n.Name, n.Name, v)
			return problems
		}
	}
	return err
}

// SteerJob does what somebody asks of a job: one of [plan.JobVerbs].
// [*BusyError]: it is not in a state for that.
func (c *Catalog) SteerJob(ctx context.Context, n Name, name, verb string, who Author) error {
	return again(func() error {
		k, err := c.keptJob(ctx, n, name)
		if err != nil {
			return err
		}
		if k.Status, err = plan.JobSteer(k.Status, verb, who.By, who.Note, now()); err != nil {
			return &BusyError{fmt.Sprintf("job %s of %s: %v", name, n.Name, err)}
		}
		op, err := k.op(n, name)
		if err == nil {
			_, err = c.s.Commit(ctx, op)
		}
		return met(err)
	})
}

// DeleteJob removes a job that has ended, with its items and records, which go
// first: deleting it again goes on where a control plane was killed. version is
// as in [Catalog.Put]. [*BusyError]: it has not ended.
func (c *Catalog) DeleteJob(ctx context.Context, n Name, name, version string) error {
	return again(func() error {
		j, err := c.Job(ctx, n, name)
		if err != nil {
			return err
		}
		k, err := c.keptJob(ctx, n, name)
		switch {
		case err != nil:
			return err
		case version != "" && version != j.Metadata.ResourceVersion:
			return store.ErrConflict
		case !k.Status.State.Ended():
			return &BusyError{fmt.Sprintf("job %s of %s is %s: cancel it first", name, n.Name, k.Status.State)}
		}
		if err := c.dropPages(ctx, n, k.ID); err != nil {
			return err
		}
		_, err = c.s.Commit(ctx, store.Op{Key: n.job(name)}, store.Op{Key: n.jobStatus(name), Check: true, If: k.at})
		return met(err)
	})
}

// dropPages removes the pages of a job that has ended.
func (c *Catalog) dropPages(ctx context.Context, n Name, id string) error {
	for _, prefix := range []string{jobRecords, jobItems} {
		for {
			p, err := store.Range(ctx, c.s, store.Span{Prefix: prefix + n.path() + "/" + id + "/", Limit: maxOps, Bare: true})
			if err != nil || len(p.Entries) == 0 {
				if err != nil {
					return err
				}
				break
			}
			var ops []store.Op
			for _, e := range p.Entries {
				ops = append(ops, store.Op{Key: e.Key})
			}
			if _, err := c.s.Commit(ctx, ops...); err != nil {
				return err
			}
		}
	}
	return nil
}
