package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/over"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/function"
)

// What is sent at once.
const (
	batchItems = 2000
	batchBytes = 400 << 10
)

// runJob begins a job once its set has a first item, adds the others, and
// follows it.
func (a *app) runJob(o jobRunning, j function.Job) error {
	set, err := over.Open(a.ctx, o.over, a.term.In, a.stores())
	if err != nil {
		return fail(exitUsage, fmt.Errorf("--over %s: %w", o.over, err), "")
	}
	first, err := a.batch(set)
	if err == nil && len(first) == 0 {
		err = errors.New("the set is empty")
	}
	if err != nil {
		return errors.Join(fail(exitUsage, fmt.Errorf("--over %s: %w", o.over, err), ""), set.Close())
	}
	who := client.Author{By: me(), Note: o.note}
	if j, err = a.client().StartJob(a.ctx, j, who); err != nil {
		return errors.Join(a.asked(err), set.Close())
	}
	fmt.Fprintf(a.term.Err, "job %s:%s begun\n", j.Spec.Function, j.Metadata.Name)
	if o.paused {
		if _, err := a.client().SteerJob(a.ctx, j.Spec.Function, j.Metadata.Name, plan.JobPause, who); err != nil {
			return errors.Join(a.asked(err), set.Close())
		}
	}
	_, err = a.fill(j, set, first, 0)
	if err = errors.Join(err, set.Close()); err == nil && !o.open {
		j, err = a.steadily(j, plan.JobClose, who)
	}
	if err != nil {
		return a.unfinished(o, j, err)
	}
	if o.detach {
		if j, err = a.client().Job(a.ctx, j.Spec.Function, j.Metadata.Name); err != nil {
			return a.asked(err)
		}
		return a.showJob(o.out, j)
	}
	return a.followedJob(o, j)
}

func (a *app) stores() over.Stores { return over.Stores{Kinds: a.parts.Objects, Getenv: os.Getenv} }

// batch reads as many items as are sent at once; none at the end.
func (a *app) batch(set over.Source) (items []string, err error) {
	for size := 0; len(items) < batchItems && size < batchBytes; {
		text, err := set.Next(a.ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		items = append(items, text)
		size += len(text) + 16
	}
	return items, nil
}

// fill adds first and what else the set has, behind at items; at below 0: behind
// all. It returns how many the job has then.
func (a *app) fill(j function.Job, set over.Source, first []string, at int64) (total int64, err error) {
	p := a.term.Progress()
	defer p.Close()
	for items := first; len(items) > 0; {
		if err := a.patiently(func(ctx context.Context) error {
			total, err = a.client().AddJobItems(ctx, j.Spec.Function, j.Metadata.Name, at, items)
			return err
		}); err != nil {
			return total, err
		}
		if at >= 0 {
			at += int64(len(items))
		}
		p.Step(fmt.Sprintf("%d items added", total))
		if items, err = a.batch(set); err != nil {
			return total, err
		}
	}
	return total, nil
}

// patiently tries again what a control plane that is replaced did not answer.
func (a *app) patiently(try func(context.Context) error) error {
	for began := time.Now(); ; {
		err := try(a.ctx)
		var said *problem.Problem
		if err == nil || errors.As(err, &said) && said.Status != 503 || a.ctx.Err() != nil || time.Since(began) > patience {
			return err
		}
		select {
		case <-a.ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// steadily steers a job; that it was done already, by a control plane that died
// before it said so, is no error.
func (a *app) steadily(j function.Job, verb string, who client.Author) (function.Job, error) {
	tries := 0
	out := j
	err := a.patiently(func(ctx context.Context) (err error) {
		tries++
		out, err = a.client().SteerJob(ctx, j.Spec.Function, j.Metadata.Name, verb, who)
		if tries > 1 && client.Conflict(err) {
			out, err = a.client().Job(ctx, j.Spec.Function, j.Metadata.Name)
		}
		return err
	})
	return out, err
}

// unfinished says what became of a job whose items could not all be added.
func (a *app) unfinished(o jobRunning, j function.Job, err error) error {
	name := j.Spec.Function + ":" + j.Metadata.Name
	if o.attached {
		return errors.Join(a.asked(err), a.cancelled(j))
	}
	hint := fmt.Sprintf("the job is still open, and runs the items that it has; close it with: myelin job close %s, or end it with: myelin job cancel %s", name, name)
	code := a.codeOf(a.asked(err))
	if a.ctx.Err() != nil {
		return fail(exitInterrupted, errors.New("interrupted while items were added"), hint)
	}
	return fail(code, err, hint)
}

// cancelled cancels a job whose command was interrupted.
func (a *app) cancelled(j function.Job) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), patience)
	defer cancel()
	if _, err := a.client().SteerJob(ctx, j.Spec.Function, j.Metadata.Name, plan.JobCancel, client.Author{By: me(), Note: "interrupted"}); err != nil {
		return a.asked(err)
	}
	return fail(exitInterrupted, fmt.Errorf("interrupted: job %s:%s is cancelled", j.Spec.Function, j.Metadata.Name), "")
}

func (a *app) jobAdd() *cobra.Command {
	var set string
	var at int64
	c := &cobra.Command{
		Use: "add FUNCTION:JOB --over SET", Short: "Add items to a job that has not ended", Args: oneJob, ValidArgsFunction: a.completeFunctions,
		Long: "Adds the items of a set to a job. With --at 0 it is the set that the job was begun with, of which some items may\n" +
			"be there already: those are left out.",
		RunE: func(_ *cobra.Command, args []string) error {
			if set == "" {
				return usage("which items? --over %s", over.Kinds)
			}
			var j function.Job
			j.Spec.Function, j.Metadata.Name, _ = ofJob(args[0]) // it was checked
			return a.addTo(j, set, at)
		},
	}
	c.Flags().StringVar(&set, "over", "", "the `set`: "+over.Kinds)
	c.Flags().Int64Var(&at, "at", -1, "the `number` of items before the first of these; default: all that there are")
	return c
}

func (a *app) addTo(j function.Job, text string, at int64) error {
	set, err := over.Open(a.ctx, text, a.term.In, a.stores())
	if err != nil {
		return fail(exitUsage, fmt.Errorf("--over %s: %w", text, err), "")
	}
	defer set.Close()
	now, err := a.client().Job(a.ctx, j.Spec.Function, j.Metadata.Name)
	if err != nil {
		return a.asked(err)
	}
	if at < 0 {
		at = now.Status.Items
	}
	first, err := a.batch(set)
	if err == nil && len(first) == 0 {
		err = errors.New("the set is empty")
	}
	if err != nil {
		return fail(exitUsage, fmt.Errorf("--over %s: %w", text, err), "")
	}
	total, err := a.fill(now, set, first, at)
	if err != nil {
		return a.asked(err)
	}
	fmt.Fprintf(a.term.Err, "%d items added, %d in all\n", total-now.Status.Items, total)
	return nil
}
