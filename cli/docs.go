package cli

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Reference writes the page of all commands and flags, as Markdown.
func Reference(parts Parts) string {
	root := Root(parts)
	var b bytes.Buffer
	b.WriteString("# The command line\n\n<!-- Written by `go test ./cmd/myelin -run TestReference -update`; do not edit. -->\n\n")
	fmt.Fprintf(&b, "%s\n\n", code(root.Long))
	b.WriteString("## Exit codes\n\n| Code | Meaning |\n|---|---|\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "| %d | %s |\n", e.code, e.meaning)
	}
	b.WriteString("\nResults go to the standard output; progress, notes and errors to the standard error.\n" +
		"With `-o json` or `-o yaml` nothing else is on the standard output.\n\n## Flags of every command\n\n")
	flags(&b, root.PersistentFlags())
	for _, c := range root.Commands() {
		if !c.Hidden {
			describe(&b, c)
		}
	}
	return b.String()
}

var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitOK, "done"},
	{exitFailed, "failed"},
	{exitUsage, "wrong command line, or invalid configuration; of `diff` and `apply --dry-run`: there are differences"},
	{exitNotFound, "there is no such function or artefact"},
	{exitConflict, "it exists already, or was changed by somebody else"},
	{exitUnreachable, "the control plane does not answer"},
	{exitBuild, "the function does not build"},
	{exitNotReady, "it is deployed, but does not serve, or not in time"},
	{exitRefused, "the control plane does not know who asks, or they may not"},
	{exitRolledBack, "a rollout ended without its version having all traffic"},
	{exitIncomplete, "a job ended without each of its items being completed"},
	{exitInterrupted, "interrupted by Ctrl-C"},
}

func describe(b *bytes.Buffer, c *cobra.Command) {
	fmt.Fprintf(b, "\n## myelin %s\n\n", c.Name())
	fmt.Fprintf(b, "    %s\n\n", c.UseLine())
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	fmt.Fprintf(b, "%s\n", code(text))
	if len(c.Aliases) > 0 {
		fmt.Fprintf(b, "\nAlso: `%s`.\n", strings.Join(c.Aliases, "`, `"))
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\n    %s\n", strings.ReplaceAll(strings.ReplaceAll(c.Example, "\n  ", "\n"), "\n", "\n    ")[2:])
	}
	b.WriteString("\n")
	flags(b, c.LocalNonPersistentFlags())
}

// code keeps indented lines as they are in Markdown.
func code(text string) string { return strings.ReplaceAll(text, "\n  ", "\n    ") }

func flags(b *bytes.Buffer, fs *pflag.FlagSet) {
	if !fs.HasAvailableFlags() {
		return
	}
	b.WriteString("| Flag | Meaning |\n|---|---|\n")
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		kind, text := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if kind != "" {
			name += " " + kind
		}
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "[]" && !strings.Contains(text, "default") {
			text += " (default " + d + ")"
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", name, strings.ReplaceAll(text, "|", "\\|"))
	})
}
