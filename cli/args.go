package cli

import (
	"slices"

	"github.com/spf13/cobra"
)

var nouns = []string{"function", "functions", "fn", "fu"}

// otherNouns may stand before a command's name too, and say what it is about.
var otherNouns = []string{"project", "projects", "proj", "prj"}

// takesNoun are the commands before whose names a noun may stand.
var takesNoun = []string{"get", "describe", "delete", "del", "build", "deploy", "run", "logs", "invoke"}

// nounFirst lets `myelin function delete x` mean `myelin delete function x`.
func nounFirst(args []string) []string {
	if len(args) > 1 && slices.Contains(nouns, args[0]) && slices.Contains(takesNoun, args[1]) {
		return append([]string{args[1]}, args[2:]...)
	}
	if len(args) > 1 && slices.Contains(otherNouns, args[0]) && slices.Contains([]string{"get", "describe", "delete", "del", "create"}, args[1]) {
		return append([]string{args[1], args[0]}, args[2:]...)
	}
	return args
}

// withoutNoun takes the optional noun away. A function may have a noun's name:
// a noun alone is a name.
func withoutNoun(args []string) []string {
	if len(args) > 1 && slices.Contains(nouns, args[0]) {
		return args[1:]
	}
	return args
}

// oneName wants exactly one name, after an optional noun.
func oneName(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch args = withoutNoun(args); {
		case len(args) == 0:
			return usage("which %s? usage: %s", what, c.UseLine())
		case len(args) > 1:
			return usage("one %s at a time: unexpected %q", what, args[1])
		}
		return nil
	}
}

// oneObject wants a kind, which may be left out for functions, and one name.
func (a *app) oneObject(verb string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		k, names, said := a.about(args, true)
		switch {
		case len(names) == 0:
			return usage("which %s? usage: %s", k.one, c.UseLine())
		case !said && len(names) > 1:
			return a.noKind(verb, args[0])
		case len(names) > 1:
			return usage("one %s at a time: unexpected %q", k.one, names[1])
		}
		return nil
	}
}

// none wants no arguments.
func none(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("unexpected argument %q; usage: %s", args[0], c.UseLine())
	}
	return nil
}

// atMostOne takes one argument, after an optional noun, or none.
func atMostOne(c *cobra.Command, args []string) error {
	if args = withoutNoun(args); len(args) > 1 {
		return usage("one function at a time: unexpected %q; usage: %s", args[1], c.UseLine())
	}
	return nil
}
