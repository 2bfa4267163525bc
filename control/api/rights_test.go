package api

import (
	"log/slog"
	"testing"

	"github.com/myelin-run/myelin/control/access"
)

// Every route has its right, and every right its rule.
func TestEveryRouteHasARight(t *testing.T) {
	served := newServer(Options{Log: slog.New(slog.DiscardHandler)}).routes()
	rules := access.Rules()
	for pattern := range served {
		right, ok := rights[pattern]
		if !ok && pattern != "/" {
			t.Errorf("%s has no right: add it to control/api/rights.go, and its operation to control/access/rules.go", pattern)
		}
		if _, ok := rules[right.operation]; !ok && pattern != "/" {
			t.Errorf("%s asks for %q, which is no operation of control/access/rules.go", pattern, right.operation)
		}
	}
	for pattern, right := range rights {
		if rule := rules[right.operation]; rule.Scope == access.InProject && right.of == "" {
			t.Errorf("%s does not say whose project decides", pattern)
		}
	}
}
