// Package logline reads lines of the logs that processors write, as JSON or as
// name=value pairs, and lays them out for a person. It knows nothing of who
// wrote them.
package logline

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"
)

// Line is one line of a log.
type Line struct {
	Time    time.Time // zero if the line is no record
	Level   string    // DEBUG, INFO, WARN, ERROR; "" likewise
	Message string
	Fields  []Field
}

// Field is a value that was logged with a message.
type Field struct{ Name, Value string }

// Parse reads a line. One that is no record is a message as it is.
func Parse(text string) Line {
	var l Line
	ok := false
	switch {
	case strings.HasPrefix(text, "{"):
		ok = l.json(text)
	case strings.HasPrefix(text, "time="):
		ok = l.pairs(text)
	}
	if !ok || l.Level == "" {
		return Line{Message: text}
	}
	return l
}

func (l *Line) json(text string) bool {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	if _, err := d.Token(); err != nil {
		return false
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return false
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return false
		}
		value := string(raw)
		if s := ""; json.Unmarshal(raw, &s) == nil {
			value = s
		}
		key, _ := name.(string)
		l.set(key, value)
	}
	if _, err := d.Token(); err != nil {
		return false
	}
	_, err := d.Token()
	return err == io.EOF
}

func (l *Line) pairs(text string) bool {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimLeft(text, " ") {
		name, rest, ok := strings.Cut(text, "=")
		if !ok {
			return false
		}
		var value, after string
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return false
			}
			if value, err = strconv.Unquote(quoted); err != nil {
				return false
			}
			after = rest[len(quoted):]
		} else {
			value, after, _ = strings.Cut(rest, " ")
		}
		if n, err := strconv.Unquote(name); err == nil {
			name = n
		}
		l.set(name, value)
		text = after
	}
	return true
}

func (l *Line) set(name, value string) {
	switch name {
	case "time":
		l.Time, _ = time.Parse(time.RFC3339Nano, value)
	case "level":
		l.Level = value
	case "msg":
		l.Message = value
	default:
		l.Fields = append(l.Fields, Field{name, value})
	}
}

// hidden are fields that say the same on every line of one function.
var hidden = map[string]bool{"function": true, "worker": true, "event": true}

// Text lays the line out without time and level: the message, then the short
// fields, then each field of several lines below, indented. What the
// interpreter's own machinery adds to a traceback is left out.
func (l Line) Text() string {
	var b, below strings.Builder
	b.WriteString(l.Message)
	for _, f := range l.Fields {
		value := strings.TrimRight(f.Value, "\n")
		switch {
		case hidden[f.Name]:
		case strings.Contains(value, "\n"):
			if f.Name == "traceback" {
				value = ownFrames(value)
			}
			below.WriteString("\n    " + strings.ReplaceAll(value, "\n", "\n    "))
		default:
			b.WriteString(" " + f.Name + "=" + value)
		}
	}
	return b.String() + below.String()
}

// ownFrames leaves the frames of the author's code in a Python traceback. A
// traceback that has none of them stays whole.
func ownFrames(text string) string {
	var out []string
	skip, kept := false, 0
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "  File ") {
			skip = foreignFrame(line)
			if !skip {
				kept++
			}
		} else if !strings.HasPrefix(line, "    ") {
			skip = false
		}
		if !skip {
			out = append(out, line)
		}
	}
	if kept == 0 && !strings.Contains(text, "SyntaxError") {
		return text
	}
	return strings.Join(out, "\n")
}

func foreignFrame(line string) bool {
	return strings.Contains(line, "_myelin_main.py") || strings.Contains(line, `"<frozen `) || strings.Contains(line, "/importlib/__init__.py")
}
