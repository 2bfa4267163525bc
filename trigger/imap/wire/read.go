package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// What a server may send in one response. Numbers of messages come in one line.
const (
	mostLine   = 8 << 20
	mostValues = 10_000
	mostDepth  = 20
)

// Response is what the server says at a time.
type Response struct {
	Tag    string  // of a command; "*" of none, "+" if it waits for more
	Kind   string  // OK, NO, BAD, BYE or PREAUTH; else what data it is, such as FETCH
	Number uint32  // of a FETCH or EXISTS
	Code   string  // of a status, without its brackets
	Text   string  // of a status, of a SEARCH, of "+"
	Values []Value // of other data
}

// Value is a string, or a list of values.
type Value struct {
	Data []byte
	List []Value
	list bool
}

// reader reads responses and holds the server to bounds.
type reader struct {
	r       *bufio.Reader
	literal int64 // the longest that may come
}

// response reads one.
func (r *reader) response() (*Response, error) {
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	tag, rest, _ := strings.Cut(string(line), " ")
	x := &Response{Tag: tag, Text: rest}
	if tag == "+" {
		return x, nil
	}
	kind, rest, _ := strings.Cut(rest, " ")
	if n, err := strconv.ParseUint(kind, 10, 32); err == nil {
		x.Number = uint32(n)
		kind, rest, _ = strings.Cut(rest, " ")
	}
	x.Kind = strings.ToUpper(kind)
	switch x.Kind {
	case "":
		return nil, fmt.Errorf("read response: %.80q is none", line)
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		x.Code, x.Text = code(rest)
		return x, nil
	case "SEARCH":
		x.Text = rest
		return x, nil
	}
	if tag != "*" {
		return nil, fmt.Errorf("read response: %.80q neither succeeds nor fails", line)
	}
	x.Text = ""
	p := &parser{reader: r, piece: []byte(rest), left: r.literal}
	x.Values, err = p.values(0, false)
	if err != nil {
		return nil, fmt.Errorf("read response %.20s: %w", x.Kind, err)
	}
	return x, nil
}

// code takes the code off the text of a status.
func code(s string) (code, text string) {
	if !strings.HasPrefix(s, "[") {
		return "", s
	}
	code, text, ok := strings.Cut(s[1:], "]")
	if !ok {
		return "", s
	}
	return code, strings.TrimPrefix(text, " ")
}

// line reads to the end of a line, without it.
func (r *reader) line() ([]byte, error) {
	var out []byte
	for {
		part, err := r.r.ReadSlice('\n')
		if len(out)+len(part) > mostLine {
			return nil, fmt.Errorf("read response: a line has more than %d bytes", mostLine)
		}
		out = append(out, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(bytes.TrimSuffix(out, []byte("\n")), []byte("\r")), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(out) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// parser takes data apart: a line, and after each literal another one.
type parser struct {
	*reader
	piece []byte
	at    int
	left  int64 // of literals
	count int
}

// values reads to the end of the response, or of the list.
func (p *parser) values(depth int, inList bool) (out []Value, err error) {
	if depth > mostDepth {
		return nil, errors.New("lists are too deep in each other")
	}
	for {
		for p.at < len(p.piece) && p.piece[p.at] == ' ' {
			p.at++
		}
		switch {
		case p.at == len(p.piece) && inList:
			return nil, errors.New("a list has no end")
		case p.at == len(p.piece):
			return out, nil
		case p.piece[p.at] == ')' && inList:
			p.at++
			return out, nil
		}
		if p.count++; p.count > mostValues {
			return nil, errors.New("there are too many values")
		}
		v, err := p.value(depth)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
}

func (p *parser) value(depth int) (v Value, err error) {
	switch p.piece[p.at] {
	case '(':
		p.at++
		v.list = true
		v.List, err = p.values(depth+1, true)
	case '"':
		v.Data, err = p.quoted()
	case '{':
		v.Data, err = p.literally()
	default:
		v.Data, err = p.atom()
	}
	return v, err
}

func (p *parser) quoted() (out []byte, err error) {
	for p.at++; p.at < len(p.piece); p.at++ {
		switch c := p.piece[p.at]; {
		case c == '"':
			p.at++
			return out, nil
		case c == '\\' && p.at+1 < len(p.piece):
			p.at++
			out = append(out, p.piece[p.at])
		default:
			out = append(out, c)
		}
	}
	return nil, errors.New("a string has no end")
}

// literally reads a string whose length is said at the end of the line.
func (p *parser) literally() ([]byte, error) {
	size, ok := bytes.CutSuffix(p.piece[p.at+1:], []byte("}"))
	n, err := strconv.ParseInt(string(size), 10, 64)
	if !ok || err != nil || n < 0 {
		return nil, fmt.Errorf("%.40q is no length", p.piece[p.at:])
	}
	if n > p.left {
		return nil, fmt.Errorf("%d bytes are sent, and %d at most were asked for", n, p.literal)
	}
	p.left -= n
	var b bytes.Buffer // it grows as they come: that there are so many is only said
	if _, err := io.CopyN(&b, p.r, n); err != nil {
		return nil, io.ErrUnexpectedEOF
	}
	if p.piece, err = p.line(); err != nil {
		return nil, err
	}
	p.at = 0
	return b.Bytes(), nil
}

// atom reads a word; what is in brackets belongs to it.
func (p *parser) atom() ([]byte, error) {
	begin, bracket := p.at, false
	for ; p.at < len(p.piece); p.at++ {
		c := p.piece[p.at]
		if !bracket && bytes.IndexByte([]byte(` (){"`), c) >= 0 {
			break
		}
		bracket = c == '[' || bracket && c != ']'
	}
	if p.at == begin {
		return nil, fmt.Errorf("%q is not expected", p.piece[p.at])
	}
	return p.piece[begin:p.at], nil
}
