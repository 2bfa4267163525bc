// Package openapi holds the document of the control plane's API. Operations are
// written by hand in paths.yaml; the schemas of what they answer with come from
// the Go types. Both are joined in openapi.json, by
// go test ./control/api/openapi -update. It knows no handler.
package openapi

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
)

//go:embed openapi.json
var document []byte

// Document returns the OpenAPI document as JSON.
func Document() []byte { return slices.Clone(document) }

// Operation is what the document says of a route that its handler need not.
type Operation struct {
	Query []string // the parameters of the query
	// AnyQuery tells that the query is somebody else's, as of an invocation.
	AnyQuery bool
	// Everywhere tells that all namespaces at once may be meant.
	Everywhere bool
}

type parameter struct {
	Ref  string `json:"$ref"`
	Name string `json:"name"`
	In   string `json:"in"`
}

type operation struct {
	Parameters []parameter `json:"parameters"`
	AnyQuery   bool        `json:"x-any-query"`
}

// Operations returns the operations by method and path, "GET /api/v1/version".
func Operations() map[string]Operation {
	var doc struct {
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Components struct {
			Parameters map[string]parameter `json:"parameters"`
		} `json:"components"`
	}
	_ = json.Unmarshal(document, &doc) // a test reads all of it
	out := map[string]Operation{}
	for path, item := range doc.Paths {
		var shared []parameter
		_ = json.Unmarshal(item["parameters"], &shared)
		for method, raw := range item {
			var op operation
			if method == "parameters" || json.Unmarshal(raw, &op) != nil {
				continue
			}
			o := Operation{AnyQuery: op.AnyQuery}
			for _, p := range slices.Concat(shared, op.Parameters) {
				o.Everywhere = o.Everywhere || strings.HasSuffix(p.Ref, "/namespaces")
				if p.Ref != "" {
					p = doc.Components.Parameters[p.Ref[strings.LastIndex(p.Ref, "/")+1:]]
				}
				if p.In == "query" {
					o.Query = append(o.Query, p.Name)
				}
			}
			out[strings.ToUpper(method)+" "+path] = o
		}
	}
	return out
}

// Route is the pattern of a mux as the document writes it. A pattern without
// method stands for all of them, of which GET is looked at.
func Route(pattern string) string {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		method, path = "GET", pattern
	}
	return method + " " + strings.ReplaceAll(path, "...}", "}")
}
