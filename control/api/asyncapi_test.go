package api_test

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/api/openapi/conform"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/function"
)

// describer describes by names alone.
type describer struct{}

func (describer) Function(f function.Function) *asyncapi.Document {
	return asyncapi.New(f.Metadata.Name, "1", "")
}

func (describer) Mapping(m function.Mapping, f function.Function) *asyncapi.Document {
	return asyncapi.New(m.Metadata.Name, "1", "to "+f.Metadata.Name)
}

// Functions and mappings have a document; a mapping's knows the function.
func TestAsyncAPIDocuments(t *testing.T) {
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	serve := func(d api.Describer) *client.Client {
		srv := httptest.NewServer(conform.New(t).Handler(t, api.New(api.Options{Catalog: catalog.New(s), Describer: d, Log: slog.New(slog.DiscardHandler)})))
		t.Cleanup(srv.Close)
		return client.New(srv.URL, "", nil)
	}
	c := serve(describer{})
	if _, err := c.AsyncAPI(t.Context(), "functions/orders"); !client.NotFound(err) {
		t.Errorf("of nobody: %v", err)
	}
	if _, err := c.Put(t.Context(), function.Config{Metadata: function.Metadata{Name: "orders"}, Spec: function.Spec{Runtime: "python", Handler: "m:f"}}); err != nil {
		t.Fatal(err)
	}
	m := function.Mapping{Metadata: function.Metadata{Name: "in"}, Spec: function.MappingSpec{Function: "orders", Source: function.Trigger{Kind: "cron", Attributes: []byte(`{"interval":"1h"}`)}}}
	if _, err := c.CreateMapping(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"functions/orders": `"title":"orders"`, "mappings/in": `"description":"to orders"`} {
		if text, err := c.AsyncAPI(t.Context(), path); err != nil || !strings.Contains(string(text), want) || !strings.Contains(string(text), `"asyncapi":"3.0.0"`) {
			t.Errorf("%s: %v %s", path, err, text)
		}
	}
	if _, err := serve(nil).AsyncAPI(t.Context(), "functions/orders"); err == nil || !strings.Contains(err.Error(), "does not describe") {
		t.Errorf("without who describes: %v", err)
	}
}
