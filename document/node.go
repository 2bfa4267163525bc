package document

import (
	"encoding/json"
	"slices"
	"strconv"
)

type kind int

const (
	null kind = iota
	boolean
	number
	text
	list
	object
)

// node is a value of a document, whichever format it was written in. Aliases
// and merge keys are expanded.
type node struct {
	kind      kind
	text      string // of a scalar, as written and without its quotes
	literal   string // of a number, as JSON has it
	loose     bool   // a number or boolean here may stand for text
	line, col int
	items     []*node
	members   []member
}

// member is a field of an object.
type member struct {
	name      string
	line, col int
	value     *node
}

func (n *node) member(name string) *member {
	for i := range n.members {
		if n.members[i].name == name {
			return &n.members[i]
		}
	}
	return nil
}

func (n *node) remove(name string) {
	n.members = slices.DeleteFunc(n.members, func(m member) bool { return m.name == name })
}

// walk follows steps as far as they go. It returns the value reached, the
// place where it is said, and how many steps were left.
func (n *node) walk(steps []step) (at *node, line, col, left int) {
	line, col = n.line, n.col
	for i, s := range steps {
		switch {
		case s.isIndex && s.index < len(n.items):
			n = n.items[s.index]
			line, col = n.line, n.col
		case !s.isIndex && n.member(s.name) != nil:
			m := n.member(s.name)
			n, line, col = m.value, m.line, m.col
		default:
			return n, line, col, len(steps) - i
		}
	}
	return n, line, col, 0
}

func (n *node) appendJSON(b []byte) []byte {
	switch n.kind {
	case boolean:
		return strconv.AppendBool(b, n.text == "true")
	case number:
		return append(b, n.literal...)
	case text:
		return appendText(b, n.text)
	case list:
		b = append(b, '[')
		for i, item := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.appendJSON(b)
		}
		return append(b, ']')
	case object:
		b = append(b, '{')
		for i, m := range n.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendText(b, m.name), ':')
			b = m.value.appendJSON(b)
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

func appendText(b []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil { // Marshal fails on no string.
		panic(err)
	}
	return append(b, quoted...)
}

// said describes the value for "expected x, got ...".
func (n *node) said() string {
	switch n.kind {
	case null:
		return "nothing"
	case boolean:
		return n.text
	case number:
		return "the number " + shorten(n.text)
	case text:
		return strconv.Quote(shorten(n.text))
	case list:
		return "a list"
	}
	return "fields"
}

func shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	for i := range s {
		if i >= most {
			return s[:i] + "..."
		}
	}
	return s
}
