package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/over"
	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

func (a *app) jobCommand() *cobra.Command {
	verbs := append([]string{"run", "list", "get", "describe", "watch", "add", "failures", "delete"}, plan.JobVerbs()...)
	c := &cobra.Command{
		Use: "job", Aliases: []string{"jobs"},
		Short: "Run a function once for each item of a finite set, each on record",
		Example: "  myelin job run --over file:items.txt --function resize --parallel 50\n  find . -name '*.csv' | myelin job run --over - --function load:prod\n" +
			"  myelin job failures resize:nightly\n  myelin job pause resize:nightly",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("cannot %s a job%s", args[0], suggest(args[0], verbs))
			}
			return usage("job %s? usage: %s FUNCTION:JOB", list(verbs), c.CommandPath())
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(a.jobRun(), a.jobList(), a.jobShow("get"), a.jobShow("describe"), a.jobWatch(), a.jobAdd(), a.jobFailures(), a.jobDelete(),
		a.jobSteer(plan.JobPause, "Run no further items until resume; those that run are finished"),
		a.jobSteer(plan.JobResume, "Run items again"),
		a.jobSteer(plan.JobClose, "Say that no more items will come: the job ends when each has its record"),
		a.jobSteer(plan.JobCancel, "Run no further items, and end the job"))
	return c
}

// jobRunning is what `myelin job run` was told.
type jobRunning struct {
	out                                     format
	over, function, name, note              string
	parallel, attempts                      int
	timeout, backoff, maxBackoff            time.Duration
	results, open, attached, detach, paused bool
}

func (a *app) jobRun() *cobra.Command {
	var o jobRunning
	c := &cobra.Command{
		Use: "run --over SET --function FUNCTION", Short: "Begin a job, and follow it to its end", Args: cobra.NoArgs,
		Long: "Runs a function once for each item of a set, which it gets as the event's body. Sets: " + over.Kinds + ".\n" +
			"The exit code is 0 only if each item is completed, and 10 if the job ends otherwise. Ctrl-C leaves the job running,\n" +
			"or cancels it with --attached.",
		Example: "  myelin job run --over file:items.txt --function resize --parallel 50\n  myelin job run --over dir:/data/in --function load:prod --name nightly --detach",
		RunE: func(*cobra.Command, []string) error {
			j, err := o.job()
			if err != nil {
				return err
			}
			return a.runJob(o, j)
		},
	}
	addFormat(c, &o.out, "text", "json", "yaml")
	fs := c.Flags()
	fs.StringVar(&o.over, "over", "", "the `set`: "+over.Kinds)
	fs.StringVarP(&o.function, "function", "f", "", "what runs the items: `NAME`, NAME:ALIAS or NAME:VERSION")
	_ = c.RegisterFlagCompletionFunc("function", a.completeFunctions) // the flag is there
	fs.StringVar(&o.name, "name", "", "what the job is called; default: the time")
	fs.IntVarP(&o.parallel, "parallel", "p", 10, "how many items run at once")
	fs.IntVar(&o.attempts, "attempts", 5, "how often an item that fails is tried at most")
	fs.DurationVar(&o.backoff, "backoff", time.Second, "pause before the second attempt; twice as long before each further one")
	fs.DurationVar(&o.maxBackoff, "max-backoff", time.Minute, "the longest pause")
	fs.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long the function may take for an item")
	fs.BoolVar(&o.results, "keep-results", false, "keep the first 256 bytes of what the function answers with each item")
	fs.BoolVar(&o.open, "open", false, "do not close the job when all items of the set are added: more will come, with job add")
	fs.BoolVar(&o.paused, "paused", false, "run no items until job resume")
	fs.BoolVar(&o.attached, "attached", false, "Ctrl-C cancels the job")
	fs.BoolVar(&o.detach, "detach", false, "do not wait for its end")
	fs.StringVar(&o.note, "note", "", "why, for those who read its events")
	return c
}

// job is the job that the flags describe.
func (o jobRunning) job() (j function.Job, err error) {
	of, which, _ := strings.Cut(o.function, ":")
	switch {
	case o.over == "":
		return j, usage("over which set? --over %s", over.Kinds)
	case of == "":
		return j, usage("which function? --function NAME")
	case o.parallel < 1:
		return j, usage("--parallel %d: want 1 or more", o.parallel)
	case o.attempts < 1:
		return j, usage("--attempts %d: want 1 or more", o.attempts)
	}
	j.Metadata.Name, j.Spec.Function, j.Spec.Source = o.name, of, o.over
	if j.Metadata.Name == "" {
		j.Metadata.Name = "job-" + strings.ReplaceAll(time.Now().UTC().Format("20060102-150405.000"), ".", "-")
	}
	if n, err := strconv.Atoi(which); err == nil && n > 0 {
		j.Spec.Version = which
	} else {
		j.Spec.Alias = which
	}
	j.Spec.Parallel, j.Spec.Timeout, j.Spec.KeepResults = o.parallel, quantity.Duration(o.timeout), o.results
	j.Spec.Retry = function.JobRetry{Attempts: o.attempts, Backoff: quantity.Duration(o.backoff), MaxBackoff: quantity.Duration(max(o.maxBackoff, o.backoff))}
	return j, nil
}

