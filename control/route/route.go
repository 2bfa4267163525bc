// Package route says where a request goes: to which function by an explicit
// route or by the function's name, and to which of its versions by an alias.
// The control plane makes the table; the gateway compiles it and looks requests
// up in it. It is pure: it knows no network, no clock and no store.
package route

import (
	"strings"

	"github.com/myelin-run/myelin/function"
)

// Table is all that a gateway knows: a state, not a change.
type Table struct {
	Edition     Edition      `json:"edition,omitzero"`
	Deployments []Deployment `json:"deployments"`
	Aliases     []Alias      `json:"aliases,omitempty"`
	Routes      []Route      `json:"routes,omitempty"`
}

// The states of a deployment.
const (
	Serving  = "serving"
	Starting = "starting" // nothing serves yet
	Down     = "down"     // something should serve and does not
	Asleep   = "asleep"   // nothing runs: a connection to the address is answered once something does
)

// Deployment is one version of a function, as it runs or should run.
type Deployment struct {
	Namespace string `json:"namespace"`
	Function  string `json:"function"`
	// Version is a number, or function.Latest.
	Version string `json:"version"`
	Address string `json:"address,omitempty"` // host:port
	// Generation changes when the processes behind the address are others:
	// connections that were made before are not used any more.
	Generation string `json:"generation,omitempty"`
	State      string `json:"state"`
	Message    string `json:"message,omitempty"` // why it does not serve
	// Replicas is how many processors listen at the address, as far as is known.
	Replicas int `json:"replicas,omitempty"`
}

// Key is the deployment's own among all.
func (d Deployment) Key() Key { return Key{d.Namespace, d.Function, d.Version} }

// Key names a deployment.
type Key struct{ Namespace, Function, Version string }

// Alias is a function's alias as it is in effect.
type Alias struct {
	Namespace string              `json:"namespace"`
	Function  string              `json:"function"`
	Name      string              `json:"name"`
	Versions  []function.Weighted `json:"versions"`
	Sticky    *function.Sticky    `json:"sticky,omitempty"`
	Rules     []function.Rule     `json:"rules,omitempty"`
}

// Route sends the requests that match to a target.
type Route struct {
	Name   string `json:"name"` // the mapping's, in its namespace
	Match  Match  `json:"match"`
	Target Target `json:"target"`
	Policy Policy `json:"policy,omitzero"`
}

// Match says which requests a route takes. What is empty takes any.
type Match struct {
	// Hosts are names without port; one that begins with "*." takes every
	// name below it.
	Hosts []string `json:"hosts,omitempty"`
	// Path takes itself and what is below it: /beta takes /beta/x and not
	// /betamax.
	Path    string            `json:"path,omitempty"`
	Exact   bool              `json:"exact,omitempty"` // and nothing below it
	Methods []string          `json:"methods,omitempty"`
	Headers map[string]string `json:"headers,omitempty"` // "" takes any value
}

// Target is an alias of a function, or one version, or with neither its
// working copy.
type Target struct {
	Namespace string `json:"namespace"`
	Function  string `json:"function"`
	Alias     string `json:"alias,omitempty"`
	Version   string `json:"version,omitempty"`
}

// DefaultNamespace is the one whose functions are reached by their bare names.
const DefaultNamespace = "default"

// Split divides an escaped path "/hello/a/b" into the function's name and the
// path that the function sees, "/a/b".
func Split(path string) (name, rest string) {
	name, rest, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return name, "/" + rest
}

// Named reads a function's name as clients write it: "hello", "hello:prod" or
// "hello:3", of the default namespace.
func Named(s string) Target {
	name, qualifier, _ := strings.Cut(s, ":")
	t := Target{Namespace: DefaultNamespace, Function: name}
	switch _, err := function.ParseVersion(qualifier); {
	case qualifier == "":
	case err == nil:
		t.Version = qualifier
	default:
		t.Alias = qualifier
	}
	return t
}

// String writes the target as [Named] reads it.
func (t Target) String() string {
	switch {
	case t.Alias != "":
		return t.Function + ":" + t.Alias
	case t.Version != "" && t.Version != function.Latest:
		return t.Function + ":" + t.Version
	}
	return t.Function
}
