package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

func (a *app) rolloutCommand() *cobra.Command {
	verbs := append([]string{"start", "get"}, plan.RolloutVerbs()...)
	c := &cobra.Command{
		Use: "rollout", Aliases: []string{"rollouts"},
		Short: "Move an alias to a version step by step, and back if the version fails",
		Example: "  myelin rollout start hello prod=2 --step 5:1m --step 25:5m --step 100 --max-error-rate 1 --wait\n" +
			"  myelin rollout get hello prod\n  myelin rollout abort hello prod --note 'wrong version'",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("cannot %s a rollout%s", args[0], suggest(args[0], verbs))
			}
			return usage("rollout %s? usage: %s FUNCTION", list(verbs), c.CommandPath())
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(a.rolloutStart(), a.rolloutGet(),
		a.rolloutSteer(plan.RolloutPause, "Stay at the present step; a version that fails is taken back all the same"),
		a.rolloutSteer(plan.RolloutResume, "Go on with what was left of the step"),
		a.rolloutSteer(plan.RolloutPromote, "Give the version all traffic at once, without further judgement"),
		a.rolloutSteer(plan.RolloutAbort, "Move the alias back to where it led before"))
	return c
}

// rolling are the flags of everything that changes a rollout.
type rolling struct {
	out  format
	note string
	wait bool
}

// add adds the flags; those of what leads to an end have --wait.
func (o *rolling) add(c *cobra.Command, end bool) {
	addFormat(c, &o.out, "text", "json", "yaml")
	c.Flags().StringVar(&o.note, "note", "", "why, for those who read its events")
	if !end {
		return
	}
	c.Flags().BoolVar(&o.wait, "wait", false, "follow it until it ends; the exit code is 9 unless the version has all traffic then")
}

func (o *rolling) who() client.Author { return client.Author{By: me(), Note: o.note} }

// criteria are the flags of what a version has to keep to; nil where nothing
// was said.
type criteria struct {
	steps                 []string
	errors, increase, p99 float64
	least                 int64
	slack, ready          time.Duration
}

func (a *app) rolloutStart() *cobra.Command {
	var o rolling
	var k criteria
	c := &cobra.Command{
		Use: "start FUNCTION ALIAS=VERSION", Short: "Begin to move an alias to a version",
		Long: "Moves an alias to a version in steps. A step gives the version its share and lasts for its pause at least, and\n" +
			"until the version has had enough requests to be judged by. If the version does not keep to the criteria the\n" +
			"alias is moved back at once. Without --step: 5% and 25% for a minute each, then all.",
		Example: "  myelin rollout start hello prod=2\n  myelin rollout start hello prod=2 --step 5:1m --step 25:5m --step 100:10m --max-error-rate 1 --max-p99-factor 1.5 --wait",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage("which alias of which function, to which version? usage: %s", c.UseLine())
			}
			return nil
		},
		ValidArgsFunction: a.completeFunctions,
		RunE: func(c *cobra.Command, args []string) error {
			r, err := k.rollout(args[0], args[1], c.Flags().Changed)
			if err != nil {
				return err
			}
			r, err = a.client().StartRollout(a.ctx, r, o.who())
			return a.rolled(o, r, err)
		},
	}
	o.add(c, true)
	fs := c.Flags()
	fs.StringArrayVar(&k.steps, "step", nil, "`weight:pause` of a step, such as 5:1m; the last is 100, and needs no pause (repeat)")
	fs.Float64Var(&k.errors, "max-error-rate", 0, "most errors of the version, in `percent`")
	fs.Float64Var(&k.increase, "max-error-rate-increase", 1, "by how many percentage `points` its errors may be more than those of what it replaces; 1 if nothing else is said")
	fs.Float64Var(&k.p99, "max-p99-factor", 0, "how many `times` the 99th percentile of what it replaces its own may be")
	fs.Int64Var(&k.least, "min-requests", 100, "how many requests and events the version has had in a step before it is judged")
	fs.DurationVar(&k.slack, "p99-slack", 5*time.Millisecond, "a difference of the percentiles that does not count")
	fs.DurationVar(&k.ready, "ready-timeout", 2*time.Minute, "how long a step may wait for the version to serve")
	return c
}

