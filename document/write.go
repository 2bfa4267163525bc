package document

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// YAML writes JSON text as YAML, fields in the same order. Text that a YAML
// reader could take for something else is quoted.
func YAML(raw []byte) ([]byte, error) {
	root, err := parseJSON("", raw)
	if err != nil {
		return nil, relative(err)
	}
	y, err := root.yaml()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(y); err != nil {
		return nil, fmt.Errorf("write yaml: %w", err)
	}
	return b.Bytes(), nil
}

func (n *node) yaml() (*yaml.Node, error) {
	switch n.kind {
	case boolean:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: n.text}, nil
	case number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: n.literal}, nil
	case text:
		return yamlText(n.text)
	case list:
		y := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range n.items {
			c, err := item.yaml()
			if err != nil {
				return nil, err
			}
			y.Content = append(y.Content, c)
		}
		if len(y.Content) == 0 {
			y.Style = yaml.FlowStyle
		}
		return y, nil
	case object:
		return n.yamlObject()
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}

func (n *node) yamlObject() (*yaml.Node, error) {
	y := &yaml.Node{Kind: yaml.MappingNode}
	for _, m := range n.members {
		k, err := yamlText(m.name)
		if err != nil {
			return nil, err
		}
		v, err := m.value.yaml()
		if err != nil {
			return nil, err
		}
		y.Content = append(y.Content, k, v)
	}
	if len(y.Content) == 0 {
		y.Style = yaml.FlowStyle
	}
	return y, nil
}

// yamlText lets the encoder choose the quotes: it knows what would be read as
// something else, by readers of YAML 1.1 too.
func yamlText(s string) (*yaml.Node, error) {
	y := new(yaml.Node)
	if err := y.Encode(s); err != nil {
		return nil, fmt.Errorf("write %q: %w", shorten(s), err)
	}
	return y, nil
}
