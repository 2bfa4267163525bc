package api

import (
	"fmt"
	"net/http"
	"regexp"

	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/docs/reference"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/templates"
)

// TemplateList is the functions that one may begin with.
type TemplateList struct {
	Items []Template `json:"items"`
}

// Template is a function that one may begin with.
type Template struct {
	// Runtime and trigger, such as python-http.
	Name    string `json:"name"`
	Runtime string `json:"runtime"`
	Trigger string `json:"trigger"`
	// What it does.
	Summary string `json:"summary"`
}

// Beginning is a template, filled in, as one file of code.
type Beginning struct {
	Template
	// The function.yaml, without the code.
	Config string `json:"config"`
	// What the file of the code is called.
	File string `json:"file"`
	// The code.
	Code string `json:"code"`
}

func described(t templates.Template) Template {
	return Template{Name: t.Runtime + "-" + t.Trigger, Runtime: t.Runtime, Trigger: t.Trigger, Summary: t.Summary}
}

func (s *server) templates(w http.ResponseWriter, _ *http.Request) error {
	out := TemplateList{Items: []Template{}}
	for _, t := range templates.All() {
		out.Items = append(out.Items, described(t))
	}
	return write(w, http.StatusOK, out)
}

var functionName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// template answers with a template, filled in for the function ?as=.
func (s *server) template(w http.ResponseWriter, r *http.Request) error {
	as := r.URL.Query().Get("as")
	if as == "" {
		as = "hello"
	}
	if !functionName.MatchString(as) {
		return badQuery("as", "want a-z, 0-9 and -, at most 63, beginning and ending with a letter or digit, got %q", as)
	}
	name := r.PathValue("name")
	var names []string
	for _, t := range templates.All() {
		d := described(t)
		if d.Name != name {
			names = append(names, d.Name)
			continue
		}
		one, err := t.One(templates.Values{Name: as})
		if err != nil {
			return fmt.Errorf("fill in template %s: %w", name, err)
		}
		return write(w, http.StatusOK, Beginning{Template: d, Config: one.Config, File: one.File, Code: one.Code})
	}
	return problem.New(http.StatusNotFound, fmt.Sprintf("there is no template %q%s", name, document.DidYouMean(name, names)))
}

// schema answers with the JSON schema of a kind of documents.
func (s *server) schema(w http.ResponseWriter, r *http.Request) error {
	kind := r.PathValue("name")
	text, ok := reference.Schema(kind)
	if !ok {
		return problem.New(http.StatusNotFound, fmt.Sprintf("there is no schema of %q%s", kind, document.DidYouMean(kind, reference.Kinds())))
	}
	return send(w, http.StatusOK, text)
}
