package table

import (
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/binding/data"
)

// Syntax is how a database writes what placeholders are not looked for in.
type Syntax struct {
	Backslash bool // a backslash makes the next character of a text plain
	Hash      bool // # begins a comment
	Spaced    bool // -- begins a comment only before a space
	Dollar    bool // $tag$ ... $tag$ is a text; E'...' has backslashes
	Nested    bool // comments lie in comments
	Numbers   bool // placeholders are $1, $2, ...: "?" is rewritten, "??" is "?"
}

// rewrite returns sql with the database's own placeholders. It refuses a text of
// several statements, and one whose placeholders are not as many as the values:
// texts in quotes and comments are left alone.
func (s Syntax) rewrite(sql string, values int) (string, error) {
	w := writer{Syntax: s, sql: sql}
	if err := w.scan(); err != nil {
		return "", err
	}
	if w.blank(0) {
		return "", data.Errorf(data.Misuse, "the statement is empty")
	}
	if !w.own && w.count != values {
		return "", data.Errorf(data.Misuse, "the statement has %d placeholders for %d values", w.count, values)
	}
	if !s.Numbers || w.last == 0 {
		return sql, nil
	}
	w.out.WriteString(sql[w.last:])
	return w.out.String(), nil
}

// writer walks over one text.
type writer struct {
	Syntax
	sql   string
	out   strings.Builder
	last  int  // what is before is in out
	count int  // placeholders
	own   bool // the database's own are used, which are not counted
}

func (w *writer) scan() error {
	for i := 0; i < len(w.sql); {
		if end := w.skip(i); end > i {
			i = end
			continue
		}
		switch c := w.sql[i]; {
		case c == '?':
			n, err := w.placeholder(i)
			if err != nil {
				return err
			}
			i += n
			continue
		case c == 0:
			return data.Errorf(data.Misuse, "the statement has a zero byte")
		case c == ';' && !w.routine() && !w.blank(i+1):
			return data.Errorf(data.Misuse, "there is more than one statement: run each by itself")
		case (c == '$' || c == ':' || c == '@') && i+1 < len(w.sql) && isWord(w.sql[i+1]) && (i == 0 || w.sql[i-1] != c && !isWord(w.sql[i-1])):
			w.own = true
		}
		i++
	}
	return nil
}

// placeholder takes the one at i, and returns its length.
func (w *writer) placeholder(i int) (int, error) {
	next := byte(0)
	if i+1 < len(w.sql) {
		next = w.sql[i+1]
	}
	switch {
	case next >= '0' && next <= '9':
		if w.Numbers {
			return 0, data.Errorf(data.Misuse, "placeholder ?%c: write ? for each value", next)
		}
		w.own = true
	case next == '?' && w.Numbers:
		w.out.WriteString(w.sql[w.last : i+1])
		w.last = i + 2
		return 2, nil
	default:
		w.count++
		if w.Numbers {
			w.out.WriteString(w.sql[w.last:i])
			w.out.WriteString("$" + strconv.Itoa(w.count))
			w.last = i + 1
		}
	}
	return 1, nil
}

// skip returns the end of the text in quotes or the comment that begins at i,
// or i if there is none.
func (w *writer) skip(i int) int {
	rest := w.sql[i:]
	switch c := rest[0]; {
	case c == '\'':
		escapes := w.Dollar && i > 0 && (w.sql[i-1] == 'E' || w.sql[i-1] == 'e') && (i == 1 || !isWord(w.sql[i-2]))
		return i + quoted(rest, c, w.Backslash || escapes)
	case c == '"':
		return i + quoted(rest, c, w.Backslash)
	case c == '`':
		return i + quoted(rest, c, false)
	case w.dashes(rest) || c == '#' && w.Hash:
		return i + until(rest, 0, "\n")
	case strings.HasPrefix(rest, "/*"):
		return i + w.comment(rest)
	case c == '$' && w.Dollar && (i == 0 || !isWord(w.sql[i-1])):
		if n := strings.IndexByte(rest[1:], '$'); n >= 0 && tag(rest[1:n+1]) {
			return i + until(rest, n+2, rest[:n+2])
		}
	}
	return i
}

// dashes reports whether a comment to the end of the line begins s.
func (s Syntax) dashes(text string) bool {
	return strings.HasPrefix(text, "--") && (!s.Spaced || len(text) == 2 || text[2] <= ' ')
}

// quoted returns the length of a text in quotes.
func quoted(s string, quote byte, backslash bool) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && backslash:
			i++
		case s[i] == quote && i+1 < len(s) && s[i+1] == quote:
			i++
		case s[i] == quote:
			return i + 1
		}
	}
	return len(s)
}

func (w *writer) comment(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			if depth == 0 || w.Nested {
				depth++
			}
			i++
		case "*/":
			if depth--; depth == 0 {
				return i + 2
			}
			i++
		}
	}
	return len(s)
}

// until returns the end of the next end in s, from a place on.
func until(s string, from int, end string) int {
	if n := strings.Index(s[from:], end); n >= 0 {
		return from + n + len(end)
	}
	return len(s)
}

// tag reports whether s may stand between the dollars of a text.
func tag(s string) bool {
	for i := range len(s) {
		if !isWord(s[i]) || i == 0 && s[i] >= '0' && s[i] <= '9' {
			return false
		}
	}
	return true
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// blank reports whether nothing but comments follows.
func (w *writer) blank(i int) bool {
	for i < len(w.sql) {
		c := w.sql[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ';':
			i++
		case w.dashes(w.sql[i:]) || strings.HasPrefix(w.sql[i:], "/*") || c == '#' && w.Hash:
			i = w.skip(i)
		default:
			return false
		}
	}
	return true
}

// routine reports whether the text makes something that has statements in it,
// such as a trigger.
func (w *writer) routine() bool {
	words := strings.Fields(strings.ToLower(w.sql[:min(len(w.sql), 200)]))
	if len(words) == 0 || words[0] != "create" {
		return false
	}
	for _, word := range words[1:min(len(words), 6)] {
		switch word {
		case "trigger", "procedure", "function", "event", "package":
			return true
		case "table", "view", "index":
			return false
		}
	}
	return false
}
