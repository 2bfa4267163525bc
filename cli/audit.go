package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/audit"
)

func (a *app) auditCommand() *cobra.Command {
	var q audit.Query
	var since time.Duration
	var out format
	c := &cobra.Command{
		Use:     "audit",
		Short:   "Show who changed what, and who was refused",
		Long:    "Shows the last records of the audit log, the oldest first. What only reads is recorded if it was refused.",
		Example: "  myelin audit --since 1h\n  myelin audit --operation secrets -o json\n  myelin audit --outcome refused",
		Args:    none,
		RunE: func(*cobra.Command, []string) error {
			if since > 0 {
				q.Since = time.Now().Add(-since)
			}
			q.Namespace = a.namespace
			all, err := a.client().Audit(a.ctx, q)
			if err != nil {
				return a.asked(err)
			}
			if out.machine() {
				return a.write(out, all)
			}
			rows := [][]string{{"TIME", "WHO", "OPERATION", "NAMESPACE", "OBJECT", "OUTCOME", "STATUS", "FROM", "REQUEST"}}
			for _, r := range all {
				rows = append(rows, []string{r.Time.Local().Format(time.DateTime), r.Who, r.Operation, r.Namespace, r.Object, r.Outcome, fmt.Sprint(r.Status), r.From, r.Request})
			}
			return terminal.Table(a.term.Out, rows)
		},
	}
	fs := c.Flags()
	fs.DurationVar(&since, "since", 0, "only what was done in this `time`, such as 1h")
	fs.StringVar(&q.Who, "who", "", "only what this `caller` did")
	fs.StringVar(&q.Operation, "operation", "", "only this `operation`, such as secrets.write, or those of a group, such as secrets")
	fs.StringVar(&q.Object, "object", "", "only what was done with this `object`")
	fs.StringVar(&q.Outcome, "outcome", "", "only done, refused or failed")
	fs.IntVar(&q.Limit, "limit", 1000, "the last so many `records`")
	addFormat(c, &out, "table", "json", "yaml")
	return c
}
