package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// Imported is one object of another system's export, or of ours.
type Imported struct {
	Kind string // "Function"; of what is not taken over the other system's word
	Name string
	// JSON is the object as it is stored here; nil: it is not taken over.
	JSON []byte
	Doc  *Doc // nil: it is not from one of our documents
	// Notes say what of it was left out and why, or why all of it.
	Notes []string
}

// ReadExport reads what `nuctl export` wrote about functions or projects, one or
// several, as YAML or JSON. ok is false if the text is something else.
func ReadExport(name string, text []byte) (out []Imported, ok bool, err error) {
	doc, err := document.Parse(name, text)
	if err != nil {
		return nil, false, err
	}
	var top map[string]json.RawMessage
	if json.Unmarshal(doc.JSON(), &top) != nil || len(top) == 0 || filepath.Base(name) == "function.yaml" {
		return nil, false, nil
	}
	if out, ok = export(top); ok {
		return out, true, nil
	}
	for _, key := range slices.Sorted(maps.Keys(top)) { // several, by name
		var one map[string]json.RawMessage
		if json.Unmarshal(top[key], &one) != nil {
			return nil, false, nil
		}
		found, ok := export(one)
		if !ok {
			return nil, false, nil
		}
		out = append(out, found...)
	}
	return out, true, nil
}

// export reads one project or function, if it is one. What has a kind is a
// document instead.
func export(top map[string]json.RawMessage) ([]Imported, bool) {
	switch {
	case top["kind"] != nil:
		return nil, false
	case top["project"] != nil:
		return exportedProject(top), true
	case top["metadata"] != nil && top["spec"] != nil:
		return []Imported{exportedFunction(top)}, true
	}
	return nil, false
}

func exportedProject(top map[string]json.RawMessage) []Imported {
	var project map[string]json.RawMessage
	_ = json.Unmarshal(top["project"], &project) // what it is not is told by the reader below
	out := []Imported{taken(function.ProjectKind, "NuclioProject", project, func(raw []byte) error {
		var p function.Project
		return document.DecodeJSON(raw, &p)
	})}
	for _, raw := range byName(top["functions"]) {
		out = append(out, exportedFunction(raw.fields))
	}
	for _, e := range byName(top["functionEvents"]) {
		out = append(out, Imported{Kind: "FunctionEvent", Name: e.name, Notes: []string{"saved test events have no place here; send one with: myelin invoke"}})
	}
	for _, g := range byName(top["apiGateways"]) {
		out = append(out, Imported{Kind: "APIGateway", Name: g.name, Notes: []string{"declare its host and path as an EventMapping of kind http"}})
	}
	return out
}

type entry struct {
	name   string
	fields map[string]json.RawMessage
}

func byName(raw json.RawMessage) (out []entry) {
	var all map[string]map[string]json.RawMessage
	_ = json.Unmarshal(raw, &all) // nothing is an empty map
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, entry{name, all[name]})
	}
	return out
}

// exportedFunction keeps what Nuclio's format and ours share.
func exportedFunction(fields map[string]json.RawMessage) Imported {
	out := taken(function.Kind, function.NuclioKind, fields, func(raw []byte) error {
		var c function.Config
		return document.DecodeJSON(raw, &c)
	})
	var c function.Config
	if out.JSON == nil || json.Unmarshal(out.JSON, &c) != nil {
		return out
	}
	if c.Spec.Image != "" && c.Spec.Build.FunctionSourceCode == "" && c.Spec.Build.Path == "" && c.Spec.Build.CodeEntryType == "" {
		out.Notes = append(out.Notes, fmt.Sprintf("spec.image: %s is a container image and its source is not in the export: deploy it with myelin run %s --path SOURCE", c.Spec.Image, out.Name))
	}
	return out
}

// rounds bound how often unknown fields are looked for: fewer are told at once
// than a document can have.
const rounds = 20

// taken makes an object of exported fields. Those that are not known here are
// left out, and told.
func taken(kind, theirs string, fields map[string]json.RawMessage, read func([]byte) error) Imported {
	clean := maps.Clone(fields)
	delete(clean, "status")
	clean["apiVersion"], clean["kind"] = text(function.NuclioAPIVersion), text(theirs)
	out := Imported{Kind: kind}
	var h head
	raw, err := json.Marshal(clean)
	if err == nil {
		err = json.Unmarshal(raw, &h)
	}
	if err != nil {
		out.Notes = []string{err.Error()}
		return out
	}
	out.Name = h.Metadata.Name
	doc, err := document.Parse("export.json", raw)
	for range rounds {
		if err != nil {
			break
		}
		doc.Ignore("metadata.namespace", "metadata.resourceVersion", "metadata.generation", "metadata.creationTimestamp", "metadata.uid")
		var unknown []string
		if unknown, err = strangers(read(doc.JSON())); len(unknown) == 0 {
			break
		}
		doc.Ignore(unknown...)
		for _, path := range unknown {
			out.Notes = append(out.Notes, path+": is not known here and was left out")
		}
	}
	if err == nil {
		_, err = strangers(read(doc.JSON()))
	}
	if err != nil {
		out.Notes = append(out.Notes, strings.Split(err.Error(), "\n")...)
		return out
	}
	out.JSON = doc.JSON()
	return out
}

func text(s string) json.RawMessage {
	b, _ := json.Marshal(s) // text
	return b
}

// strangers returns the paths of unknown fields; another mistake is an error.
func strangers(err error) (paths []string, other error) {
	var es document.Errors
	if !errors.As(err, &es) {
		return nil, err
	}
	for _, e := range es {
		if !strings.HasPrefix(e.Msg, "unknown field") {
			return nil, es
		}
		paths = append(paths, e.Path)
	}
	return paths, nil
}
