package api

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/control/api/openapi"
)

// What the API serves is in its document, and what is in its document is
// served.
func TestRoutesAndDocumentAgree(t *testing.T) {
	served := map[string]bool{}
	for pattern := range newServer(Options{Log: slog.New(slog.DiscardHandler)}).routes() {
		if pattern == "/" {
			continue
		}
		served[openapi.Route(pattern)] = true
		if _, ok := openapi.Operations()[openapi.Route(pattern)]; !ok {
			t.Errorf("%s is served and not in the document: add it to control/api/openapi/paths.yaml and run make docs", pattern)
		}
	}
	for op, o := range openapi.Operations() {
		route := op
		if o.AnyQuery { // any method
			_, path, _ := strings.Cut(op, " ")
			route = "GET " + path
		}
		if !served[route] {
			t.Errorf("%s is in the document and not served", op)
		}
	}
}
