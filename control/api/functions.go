package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// DefaultNamespace is meant where a request names none.
const DefaultNamespace = "default"

func namespace(r *http.Request) string {
	if ns := r.URL.Query().Get("namespace"); ns != "" {
		return ns
	}
	return DefaultNamespace
}

func name(r *http.Request) catalog.Name {
	return catalog.Name{Namespace: namespace(r), Name: r.PathValue("name")}
}

// write answers with v as JSON, what is secret hidden.
func write(w http.ResponseWriter, status int, v any) error {
	b, err := hidden(v)
	if err != nil {
		return err
	}
	return send(w, status, b)
}

func send(w http.ResponseWriter, status int, b []byte) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // nobody left to tell
	return nil
}

// functions are the functions as a resource.
func (s *server) functions() resource[function.Function] {
	c := s.o.Catalog
	return limited(resource[function.Function]{
		one: "function", many: "functions", keys: []string{catalog.FunctionKeys, catalog.StatusKeys},
		meta: func(f *function.Function) *function.Metadata { return &f.Metadata },
		fields: map[string]func(*function.Function) string{
			"spec.runtime": func(f *function.Function) string { return f.Spec.Runtime },
			"spec.disable": func(f *function.Function) string { return fmt.Sprint(f.Spec.Disable) },
			"status.state": func(f *function.Function) string { return string(f.Status.State) },
		},
		gone: func(f *function.Function) { f.Status.State = function.Deleting },
		list: c.List, page: c.Page,
		get: c.Get,
		check: func(f function.Function) error {
			function.Defaults(&f.Config)
			return function.Validate(f.Config)
		},
		put: s.putFunction,
		drop: func(r *http.Request, _ function.Function, v string) error {
			err := c.Delete(r.Context(), name(r), v)
			if err == nil {
				s.forgetCapture(name(r))
			}
			return err
		},
	}, "functions.write", func(f *function.Function) string { return f.Metadata.Project() })
}

// putFunction stores a function of a project that is there.
func (s *server) putFunction(ctx context.Context, f function.Function, v string) error {
	s.membership.RLock()
	defer s.membership.RUnlock()
	m := f.Metadata
	if project := m.Project(); project != function.DefaultProject {
		_, err := s.o.Catalog.Project(ctx, catalog.Name{Namespace: m.Namespace, Name: project})
		if errors.Is(err, store.ErrNotFound) {
			return wrong(document.Join("metadata.labels", function.ProjectLabel), "there is no project %q in namespace %s%s", project, m.Namespace, document.DidYouMean(project, s.projectNames(ctx, m.Namespace)))
		}
		if err != nil {
			return err
		}
	}
	return s.o.Catalog.Put(ctx, f.Config, v)
}

// find returns the function that a request names, or says which may be meant.
func (s *server) find(r *http.Request) (function.Function, error) { return find(s.functions(), r) }
