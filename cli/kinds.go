package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/cli/manifest"
	"github.com/myelin-run/myelin/function"
)

// kind is a kind of object as the command line shows it. A kind joins with one
// entry in kinds.
type kind struct {
	name      string   // as documents write it: "Function"
	one, many string   // "function", "functions"; many is its place in the API too
	nouns     []string // what else it is called
	columns   []string
	wide      []string // further columns with -o wide
	row       func(raw json.RawMessage, wide bool) []string
	page      func(a *app, raw json.RawMessage) string // for describe; nil: the object as YAML
	none      string                                   // what to do if there are none
	// ofFunction tells that each object belongs to a function, and is named
	// FUNCTION:NAME.
	ofFunction bool
}

func (a *app) kinds() []kind {
	return []kind{
		{
			name: function.Kind, one: "function", many: "functions", nouns: []string{"fn", "fu"},
			columns: columns, wide: wideColumns, none: "deploy one with: myelin run PATH",
			row: func(raw json.RawMessage, wide bool) []string {
				f := read[function.Function](raw)
				if wide {
					return row("wide", f)
				}
				return row("table", f)
			},
			page: (*app).functionPage,
		},
		{
			name: function.ProjectKind, one: "project", many: "projects", nouns: []string{"proj", "prj"},
			columns: []string{"NAME", "FUNCTIONS", "OWNER", "DESCRIPTION"}, wide: []string{"NAMESPACE", "LABELS"},
			row: func(raw json.RawMessage, wide bool) []string {
				p := read[function.Project](raw)
				cells := []string{p.Metadata.Name, fmt.Sprint(p.Status.Functions), p.Spec.Owner, p.Spec.Description}
				if wide {
					cells = append(cells, p.Metadata.Namespace, joined(p.Metadata.Labels))
				}
				return cells
			},
			none: "make one with: myelin create project NAME",
		},
		{
			name: function.MappingKind, one: "mapping", many: "mappings", nouns: []string{"eventmapping", "eventmappings", "em"},
			columns: mappingRows(nil)[0], wide: []string{"NAMESPACE", "LABELS"},
			row: func(raw json.RawMessage, wide bool) []string {
				m := read[function.Mapping](raw)
				cells := mappingRows([]function.Mapping{m})[1]
				if wide {
					cells = append(cells, m.Metadata.Namespace, joined(m.Metadata.Labels))
				}
				return cells
			},
			none: "make one with: myelin mapping create NAME --function FUNCTION",
		},
		{
			name: function.VersionKind, one: "version", many: "versions", nouns: []string{"ver"}, ofFunction: true,
			columns: []string{"NAME", "STATE", "ARTEFACT", "CREATED", "NAMED BY", "NOTE"}, wide: []string{"NAMESPACE", "PUBLISHER"},
			row: func(raw json.RawMessage, wide bool) []string {
				v := read[function.Version](raw)
				cells := []string{v.Function + ":" + v.Label(), string(v.Status.State), short(v.Artefact), ago(v.Created), strings.Join(v.Status.NamedBy, ", "), v.Note}
				if wide {
					cells = append(cells, v.Namespace, v.Publisher)
				}
				return cells
			},
			none: "make one with: myelin publish FUNCTION",
		},
		{
			name: function.AliasKind, one: "alias", many: "aliases", nouns: []string{"al"}, ofFunction: true,
			columns: []string{"NAME", "VERSIONS", "WAITING FOR"}, wide: []string{"NAMESPACE", "LABELS"},
			row: func(raw json.RawMessage, wide bool) []string {
				al := read[function.Alias](raw)
				cells := []string{al.Spec.Function + ":" + al.Metadata.Name, shares(al.Spec.Versions), strings.Join(al.Status.Waiting, ", ")}
				if wide {
					cells = append(cells, al.Metadata.Namespace, joined(al.Metadata.Labels))
				}
				return cells
			},
			none: "make one with: myelin alias set FUNCTION NAME=VERSION",
		},
		{
			name: function.RolloutKind, one: "rollout", many: "rollouts", nouns: []string{"ro"}, ofFunction: true,
			columns: rolloutColumns, wide: []string{"NAMESPACE", "LABELS"},
			row: func(raw json.RawMessage, wide bool) []string {
				r := read[function.Rollout](raw)
				cells := rolloutRow(r)
				if wide {
					cells = append(cells, r.Metadata.Namespace, joined(r.Metadata.Labels))
				}
				return cells
			},
			page: func(_ *app, raw json.RawMessage) string { return rolloutPage(read[function.Rollout](raw)) },
			none: "start one with: myelin rollout start FUNCTION ALIAS=VERSION",
		},
		{
			name: function.JobKind, one: "job", many: "jobs", ofFunction: true,
			columns: jobColumns, wide: []string{"NAMESPACE", "LABELS"},
			row: func(raw json.RawMessage, wide bool) []string {
				j := read[function.Job](raw)
				cells := jobRow(j)
				if wide {
					cells = append(cells, j.Metadata.Namespace, joined(j.Metadata.Labels))
				}
				return cells
			},
			page: func(_ *app, raw json.RawMessage) string { return jobPage(read[function.Job](raw)) },
			none: "begin one with: myelin job run --over SET --function FUNCTION",
		},
		dealerKind(),
	}
}

// shares are versions with their weights.
func shares(ws []function.Weighted) string {
	var out []string
	for _, w := range ws {
		text := w.Version
		if len(ws) > 1 {
			text += fmt.Sprintf(" %v%%", w.Weight)
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// read reads what the API answered; what it does not say is empty.
func read[T any](raw json.RawMessage) (v T) {
	_ = json.Unmarshal(raw, &v) // the API answers with its own types
	return v
}

func (k kind) called() []string { return append([]string{k.one, k.many}, k.nouns...) }

// kindOf finds a kind by any of its names.
func (a *app) kindOf(noun string) (kind, bool) {
	for _, k := range a.kinds() {
		if slices.Contains(k.called(), strings.ToLower(noun)) {
			return k, true
		}
	}
	return kind{}, false
}

// kindNamed finds the kind of a document.
func (a *app) kindNamed(m manifest.Kind) (kind, bool) {
	for _, k := range a.kinds() {
		if k.name == m.Name {
			return k, true
		}
	}
	return kind{}, false
}

// kindNames are what the kinds are called, for suggestions and completion.
func (a *app) kindNames() (names []string) {
	for _, k := range a.kinds() {
		names = append(names, k.many, k.one)
	}
	return names
}

// noKind complains of a word that is no kind.
func (a *app) noKind(verb, word string) error {
	var many []string
	for _, k := range a.kinds() {
		many = append(many, k.many)
	}
	return usage("cannot %s %s%s (there are: %s)", verb, word, suggest(word, a.kindNames()), strings.Join(many, ", "))
}

// about splits arguments into a kind and names. Without a noun they are names
// of functions; a noun alone is a name where one is wanted.
func (a *app) about(args []string, nameWanted bool) (kind, []string, bool) {
	functions, _ := a.kindOf("function")
	if len(args) == 0 {
		return functions, nil, false
	}
	k, ok := a.kindOf(args[0])
	if !ok || nameWanted && len(args) == 1 && k.name == function.Kind {
		return functions, args, false
	}
	return k, args[1:], true
}
