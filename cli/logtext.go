package cli

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/logline"
)

// logLine is a line of a log as it is shown to a person.
func (a *app) logLine(l logline.Line) string {
	if l.Level == "" {
		return l.Message
	}
	style := map[string]terminal.Style{"DEBUG": terminal.Dim, "WARN": terminal.Yellow, "ERROR": terminal.Red}[l.Level]
	return fmt.Sprintf("%s %s %s", a.term.OnOut(terminal.Dim, l.Time.Local().Format("15:04:05.000")),
		a.term.OnOut(style, fmt.Sprintf("%-5s", l.Level)), stored.ReplaceAllString(l.Text(), ""))
}

// stored is the directory of an artefact's sources, which the author knows
// without it.
var stored = regexp.MustCompile(`[^\s"']*/artefacts/[0-9a-f]{64}/src/`)

// because splits what is said about a failed start: the reason, and the last
// lines of the log, each once, laid out.
func because(message string, logs []string) (reason string, lines []string) {
	reason = message
	var ends []string // what says again, in the end, what was said before
	for _, text := range logs {
		reason = strings.TrimSuffix(reason, ": "+text)
		l := logline.Parse(text)
		shown := stored.ReplaceAllString(l.Text(), "")
		switch {
		case slices.Contains(lines, shown) || slices.Contains(ends, shown):
		case l.Message == "processor ends":
			ends = append(ends, shown)
		default:
			lines = append(lines, shown)
		}
	}
	if len(lines) == 0 {
		lines = ends
	}
	return reason, lines
}

// readable lays out the lines of a log that are written to it, for a terminal.
type readable struct{ a *app }

func (r readable) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		l := logline.Parse(strings.TrimRight(line, "\n"))
		fmt.Fprintln(r.a.term.Err, r.a.logLine(l))
	}
	return len(b), nil
}
