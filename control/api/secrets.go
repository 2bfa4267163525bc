package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"strings"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
)

// What configurations type as secret hides itself. Attributes of triggers and
// bindings are raw, and environment variables have no types, so there the
// names decide.
var secretName = regexp.MustCompile(`(?i)(password|passwd|secret|token|credential|private_?key|access_?key|api_?key)s?(value)?$`)

const stars = "***"

// hidden marshals v with everything hidden that is or looks secret.
func hidden(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("marshal answer: %w", err)
	}
	tree, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("marshal answer: %w", err)
	}
	return json.Marshal(hide("", tree))
}

func parse(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var tree any
	err := d.Decode(&tree)
	return tree, err
}

// hide returns a copy of a tree, found under key, with secrets hidden.
func hide(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, child := range v {
			if name, ok := v["name"].(string); ok && k == "value" {
				out[k] = hide(name, child) // an environment variable is secret by its own name
				continue
			}
			out[k] = hide(k, child)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, child := range v {
			out[i] = hide(key, child)
		}
		return out
	case string:
		if _, ok := quantity.ReferredSecret(v); ok {
			return v // says where the secret is, and is none
		}
		if v != "" && secretName.MatchString(key) {
			return stars
		}
		return hideURL(v)
	}
	return v
}

// hideURL hides the password in the user part of a URL.
func hideURL(s string) string {
	if !strings.Contains(s, "://") || !strings.Contains(s, "@") {
		return s
	}
	u, err := url.Parse(s)
	if err != nil || u.User == nil {
		return s
	}
	password, ok := u.User.Password()
	if !ok {
		return s
	}
	return strings.Replace(s, ":"+rawPassword(s, password)+"@", ":"+stars+"@", 1)
}

// rawPassword is the password as it is written, which may be escaped.
func rawPassword(s, plain string) string {
	_, rest, _ := strings.Cut(s, "://")
	user, _, _ := strings.Cut(rest, "/")
	if at := strings.LastIndex(user, "@"); at >= 0 {
		if _, pw, ok := strings.Cut(user[:at], ":"); ok {
			return pw
		}
	}
	return plain
}

// restore puts the secrets of old where now has only what was shown of them.
func restore[T any](now, old T) (T, error) {
	text, err := document.MarshalRevealed(now)
	if err != nil || !bytes.Contains(text, []byte(stars)) {
		return now, err
	}
	n, err := parse(text)
	if err != nil {
		return now, err
	}
	o, err := tree(old)
	if err != nil {
		return now, err
	}
	out, err := untree[T](unhide("", n, o))
	if err != nil {
		return now, fmt.Errorf("restore secrets: %w", err)
	}
	return out, nil
}

// unhide returns now with the leaves of was where now has what hide made of
// them. Lists are compared by position, environment variables by name.
func unhide(key string, now, was any) any {
	switch n := now.(type) {
	case map[string]any:
		w, _ := was.(map[string]any)
		name, named := n["name"].(string)
		for k, child := range n {
			if named && k == "value" {
				n[k] = unhide(name, child, w[k])
			} else {
				n[k] = unhide(k, child, w[k])
			}
		}
		return n
	case []any:
		w, _ := was.([]any)
		for i, child := range n {
			n[i] = unhide(key, child, partner(child, i, w))
		}
		return n
	case string:
		if was != nil && strings.Contains(n, stars) && reflect.DeepEqual(hide(key, was), now) {
			return was
		}
	}
	return now
}

// partner finds what an element of a list was before.
func partner(child any, i int, was []any) any {
	if c, ok := child.(map[string]any); ok && c["name"] != nil {
		for _, w := range was {
			if m, ok := w.(map[string]any); ok && m["name"] == c["name"] {
				return w
			}
		}
		return nil
	}
	if i < len(was) {
		return was[i]
	}
	return nil
}
