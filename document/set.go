package document

import (
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Set sets the field of v, a pointer, at path to value: text, a number, true,
// false, null, or a list or fields as JSON. Fields on the way are made, and an
// index one past the end of a list appends to it. Where text is wanted value
// is taken as it is. If it does not fit, v stays as it was, and the error is
// [Errors] without lines.
func Set(v any, path, value string) error {
	raw, err := MarshalRevealed(v)
	if err != nil {
		return err
	}
	root, err := parseJSON("", raw)
	if err != nil {
		return relative(err)
	}
	given, err := parseValue(value)
	if err != nil {
		return Errors{{Path: path, Msg: err.Error()}}
	}
	steps := splitPath(path)
	if len(steps) == 0 {
		return Errors{{Msg: "no field is named"}}
	}
	if err := root.set(steps, given, ""); err != nil {
		return err
	}
	fresh := reflect.New(reflect.TypeOf(v).Elem())
	dec := decoder{}
	if err := relative(dec.run(root, fresh.Interface())); err != nil {
		return err
	}
	reflect.ValueOf(v).Elem().Set(fresh.Elem())
	return nil
}

func parseValue(value string) (*node, error) {
	if s := strings.TrimSpace(value); strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[") || strings.HasPrefix(s, `"`) {
		if s[0] == '"' {
			n, err := parseJSON("", []byte(s))
			return n, relative(err)
		}
		n, err := parse("", []byte(s))
		return n, relative(err)
	}
	n := &node{loose: true}
	if err := setScalar(n, &yaml.Node{Kind: yaml.ScalarNode, Value: value}); err != nil {
		return nil, err
	}
	if value == "" {
		n.kind = text
	}
	return n, nil
}

func (n *node) set(steps []step, value *node, path string) error {
	if len(steps) == 0 {
		*n = *value
		return nil
	}
	s := steps[0]
	if s.isIndex {
		return n.setItem(s.index, steps[1:], value, path)
	}
	if n.kind == null {
		n.kind = object
	}
	if n.kind != object {
		return Errors{{Path: path, Msg: "has no fields, it is " + n.said()}}
	}
	m := n.member(s.name)
	if m == nil {
		n.members = append(n.members, member{name: s.name, value: &node{}})
		m = &n.members[len(n.members)-1]
	}
	return m.value.set(steps[1:], value, Join(path, s.name))
}

func (n *node) setItem(i int, rest []step, value *node, path string) error {
	if n.kind == null {
		n.kind = list
	}
	if n.kind != list {
		return Errors{{Path: path, Msg: "is no list, it is " + n.said()}}
	}
	if i > len(n.items) {
		return Errors{{Path: path, Msg: "has " + strconv.Itoa(len(n.items)) + " items, the next is [" + strconv.Itoa(len(n.items)) + "]"}}
	}
	if i == len(n.items) {
		n.items = append(n.items, &node{})
	}
	return n.items[i].set(rest, value, joinIndex(path, i))
}
