package function

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Template is text with places for what an event holds.
type Template []Part

// Part is text, or a place: then Field is what it holds of the event, and Path
// what of that field.
type Part struct {
	Text  string
	Field string
	Path  []string
}

// fields are what places may hold; those that need a path have one name or more.
var fields = map[string]struct{ least, most int }{
	"body": {0, 16}, "headers": {1, 1}, "fields": {1, 1},
	"key": {}, "topic": {}, "path": {}, "id": {}, "method": {}, "shard": {}, "offset": {},
}

const maxTemplate = 4096

// ParseTemplate reads text such as "user:{event.body.user}". A place is
// {event.FIELD} or {event.FIELD.NAME}: key, topic, path, id, method, shard and
// offset; headers.NAME; fields.NAME; body, or names and numbers of what is in a
// body of JSON. {{ and }} are braces.
func ParseTemplate(text string) (Template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("template of %d bytes, at most %d are possible", len(text), maxTemplate)
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("template is not text")
	}
	var t Template
	var plain strings.Builder
	for rest := text; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			plain.WriteString(rest)
			break
		}
		plain.WriteString(rest[:i])
		brace := rest[i : i+1]
		rest = rest[i+1:]
		switch {
		case strings.HasPrefix(rest, brace):
			plain.WriteString(brace)
			rest = rest[1:]
			continue
		case brace == "}":
			return nil, fmt.Errorf("template %q has a } without its {: write }} for the character", text)
		}
		inside, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fmt.Errorf("template %q has a { without its }: write {{ for the character", text)
		}
		p, err := parsePlace(inside)
		if err != nil {
			return nil, err
		}
		t, rest = append(t.text(&plain), p), after
	}
	return t.text(&plain), nil
}

func (t Template) text(b *strings.Builder) Template {
	if b.Len() > 0 {
		t = append(t, Part{Text: b.String()})
		b.Reset()
	}
	return t
}

func parsePlace(inside string) (p Part, err error) {
	names := strings.Split(inside, ".")
	if len(names) < 2 || names[0] != "event" {
		return p, fmt.Errorf("{%s} is no place: expected such as {event.body.user} or {event.key}", inside)
	}
	p.Field, p.Path = names[1], names[2:]
	path, known := fields[p.Field]
	switch {
	case !known:
		return p, fmt.Errorf("{%s}: an event has no %q, but body, fields, headers, id, key, method, offset, path, shard and topic", inside, p.Field)
	case p.Field != "body" && len(p.Path) > 1: // names of headers and fields may have dots
		p.Path = []string{strings.Join(p.Path, ".")}
	}
	switch {
	case len(p.Path) < path.least:
		return p, fmt.Errorf("{%s}: the name is missing, as in {event.%s.user}", inside, p.Field)
	case len(p.Path) > path.most:
		return p, fmt.Errorf("{%s}: %s has at most %d names after it", inside, p.Field, path.most)
	case slices.Contains(p.Path, "") || strings.ContainsFunc(inside, func(r rune) bool { return r < ' ' || r == '{' }):
		return p, fmt.Errorf("{%s}: a name is empty or has characters that names have not", inside)
	}
	return p, nil
}
