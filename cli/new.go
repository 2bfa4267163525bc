package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/templates"
)

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (a *app) newCommand() *cobra.Command {
	var runtime, trigger string
	var showList bool
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Begin a function: its code, configuration and test",
		Long: "Makes a directory with a function that works, its function.yaml, a README and a test.\n" +
			"NAME may be a path; its last part is the function's name.",
		Example: "  myelin new hello\n  myelin new hello --runtime go\n  myelin new tick --runtime shell --trigger cron",
		Args: func(c *cobra.Command, args []string) error {
			if showList {
				return none(c, args)
			}
			return oneName("name")(c, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if showList {
				return a.listTemplates()
			}
			return a.makeNew(withoutNoun(args)[0], runtime, trigger)
		},
	}
	c.Flags().StringVar(&runtime, "runtime", "python", "`runtime`: "+list(templates.Runtimes()))
	c.Flags().StringVar(&trigger, "trigger", "http", "`trigger`: "+list(templates.Triggers()))
	c.Flags().BoolVar(&showList, "list", false, "list what there is to begin with")
	_ = c.RegisterFlagCompletionFunc("runtime", cobra.FixedCompletions(templates.Runtimes(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	_ = c.RegisterFlagCompletionFunc("trigger", cobra.FixedCompletions(templates.Triggers(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	return c
}

func (a *app) listTemplates() error {
	rows := [][]string{{"RUNTIME", "TRIGGER", "WHAT IT DOES"}}
	for _, t := range templates.All() {
		rows = append(rows, []string{t.Runtime, t.Trigger, t.Summary})
	}
	return terminal.Table(a.term.Out, rows)
}

func (a *app) makeNew(dir, runtime, trigger string) error {
	name := filepath.Base(filepath.Clean(dir))
	if !dnsLabel.MatchString(name) {
		return usage("name %q: want a-z, 0-9 and -, at most 63, beginning and ending with a letter or digit", name)
	}
	t, ok := templates.Find(runtime, trigger)
	if !ok {
		return fail(exitUsage, fmt.Errorf("no template for runtime %s with trigger %s%s%s", runtime, trigger,
			suggest(runtime, templates.Runtimes()), suggest(trigger, templates.Triggers())), "see: myelin new --list")
	}
	files, err := t.Write(dir, templates.Values{Name: name, GoVersion: goVersion})
	if errors.Is(err, templates.ErrExists) {
		return fail(exitConflict, err, "give another name, or remove it")
	}
	if err != nil {
		return err
	}
	language, _ := function.SplitRuntime(t.Runtime)
	if err := a.workspace(language, dir); err != nil {
		return err
	}
	fmt.Fprintf(a.term.Err, "made %s: %s\n", dir, strings.Join(files, ", "))
	fmt.Fprintf(a.term.Err, "test it:    cd %s && %s\nserve it:   myelin dev %s\ndeploy it:  myelin run %s\n", dir, t.Test, dir, dir)
	return nil
}
