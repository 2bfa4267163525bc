package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// mappings are the event mappings as a resource.
func (s *server) mappings() resource[function.Mapping] {
	c := s.o.Catalog
	return resource[function.Mapping]{
		one: "mapping", many: "mappings", keys: []string{catalog.MappingKeys, catalog.MappingStatusKeys},
		meta: func(m *function.Mapping) *function.Metadata { return &m.Metadata },
		fields: map[string]func(*function.Mapping) string{
			"spec.function":    func(m *function.Mapping) string { return m.Spec.Function },
			"spec.alias":       func(m *function.Mapping) string { return m.Spec.Alias },
			"spec.version":     func(m *function.Mapping) string { return m.Spec.Version },
			"spec.owner":       func(m *function.Mapping) string { return m.Spec.Owner },
			"spec.disabled":    func(m *function.Mapping) string { return fmt.Sprint(m.Spec.Disabled) },
			"spec.source.kind": func(m *function.Mapping) string { return m.Spec.Source.Kind },
			"status.state":     func(m *function.Mapping) string { return m.Status.State },
		},
		list: c.Mappings, page: c.MappingPage, get: c.Mapping, check: s.checkMapping,
		put: func(ctx context.Context, m function.Mapping, v string) error { return c.PutMapping(ctx, m, v) },
		drop: func(r *http.Request, _ function.Mapping, v string) error {
			return c.DeleteMapping(r.Context(), name(r), v)
		},
	}
}

// checkMapping says what is wrong with a mapping and its source.
func (s *server) checkMapping(m function.Mapping) error {
	if m.APIVersion == "" {
		m.APIVersion = function.APIVersion
	}
	full := m
	function.MappingDefaults(&full)
	if err := function.ValidateMapping(full); err != nil {
		return err
	}
	if full.Spec.Source.Kind == "http" {
		_, err := route.Of(full)
		return err
	}
	if s.o.CheckSource == nil {
		return nil
	}
	if err := s.o.CheckSource(plan.TriggerOf(full), full.Spec.Source); err != nil {
		return document.Under("spec.source", err)
	}
	return nil
}

// mappingTriggers says how the triggers of a mapping are, in each processor
// that has them.
func (s *server) mappingTriggers(w http.ResponseWriter, r *http.Request) error {
	m, err := find(s.mappings(), r)
	if err != nil {
		return err
	}
	if s.o.Processors == nil {
		return problem.New(http.StatusNotImplemented, "the processors of this platform cannot be asked")
	}
	fn := catalog.Name{Namespace: m.Metadata.Namespace, Name: m.Spec.Function}
	versions, err := s.o.Catalog.Ran(r.Context(), fn)
	if err != nil {
		return err
	}
	out := TriggerList{Items: []TriggerView{}}
	for _, v := range append(versions, 0) {
		d := catalog.Deployment{Name: fn, Version: v}
		for _, reply := range s.o.Processors.Ask(r.Context(), d.String(), http.MethodGet, "/triggers", nil) {
			out.add(reply, d.Label(), plan.TriggerOf(m))
		}
	}
	out.sort()
	return write(w, http.StatusOK, out)
}
