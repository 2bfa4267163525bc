// Package terminal shows things to a person or to a program that reads along:
// colours, progress, tables and mistakes with their source line. It knows
// nothing of functions, nor of commands.
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Terminal is where a command reads and writes. Out carries results and
// nothing else; progress, notes and errors go to Err.
type Terminal struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer

	InTTY, OutTTY, ErrTTY bool
	// Plain turns colours and moving lines off.
	Plain bool
	// Width returns the columns of Err's terminal; nil, or 0: not known.
	Width func() int
}

// New looks at the three streams. NO_COLOR, if set to anything, and TERM=dumb
// turn colours and moving lines off.
func New(in, out, errs *os.File, getenv func(string) string) *Terminal {
	is := func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
	return &Terminal{
		In: in, Out: out, Err: errs,
		InTTY: is(in), OutTTY: is(out), ErrTTY: is(errs),
		Plain: getenv("NO_COLOR") != "" || getenv("TERM") == "dumb",
		Width: func() int {
			w, _, err := term.GetSize(int(errs.Fd()))
			if err != nil {
				return 0
			}
			return w
		},
	}
}

// Style is how a text looks, where colours are shown.
type Style string

// The styles.
const (
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
	Blue   Style = "36"
)

// OnOut returns s as it is to be written to Out.
func (t *Terminal) OnOut(style Style, s string) string { return paint(t.OutTTY && !t.Plain, style, s) }

// OnErr returns s as it is to be written to Err.
func (t *Terminal) OnErr(style Style, s string) string { return paint(t.ErrTTY && !t.Plain, style, s) }

func paint(on bool, style Style, s string) string {
	if !on || style == "" || s == "" {
		return s
	}
	return "\x1b[" + string(style) + "m" + s + "\x1b[0m"
}
