package terminal

import (
	"fmt"
	"strconv"
	"strings"
)

// Mistake is a place in a source with what is wrong there.
type Mistake struct {
	File   string
	Line   int    // from 1; 0: not known
	Column int    // from 1, in bytes; 0: not known
	Text   string // the source line; "": not known
	Msg    string
}

// Show writes the place, the source line and a caret under the column.
func (t *Terminal) Show(m Mistake) string {
	var b strings.Builder
	place := m.File
	if m.Line > 0 {
		place = strings.TrimPrefix(place+":"+strconv.Itoa(m.Line), ":")
		if m.Column > 0 {
			place += ":" + strconv.Itoa(m.Column)
		}
	}
	if place != "" {
		b.WriteString(t.OnErr(Bold, place) + ": ")
	}
	b.WriteString(m.Msg)
	if m.Text == "" || m.Line < 1 {
		return b.String()
	}
	number := strconv.Itoa(m.Line)
	margin := strings.Repeat(" ", len(number))
	text := strings.TrimRight(m.Text, "\r\n")
	fmt.Fprintf(&b, "\n  %s %s", t.OnErr(Dim, number+" |"), text)
	if m.Column > 0 {
		fmt.Fprintf(&b, "\n  %s %s%s", t.OnErr(Dim, margin+" |"), under(text, m.Column), t.OnErr(Red, "^"))
	}
	return b.String()
}

// under returns the blanks that lead to a column; tabs stay, so that they are
// as wide as in the line above.
func under(text string, column int) string {
	before := text[:min(column-1, len(text))]
	blank := func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}
	return strings.Map(blank, before) + strings.Repeat(" ", column-1-len(before))
}
