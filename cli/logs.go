package cli

import (
	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/control/api/client"
)

func (a *app) logsCommand() *cobra.Command {
	var o client.LogOptions
	var processor bool
	c := &cobra.Command{
		Use:               "logs NAME",
		Short:             "Print what a function logged",
		Long:              "Prints what a function logged, or one of its versions, as hello:3.",
		Example:           "  myelin logs hello --tail 20 -f\n  myelin logs hello:3",
		Args:              oneName("function"),
		ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			if processor {
				o.Which = "processor"
			}
			err := a.client().Logs(a.ctx, withoutNoun(args)[0], o, a.term.Out)
			if o.Follow && a.ctx.Err() != nil {
				return nil
			}
			return a.asked(err)
		},
	}
	c.Flags().BoolVarP(&o.Follow, "follow", "f", false, "go on with what comes")
	c.Flags().IntVar(&o.Tail, "tail", -1, "how many of the last `lines` (default: all)")
	c.Flags().BoolVar(&processor, "processor", false, "the processor's own log instead of the function's")
	c.Flags().Lookup("tail").DefValue = ""
	return c
}
