package cli

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// versions is the answer of `myelin version`.
type versions struct {
	Client  string `json:"client"`
	Go      string `json:"go"`
	Commit  string `json:"commit,omitempty"`
	Server  string `json:"server,omitempty"`
	Address string `json:"address,omitempty"`
}

func (a *app) versionCommand() *cobra.Command {
	var out format
	var client bool
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this program and of the control plane",
		Args:  none,
		RunE: func(*cobra.Command, []string) error {
			v := a.ownVersion()
			if !client {
				v.Server = a.serverVersion()
				v.Address = a.api
			}
			if out.machine() {
				return a.write(out, v)
			}
			fmt.Fprintf(a.term.Out, "client: %s %s\n", v.Client, v.Go)
			switch {
			case client:
			case v.Server == "":
				fmt.Fprintf(a.term.Out, "server: none at %s\n", a.api)
			default:
				fmt.Fprintf(a.term.Out, "server: %s at %s\n", v.Server, a.api)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&client, "client", false, "this program's only; do not ask the control plane")
	addFormat(c, &out, "table", "json", "yaml")
	return c
}

func (a *app) ownVersion() versions {
	v := versions{Client: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Client, v.Go = strings.Trim(info.Main.Version, "()"), info.GoVersion
	if a.parts.Version != "" {
		v.Client = a.parts.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Commit = s.Value
		}
	}
	return v
}
