package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/quantity"
)

func (a *app) loginCommand() *cobra.Command {
	var from, ca string
	c := &cobra.Command{
		Use:   "login",
		Short: "Keep the token with which a control plane is asked",
		Long: "Reads a token, of the control plane's own or of its OIDC issuer, from the standard input, asks the control plane at\n" +
			"--api whom it makes known, and keeps it for that address in a file that nobody else may read\n" +
			"(" + envContext + ", else myelin/contexts.json in the directory of settings). " + envToken + " stands in for it.",
		Example: "  myelin login --api https://functions.example.org:8070 < token\n  myelin login --api https://10.0.0.5:8070 --ca-file ca.pem",
		Args:    none,
		RunE:    func(*cobra.Command, []string) error { return a.login(from, ca) },
	}
	c.Flags().StringVar(&from, "token-file", "", "`file` with the token (default: the standard input)")
	c.Flags().StringVar(&ca, "ca-file", "", "`file` with the certificates that sign the control plane's, in PEM (environment: "+envCA+")")
	return c
}

func (a *app) login(from, ca string) error {
	token, err := a.readSecret("token", from)
	if err != nil {
		return err
	}
	k := known{Token: quantity.Secret(strings.TrimSpace(token.Reveal())), CAFile: ca}
	if k.Token == "" {
		return usage("the token is empty")
	}
	who, err := client.New(a.apiURL(), "", k.client()).WhoAmI(a.ctx)
	if err != nil {
		return a.asked(err)
	}
	all, err := readContexts()
	if err != nil {
		return err
	}
	all[a.apiURL()] = k
	if err := all.write(); err != nil {
		return fmt.Errorf("keep token: %w", err)
	}
	fmt.Fprintf(a.term.Out, "%s is known to %s as %s\n", or(who.Subject, "nobody"), a.apiURL(), grants(who))
	return nil
}

func grants(who api.Caller) string {
	var out []string
	for _, g := range who.Grants {
		out = append(out, g.String())
	}
	return or(strings.Join(out, ", "), "somebody without a role")
}

func (a *app) logoutCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "Forget the token of a control plane",
		Long:  "Forgets the token that is kept for the address --api. The token itself is as good as before: see myelin token revoke.",
		Args:  none,
		RunE: func(*cobra.Command, []string) error {
			all, err := readContexts()
			if err != nil {
				return err
			}
			if _, ok := all[a.apiURL()]; !ok {
				return fail(exitNotFound, errors.New("no token is kept for "+a.apiURL()), "")
			}
			delete(all, a.apiURL())
			return all.write()
		},
	}
}

// maxSecret is more than a secret may have.
const maxSecret = 1 << 20

// readSecret reads a text that must not be seen: from a file, from a terminal
// without an echo, or from what the standard input is.
func (a *app) readSecret(what, file string) (quantity.Secret, error) {
	var text []byte
	var err error
	stdin, isFile := a.term.In.(*os.File)
	switch {
	case file != "" && file != "-":
		text, err = os.ReadFile(file)
	case isFile && a.term.InTTY:
		fmt.Fprintf(a.term.Err, "%s: ", what)
		text, err = term.ReadPassword(int(stdin.Fd()))
		fmt.Fprintln(a.term.Err)
	default:
		text, err = io.ReadAll(io.LimitReader(a.term.In, maxSecret))
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", what, err)
	}
	return quantity.Secret(text), nil
}
