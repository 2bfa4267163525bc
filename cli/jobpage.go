package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/function"
)

func (a *app) jobWatch() *cobra.Command {
	var o jobRunning
	c := &cobra.Command{
		Use: "watch FUNCTION:JOB", Short: "Follow a job to its end", Args: oneJob, ValidArgsFunction: a.completeFunctions,
		Long: "Follows a job to its end. The exit code is 0 only if each item is completed, and 10 if the job ends otherwise.",
		RunE: func(_ *cobra.Command, args []string) error {
			of, name, _ := ofJob(args[0]) // it was checked
			j, err := a.client().Job(a.ctx, of, name)
			if err != nil {
				return a.asked(err)
			}
			return a.followedJob(o, j)
		},
	}
	addFormat(c, &o.out, "text", "json", "yaml")
	c.Flags().BoolVar(&o.attached, "attached", false, "Ctrl-C cancels the job")
	return c
}

// followedJob follows a job to its end, and says how it is then. Whoever is
// interrupted leaves the job running, or cancels it.
func (a *app) followedJob(o jobRunning, j function.Job) error {
	name := j.Spec.Function + ":" + j.Metadata.Name
	j, err := a.followJob(j)
	switch {
	case a.ctx.Err() != nil && o.attached:
		return a.cancelled(j)
	case a.ctx.Err() != nil:
		return fail(exitInterrupted, fmt.Errorf("detached from job %s, which goes on", name), fmt.Sprintf("come back with: myelin job watch %s, or end it with: myelin job cancel %s", name, name))
	case err != nil:
		return err
	}
	if err := a.showJob(o.out, j); err != nil {
		return err
	}
	if j.Status.State == function.JobSucceeded {
		return nil
	}
	hint := ""
	if j.Status.Failed > 0 {
		hint = "see: myelin job failures " + name
	}
	return fail(exitIncomplete, fmt.Errorf("%d of %d items are completed", j.Status.Completed, j.Status.Items), hint)
}

// sayEvery is how often progress is told where no line can move.
const sayEvery = 10 * time.Second

