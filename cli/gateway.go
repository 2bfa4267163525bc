package cli

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/gateway"
	"github.com/myelin-run/myelin/gateway/access"
)

// gatewayFlags say how the gateway serves.
func gatewayFlags(fs *pflag.FlagSet, s *gateway.Settings) {
	fs.StringVar(&s.Certificate, "gateway-tls-cert", "", "`file` with the gateway's certificate; it speaks TLS and HTTP/2 then, and to this machine also in clear")
	fs.StringVar(&s.Key, "gateway-tls-key", "", "`file` with its key; both may be replaced at any time")
	fs.Var(acmeFlag{s, func(a *gateway.ACME, v string) { a.Hosts = append(a.Hosts, v) }, "hosts"}, "gateway-acme-host", "get a certificate for this `host` by ACME (may be repeated)")
	fs.Var(acmeFlag{s, func(a *gateway.ACME, v string) { a.Directory = v }, "url"}, "gateway-acme-directory", "`URL` of the ACME directory (default Let's Encrypt's)")
	fs.Var(acmeFlag{s, func(a *gateway.ACME, v string) { a.Email = v }, "email"}, "gateway-acme-email", "`address` that the authority may write to")
	fs.Var(acmeFlag{s, func(a *gateway.ACME, v string) { a.Roots = v }, "file"}, "gateway-acme-roots", "`file` with the certificates that the ACME server is verified by (default the system's)")
	fs.Var(logFlag{s, func(o *access.Options, v string) error { o.Format = v; return nil }, "format"}, "access-log", "write a line per request through the gateway to kept/access.log: `json or common` (default off)")
	fs.Var(logFlag{s, func(o *access.Options, v string) error { _, err := fmt.Sscan(v, &o.Sample); return err }, "share"}, "access-log-sample", "`share` of the requests that are logged, 0 to 1; failed ones are logged all (default 1)")
}

// acmeFlag sets a part of what turns ACME on.
type acmeFlag struct {
	s    *gateway.Settings
	set  func(*gateway.ACME, string)
	kind string
}

func (f acmeFlag) String() string { return "" }

func (f acmeFlag) Type() string { return f.kind }

func (f acmeFlag) Set(v string) error {
	if f.s.ACME == nil {
		f.s.ACME = &gateway.ACME{}
	}
	f.set(f.s.ACME, v)
	return nil
}

// logFlag sets a part of what turns the access log on.
type logFlag struct {
	s    *gateway.Settings
	set  func(*access.Options, string) error
	kind string
}

func (f logFlag) String() string { return "" }

func (f logFlag) Type() string { return f.kind }

func (f logFlag) Set(v string) error {
	if f.s.AccessLog == nil {
		f.s.AccessLog = &access.Options{}
	}
	return f.set(f.s.AccessLog, v)
}

func (a *app) gatewayCommand() *cobra.Command {
	var settings string
	c := &cobra.Command{
		Use:    "gateway",
		Short:  "The gateway's process, which the control plane starts",
		Hidden: true,
		Args:   none,
		RunE: func(*cobra.Command, []string) error {
			o, err := gateway.Inherited(slog.New(slog.NewTextHandler(a.term.Err, nil)))
			if err != nil {
				return misused(err)
			}
			if settings != "" {
				if err := document.DecodeJSON([]byte(settings), &o.Settings); err != nil {
					return misused(fmt.Errorf("settings: %w", err))
				}
			}
			return gateway.Run(a.ctx, o)
		},
	}
	c.Flags().StringVar(&settings, "settings", "", "how it serves, as `JSON`")
	return c
}
