package cli

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/function"
)

// me is who the control plane is told moves and publishes, where it asks
// nobody who they are.
func me() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return os.Getenv("USER")
}

func (a *app) publishCommand() *cobra.Command {
	var out format
	var note string
	c := &cobra.Command{
		Use: "publish NAME", Short: "Make a version of a function as it is, which never changes",
		Example: "  myelin publish hello --note 'the new greeting'",
		Args:    oneName("function"), ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			v, fresh, err := a.client().Publish(a.ctx, withoutNoun(args)[0], client.Author{By: me(), Note: note})
			if err != nil {
				return a.asked(err)
			}
			if out.machine() {
				return a.write(out, v)
			}
			said := "published %s version %d\n"
			if !fresh {
				said = "nothing has changed since %s version %d, which stays the last one\n"
			}
			_, err = fmt.Fprintf(a.term.Out, said, v.Function, v.Number)
			return err
		},
	}
	addFormat(c, &out, "text", "json", "yaml")
	c.Flags().StringVar(&note, "note", "", "why, for those who read the list of versions")
	return c
}

func (a *app) versionsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "versions NAME", Short: "List the versions of a function, or remove old ones",
		Example: "  myelin versions hello\n  myelin versions get hello 3\n  myelin versions delete hello 3\n  myelin versions collect hello --keep 5 --dry-run",
		Args:    oneName("function"), ValidArgsFunction: a.completeFunctions,
	}
	var out format
	c.RunE = func(_ *cobra.Command, args []string) error { return a.versions(out, withoutNoun(args)[0]) }
	addFormat(c, &out, "table", "json", "yaml")
	c.AddCommand(a.versionsGet(), a.versionsDelete(), a.versionsCollect())
	return c
}

func (a *app) versions(out format, name string) error {
	vs, err := a.client().Versions(a.ctx, name)
	if err != nil {
		return a.asked(err)
	}
	if out.machine() {
		return a.write(out, vs)
	}
	if len(vs) == 0 {
		fmt.Fprintf(a.term.Err, "no versions; make one with: myelin publish %s\n", name)
		return nil
	}
	return terminal.Table(a.term.Out, publishedRows(vs))
}

func publishedRows(vs []function.Version) [][]string {
	rows := [][]string{{"VERSION", "STATE", "NAMED BY", "ARTEFACT", "PUBLISHED", "BY", "NOTE"}}
	for _, v := range vs {
		state := string(v.Status.State)
		if !v.Status.Left.IsZero() {
			state += " (left)"
		}
		rows = append(rows, []string{strconv.Itoa(v.Number), state, strings.Join(v.Status.NamedBy, ", "), short(v.Artefact), ago(v.Created), v.Publisher, v.Note})
	}
	return rows
}

// numbered reads FUNCTION and VERSION.
func numbered(c *cobra.Command, args []string) (string, int, error) {
	if len(args) != 2 {
		return "", 0, usage("which version of which function? usage: %s", c.UseLine())
	}
	n, err := function.ParseVersion(args[1])
	if err != nil || n == 0 {
		return "", 0, usage("%s: want the number of a version, such as 3", args[1])
	}
	return args[0], n, nil
}

func (a *app) versionsGet() *cobra.Command {
	var out format
	c := &cobra.Command{
		Use: "get FUNCTION VERSION", Short: "Show a version with its whole configuration", ValidArgsFunction: a.completeVersions,
		RunE: func(c *cobra.Command, args []string) error {
			name, n, err := numbered(c, args)
			if err != nil {
				return err
			}
			v, err := a.client().FunctionVersion(a.ctx, name, n)
			if err != nil {
				return a.asked(err)
			}
			return a.write(out, v)
		},
	}
	addFormat(c, &out, "yaml", "json")
	return c
}

func (a *app) versionsDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete FUNCTION VERSION", Short: "Delete a version that nothing names", ValidArgsFunction: a.completeVersions,
		RunE: func(c *cobra.Command, args []string) error {
			name, n, err := numbered(c, args)
			if err != nil {
				return err
			}
			if err := a.client().DeleteVersion(a.ctx, name, n); err != nil {
				return a.asked(err)
			}
			fmt.Fprintf(a.term.Err, "deleted %s version %d\n", name, n)
			return nil
		},
	}
}

func (a *app) versionsCollect() *cobra.Command {
	var o client.CollectOptions
	var out format
	c := &cobra.Command{
		Use: "collect FUNCTION", Short: "Remove old versions that nothing names", Args: oneName("function"), ValidArgsFunction: a.completeFunctions,
		RunE: func(_ *cobra.Command, args []string) error {
			gone, err := a.client().Collect(a.ctx, withoutNoun(args)[0], o)
			switch {
			case err != nil:
				return a.asked(err)
			case out.machine():
				return a.write(out, gone)
			case len(gone) == 0:
				fmt.Fprintln(a.term.Err, "nothing to remove")
				return nil
			case o.DryRun:
				fmt.Fprintln(a.term.Err, "would be removed:")
			}
			return terminal.Table(a.term.Out, publishedRows(gone))
		},
	}
	addFormat(c, &out, "table", "json", "yaml")
	c.Flags().IntVar(&o.Keep, "keep", 10, "how many of the newest stay")
	c.Flags().DurationVar(&o.OlderThan, "older-than", time.Duration(0), "only versions that were published longer ago")
	c.Flags().BoolVar(&o.DryRun, "dry-run", false, "only say which")
	return c
}

// completeVersions completes a function, and then its versions.
func (a *app) completeVersions(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.completeFunctions(c, args, typed)
	}
	var out []string
	if vs, err := a.client().Versions(a.ctx, args[0]); err == nil {
		for _, v := range vs {
			out = append(out, v.Label()+"\t"+v.Note)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
