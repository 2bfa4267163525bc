package route

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// attributes are what a mapping of kind http says in source.attributes.
type attributes struct {
	// Host is a host's name without port, or *.example.com for all below it;
	// default any.
	Host string `json:"host,omitempty"`
	// Hosts are several of them.
	Hosts []string `json:"hosts,omitempty"`
	// Path takes itself and what is below it; default /.
	Path string `json:"path,omitempty"`
	// Exact leaves out what is below the path.
	Exact bool `json:"exact,omitempty"`
	// Methods such as GET; default any.
	Methods []string `json:"methods,omitempty"`
	// Headers that a request must have, with these values; "" for any.
	Headers map[string]string `json:"headers,omitempty"`
	// Policy is what the gateway asks of requests.
	Policy Policy `json:"policy,omitzero"`
}

// Attributes are what a mapping of kind http can say in source.attributes, for
// who describes it.
func Attributes() any { return attributes{} }

var (
	hostForm = regexp.MustCompile(`^(\*\.)?[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$`)
	wordForm = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
)

// Of returns the route that a mapping of kind http is. [document.Errors] say
// what of its attributes cannot be.
func Of(m function.Mapping) (Route, error) {
	var a attributes
	if raw := m.Spec.Source.Attributes; len(raw) > 0 {
		if err := document.DecodeJSON(raw, &a); err != nil {
			return Route{}, document.Under("spec.source.attributes", err)
		}
	}
	if err := a.check(); err != nil {
		return Route{}, document.Under("spec.source.attributes", err)
	}
	if a.Host != "" {
		a.Hosts = append([]string{a.Host}, a.Hosts...)
	}
	return Route{
		Name:   m.Metadata.Name,
		Match:  Match{Hosts: a.Hosts, Path: a.Path, Exact: a.Exact, Methods: a.Methods, Headers: a.Headers},
		Target: Target{Namespace: m.Metadata.Namespace, Function: m.Spec.Function, Alias: m.Spec.Alias, Version: m.Spec.Version},
		Policy: a.Policy,
	}, nil
}

func (a *attributes) check() error {
	var es document.Errors
	for _, h := range append(a.Hosts, a.Host) {
		if h != "" && !hostForm.MatchString(h) {
			es.Add("host", "%q is not a host's name, such as example.com or *.example.com", h)
		}
	}
	if a.Path != "" && (!strings.HasPrefix(a.Path, "/") || strings.ContainsAny(a.Path, "?# \t\r\n\x00")) {
		es.Add("path", "%q is not a path, such as /beta", a.Path)
	}
	for _, m := range a.Methods {
		if !wordForm.MatchString(m) {
			es.Add("methods", "%q is not a method, such as %s", m, http.MethodGet)
		}
	}
	for h := range a.Headers {
		if !wordForm.MatchString(h) {
			es.Add("headers", "%q is not a header's name", h)
		}
	}
	return errors.Join(es.Err(), document.Under("policy", a.Policy.Check()))
}
