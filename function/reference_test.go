package function

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/quantity"
)

const referenceHead = `# function.yaml

Every field of a function's configuration. This page is generated from the types (` + "`go test ./function -update`" + `);
[function-schema.json](function-schema.json) is the same as a JSON schema, for editors.

Names are case-sensitive, unknown fields are mistakes, and nothing is converted: text that looks like a number or a
boolean needs quotes, but for the values of environment variables.

The forms of values:

| form | written |
| --- | --- |
| duration | ` + "`30s`, `1h30m`, `250ms`, `0`" + ` |
| amount | a Kubernetes quantity: ` + "`500m`, `2`, `128Mi`" + ` |
| secret | text; it is never shown |
| as is | any value; whoever uses it checks it |

Where a setting is said several times, the command line goes before function.yaml, function.yaml before the
configuration found in the code, and for ` + "`spec.build`" + ` that before build.yaml. Fields and named entries are merged
one by one, of lists the first named is taken whole, and ` + "`env`" + ` is appended. What is empty, 0 or false in one place
does not undo another.
`

const aliasHead = `# Alias

Every field of an alias. This page is generated from the types (` + "`go test ./function -update`" + `);
[alias-schema.json](alias-schema.json) is the same as a JSON schema, for editors.
The forms of values are those of [function.yaml](function.md).
`

const mappingHead = `# EventMapping

Every field of an event mapping. This page is generated from the types (` + "`go test ./function -update`" + `);
[mapping-schema.json](mapping-schema.json) is the same as a JSON schema, for editors.
The forms of values are those of [function.yaml](function.md).
`

const rolloutHead = `# Rollout

Every field of a rollout. This page is generated from the types (` + "`go test ./function -update`" + `);
[rollout-schema.json](rollout-schema.json) is the same as a JSON schema, for editors.
The forms of values are those of [function.yaml](function.md).
`

// The reference pages in docs/reference have every field with its comment.
func TestReferenceIsFresh(t *testing.T) {
	page(t, "function.md", referenceHead, reflect.TypeFor[Config]())
	page(t, "alias.md", aliasHead, reflect.TypeFor[Alias]())
	page(t, "mapping.md", mappingHead, reflect.TypeFor[Mapping]())
	page(t, "rollout.md", rolloutHead, reflect.TypeFor[Rollout]())
}

func page(t *testing.T, file, head string, of reflect.Type) {
	t.Helper()
	var b strings.Builder
	b.WriteString(head)
	r := reference{said: comments(t), done: map[reflect.Type]bool{}}
	r.section(&b, "", of)
	for _, name := range r.silent {
		t.Errorf("%s has no comment", name)
	}
	golden(t, "../docs/reference/"+file, b.String())
}

type reference struct {
	said   map[string]string
	done   map[reflect.Type]bool
	silent []string
}

type part struct {
	path string
	t    reflect.Type
}

// section writes the table of a struct, and then those within it.
func (r *reference) section(b *strings.Builder, path string, t reflect.Type) {
	if r.done[t] {
		return
	}
	r.done[t] = true
	title := path
	if title == "" {
		title = "The file"
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| field | form | meaning |\n| --- | --- | --- |\n", title, r.said[t.Name()])
	for _, p := range r.rows(b, path, t) {
		r.section(b, p.path, p.t)
	}
}

func (r *reference) rows(b *strings.Builder, path string, t reflect.Type) (within []part) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			within = append(within, r.rows(b, path, f.Type)...)
			continue
		}
		doc := r.said[t.Name()+"."+f.Name]
		if doc == "" {
			r.silent = append(r.silent, t.Name()+"."+f.Name)
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		form, inner, suffix := describe(f.Type)
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, form, strings.ReplaceAll(doc, "|", `\|`))
		if inner != nil {
			within = append(within, part{strings.TrimPrefix(path+"."+name+suffix, "."), inner})
		}
	}
	return within
}

// describe names the form of a type; inner is the struct within it, if any.
func describe(t reflect.Type) (form string, inner reflect.Type, suffix string) {
	switch t {
	case reflect.TypeFor[json.RawMessage]():
		return "as is", nil, ""
	case reflect.TypeFor[quantity.Duration]():
		return "duration", nil, ""
	case reflect.TypeFor[quantity.Amount]():
		return "amount", nil, ""
	case reflect.TypeFor[quantity.Secret]():
		return "secret", nil, ""
	case reflect.TypeFor[time.Time]():
		return "time", nil, ""
	}
	switch t.Kind() {
	case reflect.Pointer:
		return describe(t.Elem())
	case reflect.Slice:
		form, inner, suffix = describe(t.Elem())
		return "list of " + form, inner, "[]" + suffix
	case reflect.Map:
		form, inner, suffix = describe(t.Elem())
		return form + " by name", inner, ".*" + suffix
	case reflect.Struct:
		return "fields", t, ""
	case reflect.String:
		return "text", nil, ""
	case reflect.Bool:
		return "true or false", nil, ""
	case reflect.Float64:
		return "number", nil, ""
	}
	return "whole number", nil, ""
}
