package api

import (
	_ "embed"
	"net/http"
)

// TriggerKindList are the kinds of triggers that there are.
type TriggerKindList struct {
	Items []TriggerKind `json:"items"`
}

// TriggerKind is one kind of triggers.
type TriggerKind struct {
	Kind string `json:"kind"`
	// Other names of the kind.
	Also []string `json:"also,omitempty"`
	// In one sentence.
	About string `json:"about"`
	// JSON schema of its attributes, with their defaults and what its page says of them.
	Attributes any `json:"attributes"`
	// The same of an event mapping of the kind http, which is a route of the gateway.
	Route any `json:"route,omitempty"`
}

// kinds is a TriggerKindList, made of the kinds' configurations and pages by
// scripts/docs.sh: the package knows no component.
//
//go:embed kinds.json
var kinds []byte

func (s *server) triggerKinds(w http.ResponseWriter, _ *http.Request) error {
	return send(w, http.StatusOK, kinds)
}
