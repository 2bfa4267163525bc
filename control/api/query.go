package api

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/control/api/openapi"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// badQuery is a parameter of the query that cannot be understood.
func badQuery(name, format string, args ...any) error {
	p := problem.New(http.StatusBadRequest, name+": "+fmt.Sprintf(format, args...))
	p.Errors = []problem.Field{{Path: "query." + name, Detail: fmt.Sprintf(format, args...)}}
	return p
}

// flag reads a parameter that is true or false, the default.
func flag(r *http.Request, name string) (bool, error) {
	switch text := r.URL.Query().Get(name); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, badQuery(name, "want true or false, got %q", text)
	}
}

// maxPageOf is the most objects on a page.
const maxPageOf = 1000

// page says which part of a list is wanted.
type page struct {
	limit    int            // 0: all
	after    string         // the key before the first one
	revision store.Revision // of the first page
}

type token struct {
	After    string         `json:"a"`
	Revision store.Revision `json:"r"`
}

func (p page) token() string {
	b, _ := json.Marshal(token{p.after, p.revision}) // text and a number
	return base64.RawURLEncoding.EncodeToString(b)
}

func pageOf(r *http.Request) (p page, err error) {
	q := r.URL.Query()
	if text := q.Get("limit"); text != "" {
		if p.limit, err = strconv.Atoi(text); err != nil || p.limit < 1 || p.limit > maxPageOf {
			return p, badQuery("limit", "want a number from 1 to %d, got %q", maxPageOf, text)
		}
	}
	if text := q.Get("continue"); text != "" {
		var t token
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || json.Unmarshal(b, &t) != nil || t.After == "" || t.Revision <= 0 {
			return p, badQuery("continue", "not what a page was answered with")
		}
		p.after, p.revision = t.After, t.Revision
	}
	return p, nil
}

// selects says whether a request wants some objects of its namespace only.
func selects(r *http.Request) bool {
	q := r.URL.Query()
	return q.Get("labelSelector") != "" || q.Get("fieldSelector") != "" || q.Get("project") != ""
}

// selection tells which objects a request is about.
func selection[T any](r *http.Request, res resource[T]) (func(*T) bool, error) {
	q := r.URL.Query()
	labels, err := terms("labelSelector", q.Get("labelSelector"), true)
	if err != nil {
		return nil, err
	}
	fields, err := terms("fieldSelector", q.Get("fieldSelector"), false)
	if err != nil {
		return nil, err
	}
	known := map[string]func(*T) string{
		"metadata.name":      func(o *T) string { return res.meta(o).Name },
		"metadata.namespace": func(o *T) string { return res.meta(o).Namespace },
		"metadata.project":   func(o *T) string { return res.meta(o).Project() },
	}
	maps.Copy(known, res.fields)
	for _, t := range fields {
		if known[t.name] == nil {
			names := slices.Sorted(maps.Keys(known))
			return nil, badQuery("fieldSelector", "cannot select by %s%s (there are: %s)", t.name, document.DidYouMean(t.name, names), strings.Join(names, ", "))
		}
	}
	project := q.Get("project")
	return func(o *T) bool {
		m := res.meta(o)
		if project != "" && m.Project() != project {
			return false
		}
		for _, t := range labels {
			if value, has := m.Labels[t.name]; !t.fits(value, has) {
				return false
			}
		}
		for _, t := range fields {
			if !t.fits(known[t.name](o), true) {
				return false
			}
		}
		return true
	}, nil
}

// term is one condition of a selector.
type term struct {
	name, value string
	exists      bool // any value will do
	not         bool
}

func (t term) fits(value string, has bool) bool {
	return (has && (t.exists || value == t.value)) != t.not
}

// terms reads name=value, name==value, name!=value, name and !name, separated
// by commas.
func terms(parameter, text string, bare bool) (out []term, err error) {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		var t term
		name, value, ok := strings.Cut(part, "=")
		switch {
		case ok:
			t.not = strings.HasSuffix(name, "!")
			t.name, t.value = strings.TrimSuffix(name, "!"), strings.TrimPrefix(value, "=")
		case bare:
			t.name, t.not = strings.CutPrefix(part, "!")
			t.exists = true
		}
		if t.name = strings.TrimSpace(t.name); t.name == "" {
			return nil, badQuery(parameter, "%q: want name=value or name!=value", part)
		}
		t.value = strings.TrimSpace(t.value)
		out = append(out, t)
	}
	return out, nil
}

// checkQuery refuses parameters that the operation does not have, and those
// given twice, of which only one would count.
func checkQuery(r *http.Request, op openapi.Operation) error {
	if op.AnyQuery {
		return checkScope(r, false)
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problem.New(http.StatusBadRequest, "the query cannot be read: "+err.Error())
	}
	for _, name := range slices.Sorted(maps.Keys(q)) {
		switch {
		case !slices.Contains(op.Query, name):
			return badQuery(name, "unknown parameter%s", document.DidYouMean(name, op.Query))
		case len(q[name]) > 1:
			return badQuery(name, "is given %d times", len(q[name]))
		}
	}
	return checkScope(r, op.Everywhere || slices.Contains(op.Query, "continue"))
}

// checkName refuses names that no object can have, before they become a part
// of a key or of a file's name.
func checkName(r *http.Request) error {
	for _, n := range []string{r.PathValue("name"), r.PathValue("function")} {
		if strings.ContainsAny(n, "/\\.%\x00") {
			return problem.New(http.StatusNotFound, fmt.Sprintf("nothing can have the name %q", n))
		}
	}
	return nil
}

// checkScope refuses namespaces that cannot be, before they become a part of a
// key, and all of them at once where one is wanted.
func checkScope(r *http.Request, many bool) error {
	ns := r.URL.Query().Get("namespace")
	switch {
	case ns == "" || ns == "*" && many:
		return nil
	case ns == "*":
		return badQuery("namespace", "one namespace is wanted here")
	case !function.IsLabel(ns):
		return badQuery("namespace", "%q is not a name of a-z, 0-9 and -, beginning and ending with a letter or digit, of at most 63", ns)
	}
	return nil
}