// followJob shows the progress of a job until it ends. A control plane that is
// replaced meanwhile is waited for.
func (a *app) followJob(j function.Job) (function.Job, error) {
	p := a.term.Progress()
	defer p.Close()
	moving := a.term.ErrTTY && !a.term.Plain
	rate := pace{}
	heard, said := time.Now(), time.Now()
	for {
		err := a.client().WatchJob(a.ctx, j.Spec.Function, j.Metadata.Name, func(now function.Job) error {
			heard = time.Now()
			if !now.Status.Started.Equal(j.Status.Started) {
				return fail(exitConflict, fmt.Errorf("another job %s:%s was begun meanwhile", j.Spec.Function, j.Metadata.Name), "")
			}
			for _, e := range now.Status.Events {
				if e.At.After(lastEvent(j.Status)) {
					p.Note("%s", strings.TrimSpace(e.Message+" "+by(e.By)))
				}
			}
			j = now
			switch line := jobBar(now.Status, rate.of(now.Status, heard)); {
			case moving:
				p.Step(line)
			case time.Since(said) > sayEvery:
				said = time.Now()
				p.Note("%s", line)
			}
			if now.Status.State.Ended() {
				return errSettled
			}
			return nil
		})
		var own *failure
		var told *problem.Problem
		switch {
		case errors.Is(err, errSettled):
			return j, nil
		case errors.As(err, &own), errors.As(err, &told), a.ctx.Err() != nil, time.Since(heard) > patience:
			return j, a.asked(err)
		}
		select {
		case <-a.ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func lastEvent(st function.JobStatus) (at time.Time) {
	if n := len(st.Events); n > 0 {
		at = st.Events[n-1].At
	}
	return at
}

// pace measures how many items are settled in a second, over the last while.
type pace struct {
	at    time.Time
	items int64
	rate  float64
}

func (p *pace) of(st function.JobStatus, now time.Time) float64 {
	switch gone := now.Sub(p.at); {
	case p.at.IsZero():
		p.at, p.items = now, st.Settled()
	case gone >= time.Second:
		fresh := float64(st.Settled()-p.items) / gone.Seconds()
		if p.rate == 0 {
			p.rate = fresh
		}
		p.rate = p.rate*0.7 + fresh*0.3
		p.at, p.items = now, st.Settled()
	}
	return p.rate
}

// jobBar is the progress of a job in a line.
func jobBar(st function.JobStatus, rate float64) string {
	const width = 24
	share := 0.0
	if st.Items > 0 {
		share = float64(st.Settled()) / float64(st.Items)
	}
	full := int(share * width)
	text := fmt.Sprintf("%s%s %3.0f%% %s", strings.Repeat("█", full), strings.Repeat("░", width-full), 100*share, jobText(st))
	if rate >= 0.1 && !st.State.Ended() {
		text += fmt.Sprintf(", %.3g/s", rate)
		if left := st.Items - st.Settled(); !st.Open && left > 0 {
			text += fmt.Sprintf(", %s left", (time.Duration(float64(left) / rate * float64(time.Second))).Round(time.Second))
		}
	}
	return text
}

// jobText is how a job is, in a few words.
func jobText(st function.JobStatus) string {
	text := fmt.Sprintf("%s: %d of %d completed", st.State, st.Completed, st.Items)
	if st.Failed > 0 {
		text += fmt.Sprintf(", %d failed", st.Failed)
	}
	if st.Running > 0 {
		text += fmt.Sprintf(", %d running", st.Running)
	}
	if st.Open && !st.State.Ended() {
		text += ", open"
	}
	if st.Message != "" && !st.State.Ended() {
		text += "; " + st.Message
	}
	return text
}

var jobColumns = []string{"NAME", "STATE", "ITEMS", "COMPLETED", "FAILED", "RUNNING", "STARTED", "MESSAGE"}

func jobRow(j function.Job) []string {
	st := j.Status
	return []string{j.Spec.Function + ":" + j.Metadata.Name, string(st.State), fmt.Sprint(st.Items), fmt.Sprint(st.Completed), fmt.Sprint(st.Failed), fmt.Sprint(st.Running), ago(st.Started), st.Message}
}

// jobPage is a job for a person to read, with all that happened.
func jobPage(j function.Job) string {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(&b, "%-14s %s\n", name+":", text)
		}
	}
	st, s := j.Status, j.Spec
	run := s.Function
	if which := s.Alias + s.Version; which != "" {
		run += ":" + which
	}
	row("Job", "%s:%s", s.Function, j.Metadata.Name)
	row("Namespace", "%s", j.Metadata.Namespace)
	row("Runs", "%s, %d at once, each for at most %s", run, s.Parallel, s.Timeout)
	row("Retries", "%d attempts, %s to %s apart", s.Retry.Attempts, s.Retry.Backoff, s.Retry.MaxBackoff)
	row("Source", "%s", s.Source)
	row("State", "%s", st.State)
	row("Message", "%s", st.Message)
	row("Items", "%d, %s", st.Items, map[bool]string{true: "and more may come", false: "all of them"}[st.Open])
	row("Completed", "%d", st.Completed)
	row("Failed", "%d", st.Failed)
	row("Running", "%d", st.Running)
	row("Tried again", "%d", st.Retries)
	row("Duplicates", "%d runs that ended after the job had been taken up by somebody else", st.Duplicates)
	row("Epoch", "%d", st.Epoch)
	row("Started", "%s", strings.TrimSpace(ago(st.Started)+" "+by(st.By)))
	row("Ended", "%s", ago(st.Ended))
	fmt.Fprintln(&b, "\nEvents:")
	rows := [][]string{{"  WHEN", "WHAT", "BY"}}
	for _, e := range st.Events {
		rows = append(rows, []string{"  " + e.At.UTC().Format("2006-01-02 15:04:05"), e.Message, e.By})
	}
	_ = terminal.Table(&b, rows) // a builder takes everything
	return b.String()
}
