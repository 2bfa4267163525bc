package document

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Error is one mistake in a document.
type Error struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"` // from 1; 0: not known
	Column int    `json:"column,omitempty"`
	Path   string `json:"path,omitempty"` // spec.env[2].name
	Msg    string `json:"msg"`            // complete without the path
}

func (e *Error) Error() string {
	where := ""
	switch {
	case e.File != "" && e.Line > 0:
		where = fmt.Sprintf("%s:%d: ", e.File, e.Line)
	case e.File != "":
		where = e.File + ": "
	case e.Line > 0:
		where = fmt.Sprintf("line %d: ", e.Line)
	}
	if e.Path == "" {
		return where + e.Msg
	}
	for _, verb := range []string{"unknown field", "duplicate field"} {
		if rest, ok := strings.CutPrefix(e.Msg, verb); ok {
			return where + verb + " " + shorten(e.Path) + rest
		}
	}
	return where + shorten(e.Path) + ": " + e.Msg
}

// Errors are the mistakes in a document, in the order of their lines.
type Errors []*Error

// Error gives one mistake per line.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Add appends the mistake msg, formatted, about the field at path.
func (es *Errors) Add(path, format string, args ...any) {
	*es = append(*es, &Error{Path: path, Msg: fmt.Sprintf(format, args...)})
}

// Err returns es as an error: nil if there are none.
func (es Errors) Err() error {
	if len(es) == 0 {
		return nil
	}
	return es
}

func (es Errors) sorted() Errors {
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return es
}

// Locate gives err the lines of the document. Errors and joined errors whose
// place is not known yet have their paths put under base; any other error is
// about base itself. It returns [Errors], or nil if err is nil.
func (d *Document) Locate(err error, base string) error {
	if err == nil {
		return nil
	}
	out := under(base, err)
	for _, e := range out {
		if e.Line == 0 {
			e.File = d.name
			e.Line, e.Column = d.Position(e.Path)
		}
	}
	return out.sorted()
}

// Under puts the paths of err under base, for whoever decodes a part of a
// larger whole without having its document.
func Under(base string, err error) error {
	if err == nil {
		return nil
	}
	return under(base, err)
}

func under(base string, err error) Errors {
	var (
		many Errors
		one  *Error
		out  Errors
	)
	for _, e := range joined(err) {
		out = append(out, under(base, e)...)
	}
	switch {
	case len(out) > 0:
		return out
	case errors.As(err, &many):
	case errors.As(err, &one):
		many = Errors{one}
	default:
		return Errors{{Path: base, Msg: err.Error()}}
	}
	for _, e := range many {
		moved := *e
		if moved.Line == 0 {
			moved.Path = joinPaths(base, e.Path)
		}
		out = append(out, &moved)
	}
	return out
}

// joined returns the errors that [errors.Join] made one of. An error that
// wraps several in a sentence of its own is left whole.
func joined(err error) []error {
	all, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var lines []string
	for _, e := range all.Unwrap() {
		lines = append(lines, e.Error())
	}
	if strings.Join(lines, "\n") != err.Error() {
		return nil
	}
	return all.Unwrap()
}
