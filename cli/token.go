package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/api"
)

func (a *app) tokenCreate() *cobra.Command {
	var role, project, expires string
	var all bool
	var out format
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a token and show it, this once",
		Long: "Makes a token for NAME, a person or a program, with a role (viewer, developer, operator or admin) in a project of the\n" +
			"namespace, or in the whole namespace without --project, or everywhere with --everywhere. The token alone goes to the\n" +
			"standard output.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			in, err := a.tokenInput(args[0], role, project, expires, all)
			if err != nil {
				return err
			}
			made, err := a.client().CreateToken(a.ctx, in)
			if err != nil {
				return a.asked(err)
			}
			if out.machine() {
				return a.write(out, made)
			}
			fmt.Fprintf(a.term.Err, "token %s of %s: %s; it is shown this once\n", made.Kept.ID, made.Kept.Name, gives(made.Kept))
			_, err = fmt.Fprintln(a.term.Out, made.Bearer)
			return err
		},
	}
	fs := c.Flags()
	fs.StringVar(&role, "role", "viewer", "`role`: viewer, developer, operator or admin")
	fs.StringVar(&project, "project", "", "`project` of the namespace (default: the whole namespace)")
	fs.BoolVar(&all, "everywhere", false, "the role is for all namespaces")
	fs.StringVar(&expires, "expires", "", "when it ends: a `time` such as 2027-01-31T00:00:00Z, or after how long, such as 720h (default: when it is revoked)")
	addFormat(c, &out, "text", "json", "yaml")
	return c
}

func (a *app) tokenNew() *cobra.Command {
	return &cobra.Command{
		Use:     "new",
		Short:   "Make a token for the first admin of a control plane that is yet to be started",
		Long:    "Makes a token and shows it. No control plane knows it: it goes into the file that up --admin-token-file names,\nor into a Secret of a cluster.",
		Example: "  myelin token new > token && kubectl create secret generic myelin-admin --from-file=token",
		Args:    none,
		RunE: func(*cobra.Command, []string) error {
			token, err := access.New()
			if err == nil {
				_, err = fmt.Fprintln(a.term.Out, token)
			}
			return err
		},
	}
}

func (a *app) tokenInput(name, role, project, expires string, all bool) (in api.TokenInput, err error) {
	g := access.Grant{Namespace: or(a.namespace, api.DefaultNamespace), Project: or(project, access.All)}
	if all {
		if project != "" {
			return in, usage("--everywhere and --project: say one")
		}
		g.Namespace = access.All
	}
	if g.Role, err = access.ParseRole(role); err != nil {
		return in, usage("--role: %v", err)
	}
	in = api.TokenInput{Name: name, Grants: []access.Grant{g}}
	if expires == "" {
		return in, nil
	}
	at, err := time.Parse(time.RFC3339, expires)
	if err != nil {
		d, derr := time.ParseDuration(expires)
		if derr != nil {
			return in, usage("--expires %s: want a time such as 2027-01-31T00:00:00Z, or how long, such as 720h", expires)
		}
		at = time.Now().Add(d)
	}
	in.Expires = &at
	return in, nil
}

func gives(t access.Token) string {
	var out []string
	for _, g := range t.Grants {
		out = append(out, g.String())
	}
	if t.Expires.IsZero() {
		return strings.Join(out, ", ")
	}
	return strings.Join(out, ", ") + " until " + t.Expires.Local().Format(time.DateTime)
}

func (a *app) tokenList() *cobra.Command {
	var out format
	c := &cobra.Command{
		Use: "list", Short: "List tokens, without what is secret of them", Args: none,
		RunE: func(*cobra.Command, []string) error {
			all, err := a.client().Tokens(a.ctx)
			if err != nil {
				return a.asked(err)
			}
			if out.machine() {
				return a.write(out, all)
			}
			rows := [][]string{{"ID", "NAME", "GIVES", "MADE", "BY"}}
			for _, t := range all {
				rows = append(rows, []string{t.ID, t.Name, gives(t), t.Created.Local().Format(time.DateTime), t.By})
			}
			return terminal.Table(a.term.Out, rows)
		},
	}
	addFormat(c, &out, "table", "json", "yaml")
	return c
}

func (a *app) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID...", Short: "Revoke tokens at once; what is under way with them ends", Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			for _, id := range args {
				if err := a.client().RevokeToken(a.ctx, id); err != nil {
					return a.asked(err)
				}
			}
			return nil
		},
	}
}
