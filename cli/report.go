package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/document"
)

// finish tells what went wrong, if something did, and returns the exit code.
func (a *app) finish(err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errDiffers) {
		return exitDiffers
	}
	a.term.Plain = a.term.Plain || a.noColour // the command may not have begun
	code, hint := a.codeOf(err), ""
	var f *failure
	if errors.As(err, &f) {
		hint = f.hint
	}
	if code == exitInterrupted && (errors.Is(err, context.Canceled) || a.ctx.Err() != nil) && f == nil {
		fmt.Fprintln(a.term.Err, "interrupted")
		return code
	}
	fmt.Fprintf(a.term.Err, "%s %s\n", a.term.OnErr(terminal.Red, "error:"), a.explain(err))
	if hint != "" {
		fmt.Fprintln(a.term.Err, hint)
	}
	return code
}

func (a *app) codeOf(err error) int {
	var f *failure
	var mistakes document.Errors
	var wrong *build.Error
	switch {
	case errors.As(err, &f):
		return f.code
	case errors.Is(err, context.Canceled) && a.ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, &wrong):
		return exitBuild
	case errors.As(err, &mistakes):
		return exitUsage
	}
	return exitFailed
}

// explain writes err, with source lines where places are known.
func (a *app) explain(err error) string {
	var wrong *build.Error
	if errors.As(err, &wrong) {
		text := a.term.Show(terminal.Mistake{File: wrong.File, Line: wrong.Line, Column: wrong.Column, Text: wrong.Text, Msg: wrong.Msg})
		if wrong.Output != "" && (wrong.Text == "" || a.verbose) {
			text += "\n" + indent(wrong.Output)
		}
		return text
	}
	var mistakes document.Errors
	if !errors.As(err, &mistakes) || err.Error() != mistakes.Error() {
		return err.Error()
	}
	lines := make([]string, len(mistakes))
	for i, e := range mistakes {
		bare := *e
		bare.File, bare.Line = "", 0
		lines[i] = a.term.Show(terminal.Mistake{File: e.File, Line: e.Line, Column: e.Column, Text: sourceLine(e.File, e.Line), Msg: bare.Error()})
	}
	return strings.Join(lines, "\n")
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

// sourceLine reads a line of a file of this machine, "" if it cannot.
func sourceLine(file string, line int) string {
	if file == "" || line < 1 {
		return ""
	}
	fi, err := os.Stat(file)
	if err != nil || !fi.Mode().IsRegular() {
		return ""
	}
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	scan := bufio.NewScanner(f)
	for n := 1; scan.Scan(); n++ {
		if n == line {
			return scan.Text()
		}
	}
	return ""
}

// place gives the mistakes in err, whose files are relative to the sources, the
// paths that the user knows them by.
func place(err error, path string) error {
	fi, statErr := os.Stat(path)
	if err == nil || path == "" || statErr != nil {
		return err
	}
	dir := path
	if !fi.IsDir() {
		dir = filepath.Dir(path)
	}
	known := func(file string) string {
		if file == "" || filepath.IsAbs(file) {
			return file
		}
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			return file
		}
		return filepath.Join(dir, file)
	}
	var wrong *build.Error
	var mistakes document.Errors
	switch {
	case errors.As(err, &wrong):
		moved := *wrong
		moved.File = known(wrong.File)
		if moved.Text == "" {
			moved.Text = sourceLine(moved.File, moved.Line)
		}
		return &moved
	case errors.As(err, &mistakes):
		out := make(document.Errors, len(mistakes))
		for i, e := range mistakes {
			moved := *e
			moved.File = known(e.File)
			out[i] = &moved
		}
		return out
	}
	return err
}

// noCommand complains of a word that is no command.
func (a *app) noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			names = append(append(names, sub.Name()), sub.Aliases...)
		}
	}
	return fail(exitUsage, fmt.Errorf("unknown command %s%s", args[0], suggest(args[0], names)), "see: "+c.CommandPath()+" --help")
}

var flagName = regexp.MustCompile(`^unknown flag: --([^\s=]+)`)

// flagError adds the nearest flag to a complaint about one.
func (a *app) flagError(c *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	msg := err.Error()
	if m := flagName.FindStringSubmatch(msg); m != nil {
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		})
		msg = "unknown flag --" + m[1]
		if near := document.DidYouMean(m[1], names); near != "" {
			msg += strings.Replace(strings.ReplaceAll(near, `"`, ""), "did you mean ", "did you mean --", 1)
		}
	}
	return fail(exitUsage, errors.New(msg), "see: "+c.CommandPath()+" --help")
}

// suggest is ", did you mean x?", or "".
func suggest(got string, names []string) string {
	return strings.ReplaceAll(document.DidYouMean(got, names), `"`, "")
}
