package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
)

// projects are the projects as a resource. The one called default is there
// without being stored.
func (s *server) projects() resource[function.Project] {
	return limited(resource[function.Project]{
		one: "project", many: "projects", keys: []string{catalog.ProjectKeys},
		meta:  func(p *function.Project) *function.Metadata { return &p.Metadata },
		list:  s.listProjects,
		get:   s.getProject,
		check: function.ValidateProject,
		put: func(ctx context.Context, p function.Project, v string) error {
			return s.o.Catalog.PutProject(ctx, p, v)
		},
		drop: s.dropProject,
	}, "projects.write", func(p *function.Project) string { return p.Metadata.Name })
}

func implicitProject(ns string) function.Project {
	return function.Project{
		APIVersion: function.APIVersion, Kind: function.ProjectKind,
		Metadata: function.Metadata{Name: function.DefaultProject, Namespace: ns},
		Spec:     function.ProjectSpec{Description: "Functions that name no project"},
	}
}

func (s *server) listProjects(ctx context.Context, ns string) ([]function.Project, store.Revision, error) {
	all, rev, err := s.o.Catalog.Projects(ctx, ns)
	if err != nil {
		return nil, 0, err
	}
	functions, _, err := s.o.Catalog.List(ctx, ns)
	if err != nil {
		return nil, 0, err
	}
	count := map[string]int{}
	spaces := map[string]bool{ns: true}
	for _, f := range functions {
		count[f.Metadata.Namespace+"/"+f.Metadata.Project()]++
		spaces[f.Metadata.Namespace] = true
	}
	for _, p := range all {
		spaces[p.Metadata.Namespace] = true
	}
	for space := range spaces {
		stored := slices.ContainsFunc(all, func(p function.Project) bool {
			return p.Metadata.Namespace == space && p.Metadata.Name == function.DefaultProject
		})
		if space != "" && !stored {
			all = append(all, implicitProject(space))
		}
	}
	for i := range all {
		all[i].Status.Functions = count[keyOf(&all[i].Metadata)]
	}
	return all, rev, nil
}

func (s *server) getProject(ctx context.Context, n catalog.Name) (function.Project, error) {
	p, err := s.o.Catalog.Project(ctx, n)
	if errors.Is(err, store.ErrNotFound) && n.Name == function.DefaultProject {
		p, err = implicitProject(n.Namespace), nil
	}
	if err != nil {
		return p, err
	}
	in, err := s.within(ctx, n)
	p.Status.Functions = len(in)
	return p, err
}

// within returns the functions of a project.
func (s *server) within(ctx context.Context, n catalog.Name) (in []catalog.Name, err error) {
	functions, _, err := s.o.Catalog.List(ctx, n.Namespace)
	for _, f := range functions {
		if f.Metadata.Project() == n.Name {
			in = append(in, catalog.Name{Namespace: n.Namespace, Name: f.Metadata.Name})
		}
	}
	return in, err
}

func (s *server) projectNames(ctx context.Context, ns string) []string {
	names := []string{function.DefaultProject}
	all, _, err := s.o.Catalog.Projects(ctx, ns)
	if err != nil {
		return names
	}
	for _, p := range all {
		names = append(names, p.Metadata.Name)
	}
	return names
}

// most functions that a refusal names.
const named = 10

// dropProject removes a project that is empty, or with ?cascade=true what is in
// it first. No function is added to it meanwhile.
func (s *server) dropProject(r *http.Request, p function.Project, v string) error {
	cascade, err := flag(r, "cascade")
	if err != nil {
		return err
	}
	n := name(r)
	if n.Name == function.DefaultProject {
		return problem.New(http.StatusConflict, "the project default is always there")
	}
	s.membership.Lock()
	defer s.membership.Unlock()
	in, err := s.within(r.Context(), n)
	if err != nil {
		return err
	}
	if len(in) > 0 && !cascade {
		return notEmpty(n.Name, in)
	}
	if v != "" && v != p.Metadata.ResourceVersion {
		return store.ErrConflict // before anything is deleted
	}
	for _, f := range in {
		if err := s.o.Catalog.Delete(r.Context(), f, ""); err != nil {
			return err
		}
	}
	return s.o.Catalog.DeleteProject(r.Context(), n, v)
}

func notEmpty(project string, in []catalog.Name) error {
	var names []string
	for _, f := range in {
		names = append(names, f.Name)
	}
	text := strings.Join(names[:min(named, len(names))], ", ")
	if len(names) > named {
		text += fmt.Sprintf(" and %d more", len(names)-named)
	}
	p := problem.New(http.StatusConflict, fmt.Sprintf("project %q is not empty, in it are %d functions: %s", project, len(names), text))
	for _, name := range names {
		p.Errors = append(p.Errors, problem.Field{Path: "functions." + name, Detail: "is in the project"})
	}
	return p
}
