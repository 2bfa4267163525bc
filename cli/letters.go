package cli

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/trigger/letterbox"
)

func (a *app) lettersCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "letters",
		Aliases: []string{"letter", "dead-letters", "dlq"},
		Short:   "Events that failed for good: list, show, run again, remove",
		Example: "  myelin letters list orders\n  myelin letters show orders 4f0c…\n  myelin letters redrive orders --all\n  myelin letters purge orders --older-than 168h",
		Args: func(c *cobra.Command, args []string) error {
			return usage("letters list, show, redrive or purge? usage: %s FUNCTION", c.CommandPath())
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(a.lettersList(), a.lettersShow(), a.lettersRedrive(), a.lettersPurge())
	return c
}

func (a *app) lettersList() *cobra.Command {
	var out format
	var limit int
	c := &cobra.Command{
		Use: "list FUNCTION", Short: "List dead letters, the oldest first", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			all, err := a.gather(args[0], limit)
			if err != nil {
				return err
			}
			if out.machine() {
				return a.write(out, all.Items)
			}
			return a.letterTable(args[0], all)
		},
	}
	addFormat(c, &out, "table", "json", "yaml")
	c.Flags().IntVar(&limit, "limit", 1000, "most `letters` to list; 0 for all")
	return c
}

// gather asks for page after page, up to limit letters.
func (a *app) gather(name string, limit int) (all api.LetterList, err error) {
	all.Items = []letterbox.Kept{}
	for {
		page, err := a.client().Letters(a.ctx, name, all.Next, 0)
		if err != nil {
			return all, a.asked(err)
		}
		all.Items = append(all.Items, page.Items...)
		all.Problems = append(all.Problems, page.Problems...)
		all.Next = page.Next
		if limit > 0 && len(all.Items) >= limit {
			if len(all.Items) > limit {
				all.Items, all.Next = all.Items[:limit], "more"
			}
			return all, nil
		}
		if all.Next == "" {
			return all, nil
		}
	}
}

func (a *app) letterTable(name string, all api.LetterList) error {
	for _, p := range all.Problems {
		fmt.Fprintf(a.term.Err, "%s cannot be read: %s\n", p.ID, p.Detail)
	}
	if len(all.Items) == 0 {
		fmt.Fprintf(a.term.Err, "%s has no dead letters\n", name)
		return nil
	}
	rows := [][]string{{"ID", "TRIGGER", "FROM", "REASON", "TRIES", "LAST", "ERROR"}}
	for _, k := range all.Items {
		rows = append(rows, []string{k.ID, k.Trigger, from(k), k.Reason, fmt.Sprint(k.Attempts), k.Last.Local().Format(time.DateTime), cut(k.Error, 60)})
	}
	if err := terminal.Table(a.term.Out, rows); err != nil {
		return err
	}
	if all.Next != "" {
		fmt.Fprintln(a.term.Err, "there are more; see --limit")
	}
	return nil
}

// from is where a letter's event lay in its source.
func from(k letterbox.Kept) string {
	if k.Class == "stream" {
		return fmt.Sprintf("%s/%d@%d", k.From.Topic, k.From.Shard, k.From.Offset)
	}
	return k.From.Topic
}

func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

func (a *app) lettersShow() *cobra.Command {
	var out format
	c := &cobra.Command{
		Use: "show FUNCTION ID", Short: "Show a dead letter and its event", Args: cobra.ExactArgs(2), ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			k, err := a.client().Letter(a.ctx, args[0], args[1])
			if err != nil {
				return a.asked(err)
			}
			return a.write(out, k)
		},
	}
	addFormat(c, &out, "yaml", "json")
	return c
}

type redriving struct {
	all bool
	to  string
	out format
}

func (a *app) lettersRedrive() *cobra.Command {
	var r redriving
	c := &cobra.Command{
		Use: "redrive FUNCTION [ID...]", Aliases: []string{"replay", "retry"},
		Short: "Run the events of dead letters again",
		Long: `Runs the events of dead letters again, one after the other and the oldest first, and removes the letters of
those that are done. The others stay. With --to another function, or another version of the same one, runs them.`,
		Example: "  myelin letters redrive orders --all\n  myelin letters redrive orders 4f0c… --to orders:3\n  myelin letters redrive orders:2 --all --to :prod",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			if r.all == (len(args) > 1) {
				return usage("which letters? give their ids, or --all")
			}
			return a.redrive(r, args[0], args[1:])
		},
	}
	c.Flags().BoolVar(&r.all, "all", false, "all that there are now")
	c.Flags().StringVar(&r.to, "to", "", "the `function` that runs them, instead of what failed: NAME, NAME:VERSION, NAME:ALIAS, or :VERSION for another one of the same")
	_ = c.RegisterFlagCompletionFunc("to", a.completeFunctions) // the flag is there
	addFormat(c, &r.out, "table", "json", "yaml")
	return c
}

func (a *app) redrive(r redriving, name string, ids []string) error {
	if r.all {
		all, err := a.gather(name, 0)
		if err != nil {
			return err
		}
		for _, k := range all.Items {
			ids = append(ids, k.ID)
		}
	}
	p := a.term.Progress()
	results, failed := []api.Redriven{}, 0
	for i, id := range ids {
		p.Step(fmt.Sprintf("redrive %d of %d", i+1, len(ids)))
		done, err := a.client().Redrive(a.ctx, name, id, r.to)
		if r.all && client.NotFound(err) { // somebody else was quicker
			continue
		}
		if err != nil {
			p.Close()
			return a.asked(err)
		}
		if results = append(results, done); !done.Removed {
			failed++
		}
	}
	p.Close()
	return a.redriven(r, name, results, failed)
}

func (a *app) redriven(r redriving, name string, results []api.Redriven, failed int) error {
	if r.out.machine() {
		if err := a.write(r.out, results); err != nil {
			return err
		}
	} else {
		for _, d := range results {
			if !d.Removed {
				fmt.Fprintf(a.term.Err, "%s failed again (%d): %s\n", d.ID, d.Status, d.Error)
			}
		}
		fmt.Fprintf(a.term.Out, "%d of %d done\n", len(results)-failed, len(results))
	}
	if failed > 0 {
		by := results[slices.IndexFunc(results, func(d api.Redriven) bool { return !d.Removed })].By
		return fail(exitFailed, fmt.Errorf("%d of %s failed again", failed, plural(len(results), "letter")), "see: myelin logs "+or(by, name))
	}
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (a *app) lettersPurge() *cobra.Command {
	var older time.Duration
	var all bool
	c := &cobra.Command{
		Use: "purge FUNCTION [ID...]", Short: "Remove dead letters", Args: cobra.MinimumNArgs(1), ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			name, ids := args[0], args[1:]
			if set := older > 0; len(ids) == 0 && !all && !set || len(ids) > 0 && (all || set) {
				return usage("which letters? give their ids, --older-than, or --all")
			}
			var errs []error
			for _, id := range ids {
				errs = append(errs, a.asked(a.client().RemoveLetter(a.ctx, name, id)))
			}
			n, err := len(ids), errors.Join(errs...)
			if len(ids) == 0 {
				var before time.Time
				if !all {
					before = time.Now().Add(-older)
				}
				n, err = a.client().Purge(a.ctx, name, before)
				err = a.asked(err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(a.term.Err, "removed %s\n", plural(n, "letter"))
			return nil
		},
	}
	c.Flags().BoolVar(&all, "all", false, "all of them")
	c.Flags().DurationVar(&older, "older-than", 0, "those whose event was last tried longer ago, as 168h")
	return c
}