// rollout is the rollout that the flags describe.
func (k criteria) rollout(of, text string, given func(string) bool) (r function.Rollout, err error) {
	name, to, ok := strings.Cut(text, "=")
	if _, err := function.ParseVersion(to); !ok || name == "" || to == "" || err != nil {
		return r, usage("%s: want ALIAS=VERSION, such as prod=2", text)
	}
	r.Metadata.Name, r.Spec.Function, r.Spec.Version = name, of, to
	steps := k.steps
	if len(steps) == 0 {
		steps = []string{"5:1m", "25:1m", "100"}
	}
	for _, s := range steps {
		step, err := parseStep(s)
		if err != nil {
			return r, err
		}
		r.Spec.Steps = append(r.Spec.Steps, step)
	}
	c := &r.Spec.Criteria
	for flag, set := range map[string]func(){
		"max-error-rate":          func() { c.MaxErrorRate = &k.errors },
		"max-error-rate-increase": func() { c.MaxErrorRateIncrease = &k.increase },
		"max-p99-factor":          func() { c.MaxP99Factor = &k.p99 },
		"min-requests":            func() { c.MinRequests = &k.least },
		"p99-slack":               func() { c.P99Slack = quantity.Duration(k.slack) },
		"ready-timeout":           func() { r.Spec.ReadyTimeout = quantity.Duration(k.ready) },
	} {
		if given(flag) {
			set()
		}
	}
	return r, nil
}

// parseStep reads 5:1m, 25%:5m and 100.
func parseStep(text string) (s function.RolloutStep, err error) {
	weight, pause, has := strings.Cut(text, ":")
	if s.Weight, err = strconv.ParseFloat(strings.TrimSuffix(weight, "%"), 64); err != nil {
		return s, usage("--step %s: want WEIGHT:PAUSE, such as 5:1m", text)
	}
	if has {
		d, err := time.ParseDuration(pause)
		if err != nil {
			return s, usage("--step %s: %q is not a time such as 1m", text, pause)
		}
		s.Pause = quantity.Duration(d)
	}
	return s, nil
}

func (a *app) rolloutSteer(verb, short string) *cobra.Command {
	var o rolling
	c := &cobra.Command{
		Use: verb + " FUNCTION ALIAS", Short: short, Args: two, ValidArgsFunction: a.completeAliases,
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := a.client().SteerRollout(a.ctx, args[0], args[1], verb, o.who())
			return a.rolled(o, r, err)
		},
	}
	o.add(c, verb == plan.RolloutResume || verb == plan.RolloutPromote)
	return c
}

func (a *app) rolloutGet() *cobra.Command {
	var out format
	c := &cobra.Command{
		Use: "get FUNCTION ALIAS", Short: "Show the rollout of an alias that is under way, or the last one", Args: two, ValidArgsFunction: a.completeAliases,
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := a.client().Rollout(a.ctx, args[0], args[1])
			if err != nil {
				return a.asked(err)
			}
			if out.machine() {
				return a.write(out, r)
			}
			return terminal.Table(a.term.Out, [][]string{rolloutColumns, rolloutRow(r)})
		},
	}
	addFormat(c, &out, "table", "json", "yaml")
	return c
}

// rolled says how a rollout is after a command, or follows it to its end.
func (a *app) rolled(o rolling, r function.Rollout, err error) error {
	if err != nil {
		return a.asked(err)
	}
	var ended error
	if o.wait {
		if r, err = a.followRollout(r); err != nil {
			return err
		}
		if r.Status.State != function.RolloutSucceeded {
			ended = fail(exitRolledBack, fmt.Errorf("version %s does not have all traffic, the rollout is %s: %s", r.Spec.Version, r.Status.State, r.Status.Message), "see: myelin describe rollout "+r.Spec.Function+":"+r.Metadata.Name)
		}
	}
	switch {
	case o.out.machine():
		err = a.write(o.out, r)
	case ended == nil:
		_, err = fmt.Fprintf(a.term.Out, "rollout of %s %s to version %s: %s\n", r.Spec.Function, r.Metadata.Name, r.Spec.Version, progress(r))
	}
	if ended != nil {
		return ended
	}
	return err
}