// ofJob takes FUNCTION:JOB apart.
func ofJob(text string) (of, name string, err error) {
	of, name, ok := strings.Cut(text, ":")
	if !ok || of == "" || name == "" {
		return "", "", usage("%s: want FUNCTION:JOB", text)
	}
	return of, name, nil
}

func oneJob(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage("which job? usage: %s", c.UseLine())
	}
	_, _, err := ofJob(args[0])
	return err
}

func (a *app) jobSteer(verb, short string) *cobra.Command {
	var out format
	var note string
	c := &cobra.Command{
		Use: verb + " FUNCTION:JOB", Short: short, Args: oneJob, ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			of, name, _ := ofJob(args[0]) // it was checked
			j, err := a.client().SteerJob(a.ctx, of, name, verb, client.Author{By: me(), Note: note})
			if err != nil {
				return a.asked(err)
			}
			return a.showJob(out, j)
		},
	}
	addFormat(c, &out, "text", "json", "yaml")
	c.Flags().StringVar(&note, "note", "", "why, for those who read its events")
	return c
}

// showJob says how a job is, in a line or as it is.
func (a *app) showJob(out format, j function.Job) error {
	if out.machine() {
		return a.write(out, j)
	}
	_, err := fmt.Fprintf(a.term.Out, "%s:%s %s\n", j.Spec.Function, j.Metadata.Name, jobText(j.Status))
	return err
}

func (a *app) jobShow(verb string) *cobra.Command {
	var out format
	short := map[string]string{"get": "Show a job in a line", "describe": "Tell what is known of a job"}
	c := &cobra.Command{
		Use: verb + " FUNCTION:JOB", Short: short[verb], Args: oneJob, ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			of, name, _ := ofJob(args[0]) // it was checked
			j, err := a.client().Job(a.ctx, of, name)
			switch {
			case err != nil:
				return a.asked(err)
			case out.machine():
				return a.write(out, j)
			case verb == "describe":
				_, err = fmt.Fprint(a.term.Out, jobPage(j))
				return err
			}
			return terminal.Table(a.term.Out, [][]string{jobColumns, jobRow(j)})
		},
	}
	addFormat(c, &out, "table", "json", "yaml")
	return c
}

func (a *app) jobList() *cobra.Command {
	g := getting{}
	c := &cobra.Command{
		Use: "list [FUNCTION]", Aliases: []string{"ls"}, Short: "List jobs", Args: cobra.MaximumNArgs(1), ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			g.kind, _ = a.kindOf("job")
			if len(args) == 1 {
				g.of = args[0]
			}
			return a.get(g)
		},
	}
	addFormat(c, &g.out, "table", "wide", "json", "yaml")
	return c
}

func (a *app) jobDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete FUNCTION:JOB", Aliases: []string{"rm"}, Short: "Delete a job that has ended, with its items and records", Args: oneJob, ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			of, name, _ := ofJob(args[0]) // it was checked
			if err := a.client().DeleteJob(a.ctx, of, name); err != nil {
				return a.asked(err)
			}
			fmt.Fprintf(a.term.Err, "deleted %s\n", args[0])
			return nil
		},
	}
}

func (a *app) jobFailures() *cobra.Command {
	var out format
	var limit int
	c := &cobra.Command{
		Use: "failures FUNCTION:JOB", Short: "List the items that failed for good, and why", Args: oneJob, ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			of, name, _ := ofJob(args[0]) // it was checked
			all, more := []function.JobItem{}, false
			for after := int64(0); ; {
				page, next, err := a.client().JobItems(a.ctx, of, name, function.ItemFailed, after)
				if err != nil {
					return a.asked(err)
				}
				all = append(all, page...)
				if more = limit > 0 && len(all) > limit; more {
					all = all[:limit]
				}
				if after = next; next == 0 || more {
					break
				}
			}
			return a.failedItems(out, args[0], all, more)
		},
	}
	addFormat(c, &out, "table", "json", "yaml")
	c.Flags().IntVar(&limit, "limit", 1000, "most `items` to list; 0 for all")
	return c
}

func (a *app) failedItems(out format, job string, all []function.JobItem, more bool) error {
	switch {
	case out.machine():
		return a.write(out, all)
	case len(all) == 0:
		fmt.Fprintf(a.term.Err, "no item of %s has failed\n", job)
		return nil
	}
	rows := [][]string{{"NUMBER", "ITEM", "TRIES", "FINISHED", "ERROR"}}
	for _, it := range all {
		rows = append(rows, []string{fmt.Sprint(it.Number), cut(it.Item, 60), fmt.Sprint(it.Attempts), it.Finished.Local().Format(time.DateTime), cut(it.Error, 80)})
	}
	if err := terminal.Table(a.term.Out, rows); err != nil {
		return err
	}
	if more {
		fmt.Fprintln(a.term.Err, "there are more; see --limit")
	}
	return nil
}
