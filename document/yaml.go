package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

func parseYAML(name string, text []byte) (*node, error) {
	lines := &lineReader{rest: text, read: 1}
	dec := yaml.NewDecoder(lines)
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return &node{line: 1, col: 1}, nil
	} else if err != nil {
		return nil, Errors{yamlError(name, err, text, lines.read)}
	}
	if err := dec.Decode(&second); err == nil && !empty(&second) {
		return nil, Errors{{File: name, Line: second.Line, Column: second.Column, Msg: "a second document begins here, only one is expected"}}
	} else if err != nil && !errors.Is(err, io.EOF) {
		return nil, Errors{yamlError(name, err, text, lines.read)}
	}
	b := builder{file: name}
	root := b.node(&doc, "", 0)
	if len(b.errs) > 0 {
		return nil, b.errs.sorted()
	}
	return root, nil
}

func empty(doc *yaml.Node) bool {
	return len(doc.Content) == 0 || doc.Content[0].ShortTag() == "!!null"
}

var tooLong = fmt.Sprintf("the name of a field has more than %d bytes", maxName)

// builder turns YAML's tree into ours, within the limits.
type builder struct {
	file  string
	count int
	full  bool
	errs  Errors
}

func (b *builder) fail(line, col int, path, msg string) {
	if len(b.errs) < maxError {
		b.errs = append(b.errs, &Error{File: b.file, Line: line, Column: col, Path: path, Msg: msg})
	}
}

// room counts a value and tells whether there may be more of them.
func (b *builder) room(line, col, depth int) bool {
	b.count++
	switch {
	case b.full:
	case depth > maxDepth:
		b.full = true
		b.fail(line, col, "", fmt.Sprintf("nested more than %d deep", maxDepth))
	case b.count > maxNodes:
		b.full = true
		b.fail(line, col, "", fmt.Sprintf("more than %d values, aliases expanded", maxNodes))
	}
	return !b.full
}

func (b *builder) node(y *yaml.Node, path string, depth int) *node {
	n := &node{line: y.Line, col: y.Column}
	if !b.room(y.Line, y.Column, depth) {
		return n
	}
	switch y.Kind {
	case yaml.DocumentNode:
		if len(y.Content) > 0 {
			return b.node(y.Content[0], path, depth)
		}
	case yaml.AliasNode:
		aliased := b.node(y.Alias, path, depth+1)
		aliased.line, aliased.col = y.Line, y.Column
		return aliased
	case yaml.SequenceNode:
		n.kind = list
		for i, item := range y.Content {
			n.items = append(n.items, b.node(item, joinIndex(path, i), depth+1))
		}
	case yaml.MappingNode:
		b.mapping(n, y, path, depth)
	case yaml.ScalarNode:
		b.scalar(n, y, path)
	}
	return n
}

func (b *builder) mapping(n *node, y *yaml.Node, path string, depth int) {
	n.kind = object
	first := map[string]int{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			b.fail(key.Line, key.Column, path, "the name of a field must be text")
			continue
		}
		if len(key.Value) > maxName {
			b.fail(key.Line, key.Column, path, tooLong)
			continue
		}
		if key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		if line, dup := first[key.Value]; dup {
			b.fail(key.Line, key.Column, Join(path, key.Value), fmt.Sprintf("duplicate field (first on line %d)", line))
			continue
		}
		first[key.Value] = key.Line
		n.members = append(n.members, member{key.Value, key.Line, key.Column, b.node(value, Join(path, key.Value), depth+1)})
	}
	for _, m := range merges {
		b.merge(n, m, path, depth)
	}
}

// merge adds the fields of "<<" that the object does not have itself.
func (b *builder) merge(n *node, y *yaml.Node, path string, depth int) {
	from := b.node(y, path, depth+1)
	sources := []*node{from}
	if from.kind == list {
		sources = from.items
	}
	have := make(map[string]bool, len(n.members))
	for _, m := range n.members {
		have[m.name] = true
	}
	for _, s := range sources {
		if s.kind != object && !b.full {
			b.fail(y.Line, y.Column, path, "<< merges fields, got "+s.said())
			return
		}
		for _, m := range s.members {
			if !have[m.name] {
				have[m.name] = true
				n.members = append(n.members, m)
			}
		}
	}
}

func (b *builder) scalar(n *node, y *yaml.Node, path string) {
	if err := setScalar(n, y); err != nil {
		b.fail(y.Line, y.Column, path, err.Error())
	}
}

func setScalar(n *node, y *yaml.Node) error {
	n.kind, n.text = text, y.Value
	switch tag := y.ShortTag(); tag {
	case "!!null":
		n.kind = null
	case "!!bool":
		var v bool
		if err := y.Decode(&v); err != nil {
			return fmt.Errorf("%q is neither true nor false", shorten(y.Value))
		}
		n.kind, n.text = boolean, strconv.FormatBool(v)
	case "!!int", "!!float":
		literal, err := numberLiteral(y)
		if err != nil {
			return err
		}
		n.kind, n.literal = number, literal
	case "!!str", "!!timestamp", "!!binary", "!!merge":
	default:
		return fmt.Errorf("unknown tag %s", shorten(y.Tag))
	}
	return nil
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

func numberLiteral(y *yaml.Node) (string, error) {
	if len(y.Value) < 400 && jsonNumber.MatchString(y.Value) {
		return y.Value, nil
	}
	var v any
	if err := y.Decode(&v); err != nil {
		return "", fmt.Errorf("%q is not a number", shorten(y.Value))
	}
	out, err := json.Marshal(v)
	if unsupported := (*json.UnsupportedValueError)(nil); errors.As(err, &unsupported) {
		return "", fmt.Errorf("the number %s cannot be used here", shorten(y.Value))
	}
	return string(out), err
}
