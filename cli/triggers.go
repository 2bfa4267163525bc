package cli

import (
	"fmt"
	"math"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/api"
)

func (a *app) triggersCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "triggers", Aliases: []string{"trigger"},
		Short:   "See, pause and rewind what brings events to a function",
		Example: "  myelin triggers list orders\n  myelin triggers pause orders kafka\n  myelin triggers seek orders kafka --to 2026-03-01T12:00:00Z",
		Args: func(c *cobra.Command, _ []string) error {
			return usage("triggers list, pause, resume or seek? usage: %s FUNCTION", c.CommandPath())
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(a.triggersList(), a.steering("pause", "Take no more events until resume, or until the processor is replaced"),
		a.steering("resume", "Take events again"), a.seek())
	return c
}

func (a *app) triggersList() *cobra.Command {
	var out format
	c := &cobra.Command{
		Use: "list FUNCTION", Short: "Show how the triggers of a function are", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			views, err := a.client().Triggers(a.ctx, args[0])
			if err != nil {
				return a.asked(err)
			}
			if out.machine() {
				return a.write(out, views)
			}
			return terminal.Table(a.term.Out, triggerRows(views))
		},
	}
	addFormat(c, &out, "table", "json", "yaml")
	return c
}

func triggerRows(views []api.TriggerView) [][]string {
	rows := [][]string{{"NAME", "KIND", "REPLICA", "STATE", "SHARE", "LAG", "IN FLIGHT", "DONE", "RETRIED", "DEAD", "PROBLEM"}}
	for _, v := range views {
		cells := []string{v.Name, v.Kind, v.Replica, "", share(v.Share), "", "", "", "", "", v.Problem}
		if r := v.Report; r != nil {
			lag := ""
			if r.Lag >= 0 {
				lag = fmt.Sprint(r.Lag)
			}
			cells = []string{v.Name, v.Kind, v.Replica, string(r.State), share(v.Share), lag, fmt.Sprint(r.InFlight), fmt.Sprint(r.Done), fmt.Sprint(r.Retried), fmt.Sprint(r.Dead), r.Problem}
		}
		rows = append(rows, cells)
	}
	return rows
}

// share says how much of a source a processor takes: "100%".
func share(part *float64) string {
	if part == nil {
		return ""
	}
	return strconv.FormatFloat(math.Round(*part*1e4)/100, 'f', -1, 64) + "%"
}

func (a *app) steering(verb, short string) *cobra.Command {
	return &cobra.Command{
		Use: verb + " FUNCTION TRIGGER", Short: short, Args: cobra.ExactArgs(2), ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.asked(a.client().Steer(a.ctx, args[0], args[1], verb, ""))
		},
	}
}

func (a *app) seek() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "seek FUNCTION TRIGGER --to PLACE", Short: "Read again from an earlier place, or skip to a later one",
		Args: cobra.ExactArgs(2), ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			if to == "" {
				return usage("where to? --to earliest, latest, an offset, or a time such as 2026-03-01T12:00:00Z")
			}
			return a.asked(a.client().Steer(a.ctx, args[0], args[1], "seek", to))
		},
	}
	c.Flags().StringVar(&to, "to", "", "the `place`: earliest, latest, an offset, or a time as 2026-03-01T12:00:00Z")
	return c
}
