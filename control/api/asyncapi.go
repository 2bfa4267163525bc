package api

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/function"
)

// Describer writes AsyncAPI documents. Nothing in them is secret.
type Describer interface {
	Function(f function.Function) *asyncapi.Document
	// Mapping is given the function that the mapping leads to, as far as it is there.
	Mapping(m function.Mapping, f function.Function) *asyncapi.Document
}

// describeFunction answers with the AsyncAPI document of a function.
func (s *server) describeFunction(w http.ResponseWriter, r *http.Request) error {
	f, err := s.find(r)
	if err != nil {
		return err
	}
	if s.o.Describer == nil {
		return notDescribed()
	}
	return sendDocument(w, s.o.Describer.Function(f))
}

// describeMapping answers with that of an event mapping.
func (s *server) describeMapping(w http.ResponseWriter, r *http.Request) error {
	m, err := find(s.mappings(), r)
	if err != nil {
		return err
	}
	if s.o.Describer == nil {
		return notDescribed()
	}
	f, err := s.o.Catalog.Get(r.Context(), catalog.Name{Namespace: m.Metadata.Namespace, Name: m.Spec.Function})
	if err != nil { // a mapping may wait for its function
		f = function.Function{}
	}
	return sendDocument(w, s.o.Describer.Mapping(m, f))
}

func notDescribed() error {
	return problem.New(http.StatusNotImplemented, "this control plane does not describe sources")
}

func sendDocument(w http.ResponseWriter, d *asyncapi.Document) error {
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("write document: %w", err)
	}
	return send(w, http.StatusOK, b)
}
