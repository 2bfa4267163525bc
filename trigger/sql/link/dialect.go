package link

import (
	"fmt"
	"strconv"
	"strings"
)

// Dialect is what is peculiar to a database in a statement.
type Dialect struct {
	Name   string
	quote  string
	dollar bool
	text   bool   // a value is exact as a text, and a parameter takes it
	plain  string // before a column, so that it is read as it is stored
}

// The dialects.
var (
	PostgreSQL = Dialect{Name: "postgresql", quote: `"`, dollar: true, text: true}
	MySQL      = Dialect{Name: "mysql", quote: "`"}
	SQLite     = Dialect{Name: "sqlite", quote: `"`, plain: "+"}
)

// CheckName says what is wrong with the name of a column, or of a table, which
// may have a schema before a dot.
func CheckName(name string, dots int) error {
	parts := strings.Split(name, ".")
	if len(parts) > dots+1 {
		return fmt.Errorf("is %.100q, which has too many dots", name)
	}
	for _, p := range parts {
		if p == "" || len(p) > 128 || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0xfffd }) {
			return fmt.Errorf("is %.100q, which is no name", name)
		}
	}
	return nil
}

// Quoted writes a name, with the schema before a dot that it may have.
func (d Dialect) Quoted(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		parts[i] = d.Column(p)
	}
	return strings.Join(parts, ".")
}

// Column writes the name of a column, whatever is in it.
func (d Dialect) Column(name string) string {
	return d.quote + strings.ReplaceAll(name, d.quote, d.quote+d.quote) + d.quote
}

// Exact writes how the value of a column is read so that it can be compared with
// it again.
func (d Dialect) Exact(column string) string {
	if d.text {
		return "CAST(" + column + " AS TEXT)"
	}
	return d.plain + column
}

// Statement is a text with parameters.
type Statement struct {
	text strings.Builder
	Args []any
	of   Dialect
}

// Statement begins one.
func (d Dialect) Statement(text string) *Statement {
	s := &Statement{of: d}
	return s.Text(text)
}

// Text writes a part of it.
func (s *Statement) Text(text string) *Statement {
	s.text.WriteString(text)
	return s
}

// Arg writes the place of a value.
func (s *Statement) Arg(v any) *Statement {
	s.Args = append(s.Args, v)
	if s.of.dollar {
		return s.Text("$" + strconv.Itoa(len(s.Args)))
	}
	return s.Text("?")
}

// String returns the text.
func (s *Statement) String() string { return s.text.String() }
