package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
)

// syntaxError is a text that is not JSON; it may still be YAML.
type syntaxError struct{ Errors }

func (e *syntaxError) Unwrap() error { return e.Errors }

func parseJSON(name string, text []byte) (*node, error) {
	p := jsonParser{text: text, dec: json.NewDecoder(bytes.NewReader(text)), builder: builder{file: name}}
	p.dec.UseNumber()
	for i, c := range text {
		if c == '\n' {
			p.lines = append(p.lines, i)
		}
	}
	root, err := p.value("", 0)
	if err == nil {
		line, col := p.next()
		if _, err = p.dec.Token(); err == nil {
			err = fmt.Errorf("a second value begins here")
			return nil, &syntaxError{Errors{{File: name, Line: line, Column: col, Msg: "not valid JSON: " + err.Error()}}}
		} else if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if len(p.errs) > 0 {
		return nil, p.errs.sorted()
	}
	if err != nil {
		return nil, p.syntax(err)
	}
	return root, nil
}

type jsonParser struct {
	builder
	text  []byte
	dec   *json.Decoder
	lines []int // offsets of the line feeds
}

func (p *jsonParser) place(offset int) (line, col int) {
	line = sort.SearchInts(p.lines, offset)
	if line == 0 {
		return 1, offset + 1
	}
	return line + 1, offset - p.lines[line-1]
}

// next is where the next token begins.
func (p *jsonParser) next() (line, col int) {
	at := int(p.dec.InputOffset())
	for at < len(p.text) && bytes.IndexByte([]byte(" \t\r\n,:"), p.text[at]) >= 0 {
		at++
	}
	return p.place(at)
}

func (p *jsonParser) syntax(err error) error {
	offset := int(p.dec.InputOffset())
	var se *json.SyntaxError
	if errors.As(err, &se) && se.Offset > 0 {
		offset = int(se.Offset) - 1
	}
	msg := err.Error()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		offset, msg = max(len(bytes.TrimRight(p.text, " \t\r\n"))-1, 0), "the text ends too early"
	}
	line, col := p.place(offset)
	return &syntaxError{Errors{{File: p.file, Line: line, Column: col, Msg: "not valid JSON: " + msg}}}
}

var errTooLarge = fmt.Errorf("too large")

func (p *jsonParser) value(path string, depth int) (*node, error) {
	line, col := p.next()
	if !p.room(line, col, depth) {
		return nil, errTooLarge
	}
	tok, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &node{line: line, col: col}
	switch v := tok.(type) {
	case bool:
		n.kind, n.text = boolean, fmt.Sprint(v)
	case json.Number:
		n.kind, n.text, n.literal = number, v.String(), v.String()
	case string:
		n.kind, n.text = text, v
	case json.Delim:
		if v == '[' {
			return n, p.items(n, path, depth)
		}
		return n, p.members(n, path, depth)
	}
	return n, nil
}

func (p *jsonParser) items(n *node, path string, depth int) error {
	n.kind = list
	for p.dec.More() {
		item, err := p.value(joinIndex(path, len(n.items)), depth+1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	_, err := p.dec.Token()
	return err
}

func (p *jsonParser) members(n *node, path string, depth int) error {
	n.kind = object
	first := map[string]int{}
	for p.dec.More() {
		line, col := p.next()
		tok, err := p.dec.Token()
		if err != nil {
			return err
		}
		name, _ := tok.(string) // the decoder lets no other token be a name
		if len(name) > maxName {
			p.fail(line, col, path, tooLong)
			return errTooLarge
		}
		at := Join(path, name)
		value, err := p.value(at, depth+1)
		if err != nil {
			return err
		}
		if was, dup := first[name]; dup {
			p.fail(line, col, at, fmt.Sprintf("duplicate field (first on line %d)", was))
			continue
		}
		first[name] = line
		n.members = append(n.members, member{name, line, col, value})
	}
	_, err := p.dec.Token()
	return err
}
