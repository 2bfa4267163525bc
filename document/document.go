// Package document reads YAML and JSON strictly into typed values and knows
// the line of each field. It knows nothing of what the fields mean.
package document

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// The limits of a text: whatever is larger was not written by a person, or is
// meant to do harm.
const (
	MaxBytes = 1 << 20 // of text
	maxNodes = 100_000 // values and names, aliases expanded
	maxDepth = 40      // of nesting
	maxName  = 320     // bytes in the name of a field
	maxError = 50      // mistakes told at once
)

// Document is a parsed text. It may be read by many goroutines at once, but for
// Ignore, which changes it.
type Document struct {
	name string
	root *node
}

// Parse reads one YAML or JSON document. Name stands before the line number in
// errors, which are [Errors]. An empty text is a document without fields.
func Parse(name string, text []byte) (*Document, error) {
	root, err := parse(name, text)
	if err != nil {
		return nil, err
	}
	return &Document{name: name, root: root}, nil
}

// Name returns the name given to [Parse].
func (d *Document) Name() string { return d.name }

// JSON returns the document as JSON text, its fields in the order written.
func (d *Document) JSON() []byte { return d.root.appendJSON(nil) }

// Ignore removes the field at each path, as if it had not been written.
func (d *Document) Ignore(paths ...string) {
	for _, p := range paths {
		steps := splitPath(p)
		if len(steps) == 0 {
			continue
		}
		last := len(steps) - 1
		if parent, _, _, left := d.root.walk(steps[:last]); left == 0 {
			parent.remove(steps[last].name)
		}
	}
}

// Has tells whether the document says anything at path.
func (d *Document) Has(path string) bool {
	_, _, _, left := d.root.walk(splitPath(path))
	return left == 0
}

// Position returns the line and column, from 1, of the field at path, such as
// spec.triggers.web.attributes.port or spec.env[2].name. For a path that is
// not in the document it is the place of the nearest field around it.
func (d *Document) Position(path string) (line, col int) {
	_, line, col, _ = d.root.walk(splitPath(path))
	return line, col
}

func parse(name string, text []byte) (*node, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if err := checkText(name, text); err != nil {
		return nil, err
	}
	start := bytes.TrimLeft(text, " \t\r\n")
	if len(start) > 0 && (start[0] == '{' || start[0] == '[') {
		root, err := parseJSON(name, text)
		var syntax *syntaxError
		if !errors.As(err, &syntax) {
			return root, err
		}
		if strings.HasSuffix(name, ".json") {
			return nil, syntax.Errors
		}
		root, err = parseYAML(name, text)
		if looksJSON(start) && wrongYAML(err) {
			return nil, syntax.Errors
		}
		return root, err
	}
	return parseYAML(name, text)
}

// checkText refuses what neither format can hold, because the parser's own
// errors about it do not name a line.
func checkText(name string, text []byte) error {
	if len(text) > MaxBytes {
		return Errors{{File: name, Msg: fmt.Sprintf("the text has %d bytes, at most %d are read", len(text), MaxBytes)}}
	}
	line, col := 1, 1
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return Errors{{File: name, Line: line, Column: col, Msg: fmt.Sprintf("byte 0x%02x is not UTF-8 text", text[i])}}
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			return Errors{{File: name, Line: line, Column: col, Msg: fmt.Sprintf("control character 0x%02x in the text", r)}}
		case r == '\n':
			line, col = line+1, 0
		}
		i, col = i+size, col+1
	}
	return nil
}

// Fields returns the names of the fields within path, in the order written;
// none if it is not there or has none.
func (d *Document) Fields(path string) []string {
	at, _, _, left := d.root.walk(splitPath(path))
	if left > 0 {
		return nil
	}
	var names []string
	for _, m := range at.members {
		names = append(names, m.name)
	}
	return names
}

// ValuePosition returns the place where the value of the field at path begins,
// after its name.
func (d *Document) ValuePosition(path string) (line, col int) {
	at, _, _, _ := d.root.walk(splitPath(path))
	return at.line, at.col
}

// looksJSON tells whether text, which begins with a bracket, was meant as JSON.
func looksJSON(text []byte) bool {
	inner := bytes.TrimLeft(text[1:], " \t\r\n{[")
	return len(inner) > 0 && inner[0] == '"'
}

func wrongYAML(err error) bool {
	var es Errors
	return errors.As(err, &es) && strings.HasPrefix(es[0].Msg, notYAML)
}
