package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/function"
)

func (a *app) createCommand() *cobra.Command {
	var description, owner string
	c := &cobra.Command{
		Use:     "create project NAME",
		Aliases: []string{"cre"},
		Short:   "Make a project",
		Long:    "Makes a project, which gathers functions: myelin run --project-name NAME. Other objects are made by `myelin run`\nand `myelin apply`.",
		Example: "  myelin create project shop --description 'What sells'",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				if k, ok := a.kindOf(args[0]); !ok || k.name != function.ProjectKind {
					return usage("cannot create %s%s; usage: %s", args[0], suggest(args[0], []string{"project"}), c.UseLine())
				}
			}
			if len(args) != 2 {
				return usage("which project? usage: %s", c.UseLine())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			p := function.Project{APIVersion: function.APIVersion, Kind: function.ProjectKind}
			p.Metadata.Name, p.Spec.Description, p.Spec.Owner = args[1], description, owner
			if err := a.client().CreateProject(a.ctx, p); err != nil {
				return a.asked(err)
			}
			fmt.Fprintf(a.term.Err, "created project %s\n", args[1])
			return nil
		},
	}
	c.Flags().StringVar(&description, "description", "", "what the project is for")
	c.Flags().StringVar(&owner, "owner", "", "whose it is")
	return c
}
