package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/document"
)

// format is the value of -o.
type format string

// addFormat defines -o with the formats that a command has, the first being
// the default.
func addFormat(c *cobra.Command, f *format, formats ...string) {
	*f = format(formats[0])
	c.Flags().StringVarP((*string)(f), "output", "o", formats[0], "`format`: "+list(formats))
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	check := c.PreRunE
	c.PreRunE = func(c *cobra.Command, args []string) error {
		if *f == "text" && slices.Contains(formats, "table") {
			*f = "table" // nuctl's word
		}
		if !slices.Contains(formats, string(*f)) {
			return usage("--output %s: want %s%s", *f, list(formats), suggest(string(*f), formats))
		}
		if check != nil {
			return check(c, args)
		}
		return nil
	}
}

func list(words []string) string {
	text := ""
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			text += " or "
		default:
			text += ", "
		}
		text += w
	}
	return text
}

// machine tells whether the format is for programs.
func (f format) machine() bool { return f == "json" || f == "yaml" }

// write writes v as JSON or YAML to the standard output.
func (a *app) write(f format, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if f == "yaml" {
		if text, err = document.YAML(text); err != nil {
			return err
		}
		_, err = fmt.Fprintln(a.term.Out, strings.TrimRight(string(text), "\n"))
		return err
	}
	return a.writeJSON(v)
}

func (a *app) writeJSON(v any) error {
	e := json.NewEncoder(a.term.Out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}
