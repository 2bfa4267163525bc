package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/quantity"
)

func (a *app) secretCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "secret",
		Aliases: []string{"secrets"},
		Short:   "Secrets of a project, which functions refer to as $secret:NAME",
		Example: "  myelin secret set db-password < password.txt\n  myelin secret list\n  myelin secret delete db-password",
		Args: func(c *cobra.Command, _ []string) error {
			return usage("secret set, list, delete or rotate-key? usage: %s set NAME", c.CommandPath())
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(a.secretSet(), a.secretList(), a.secretDelete(), a.secretRotate())
	return c
}

func projectFlag(c *cobra.Command, project *string, otherwise string) {
	c.Flags().StringVar(project, "project", "", "`project` whose functions may refer to it (default: "+otherwise+")")
}

func (a *app) secretSet() *cobra.Command {
	var project, file string
	var keep bool
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Write a secret, new or not",
		Long: "Reads the value from a file, from a terminal without showing it, or from the standard input; never from the command\n" +
			"line, which others may see. One newline at its end is not a part of it. Functions that refer to it are deployed anew.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			value, err := a.readSecret("value", file)
			if err != nil {
				return err
			}
			if !keep {
				value = quantity.Secret(strings.TrimSuffix(strings.TrimSuffix(value.Reveal(), "\n"), "\r"))
			}
			if value == "" {
				return usage("the value is empty")
			}
			x, err := a.client().SetSecret(a.ctx, project, args[0], value)
			if err != nil {
				return a.asked(err)
			}
			fmt.Fprintf(a.term.Err, "functions of project %s in namespace %s may refer to $secret:%s\n", x.Project, x.Namespace, x.Name)
			return nil
		},
	}
	projectFlag(c, &project, "default")
	c.Flags().StringVarP(&file, "file", "f", "", "`file` with the value (default: the standard input)")
	c.Flags().BoolVar(&keep, "keep-newline", false, "take the value with the newline at its end")
	return c
}

func (a *app) secretList() *cobra.Command {
	var project string
	var out format
	c := &cobra.Command{
		Use: "list", Short: "List secrets, without their values", Args: none,
		RunE: func(*cobra.Command, []string) error {
			all, err := a.client().Secrets(a.ctx, project)
			if err != nil {
				return a.asked(err)
			}
			if out.machine() {
				return a.write(out, all)
			}
			if len(all) == 0 {
				fmt.Fprintln(a.term.Err, "no secrets; write one with: myelin secret set NAME")
				return nil
			}
			rows := [][]string{{"NAME", "PROJECT", "CHANGED", "BY"}}
			for _, x := range all {
				rows = append(rows, []string{x.Name, x.Project, x.Changed.Local().Format(time.DateTime), x.By})
			}
			return terminal.Table(a.term.Out, rows)
		},
	}
	projectFlag(c, &project, "all")
	addFormat(c, &out, "table", "json", "yaml")
	return c
}

func (a *app) secretDelete() *cobra.Command {
	var project string
	c := &cobra.Command{
		Use: "delete NAME", Short: "Delete a secret; functions that refer to it keep what they have until they are deployed again", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.asked(a.client().DeleteSecret(a.ctx, project, args[0]))
		},
	}
	projectFlag(c, &project, "default")
	return c
}

func (a *app) secretRotate() *cobra.Command {
	return &cobra.Command{
		Use: "rotate-key", Short: "Make a new key for the control plane's store and encrypt everything with it", Args: none,
		RunE: func(*cobra.Command, []string) error {
			id, err := a.client().RotateKey(a.ctx)
			if err != nil {
				return a.asked(err)
			}
			fmt.Fprintf(a.term.Err, "the store is encrypted with the key %s; keep a copy of the key file\n", id)
			return nil
		},
	}
}

func (a *app) tokenCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "token",
		Aliases: []string{"tokens"},
		Short:   "Tokens with which the control plane is asked: make, list, revoke",
		Example: "  myelin token create ci --role developer --project shop --expires 720h\n  myelin token list\n  myelin token revoke ID",
		Args: func(c *cobra.Command, _ []string) error {
			return usage("token create, list or revoke? usage: %s create NAME --role ROLE", c.CommandPath())
		},
		RunE: func(*cobra.Command, []string) error { return nil },
	}
	c.AddCommand(a.tokenCreate(), a.tokenNew(), a.tokenList(), a.tokenRevoke())
	return c
}
