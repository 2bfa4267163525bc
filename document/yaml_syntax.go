package document

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const notYAML = "not valid YAML: "

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// yamlError gives err its line. The parser names the line where the structure
// began in which it got lost, and so the line is found anew: it comes after the
// longest beginning of the text that is valid, of those read so far.
func yamlError(name string, err error, text []byte, read int) *Error {
	msg := err.Error()
	e := &Error{File: name}
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		msg = msg[len(m[0]):]
	}
	tries := max(5, MaxBytes/max(1, len(text))) // so much work a mistake is worth
	starts := lineStarts(text)
	for valid := min(read, len(starts)) - 1; valid >= max(0, read-tries); valid-- {
		if yaml.Unmarshal(text[:starts[valid]], new(yaml.Node)) == nil {
			e.Line = valid + 1
			break
		}
	}
	if strings.Contains(msg, "cannot start any token") {
		msg += " (tabs do not indent, and text beginning with @, ` or % needs quotes)"
	}
	e.Msg = notYAML + msg
	return e
}

// lineStarts returns the offset of each line's beginning.
func lineStarts(text []byte) []int {
	starts := []int{0}
	for i, c := range text {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// lineReader reads a line at a time, so that it is known which line the parser
// had come to.
type lineReader struct {
	rest []byte
	read int // lines, and the one that is not read to its end
}

func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	end := bytes.IndexByte(r.rest, '\n') + 1
	if end == 0 {
		end = len(r.rest)
	}
	n := copy(p, r.rest[:end])
	if n > 0 && p[n-1] == '\n' {
		r.read++
	}
	r.rest = r.rest[n:]
	return n, nil
}
