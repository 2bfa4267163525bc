package openapi_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	generate "github.com/invopop/jsonschema"

	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/apply"
	"github.com/myelin-run/myelin/control/capture"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/secret"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor/tap"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/letterbox"
)

// functionInput is a function as it is sent.
type functionInput struct {
	function.Config
	// Ignored: it is not the sender's to say.
	Status any `json:"status,omitempty"`
}

// projectInput is a project as it is sent.
type projectInput struct {
	// myelin.run/v1, or nuclio.io/v1 or v1beta1.
	APIVersion string `json:"apiVersion,omitempty"`
	// Project, or NuclioProject with nuclio.io.
	Kind string `json:"kind,omitempty"`
	// What the project is called and labelled.
	Metadata function.Metadata `json:"metadata"`
	// What its owner says of it.
	Spec function.ProjectSpec `json:"spec,omitzero"`
	// Ignored: it is not the sender's to say.
	Status any `json:"status,omitempty"`
}

// aliasInput is an alias as it is sent.
type aliasInput struct {
	// myelin.run/v1.
	APIVersion string `json:"apiVersion,omitempty"`
	// Alias.
	Kind string `json:"kind,omitempty"`
	// What the alias is called and labelled.
	Metadata function.Metadata `json:"metadata,omitzero"`
	// Where the alias leads.
	Spec function.AliasSpec `json:"spec"`
	// Ignored: it is not the sender's to say.
	Status any `json:"status,omitempty"`
}

// rolloutInput is a rollout as it is sent.
type rolloutInput struct {
	// myelin.run/v1.
	APIVersion string `json:"apiVersion,omitempty"`
	// Rollout.
	Kind string `json:"kind,omitempty"`
	// The name is that of the alias.
	Metadata function.Metadata `json:"metadata,omitzero"`
	// Where to, in which steps, and what is expected.
	Spec function.RolloutSpec `json:"spec"`
	// Ignored: it is not the sender's to say.
	Status any `json:"status,omitempty"`
}

// jobInput is a job as it is sent.
type jobInput struct {
	// myelin.run/v1.
	APIVersion string `json:"apiVersion,omitempty"`
	// Job.
	Kind string `json:"kind,omitempty"`
	// What the job is called, one name among the jobs of its function, and labelled.
	Metadata function.Metadata `json:"metadata"`
	// What runs, and how.
	Spec function.JobSpec `json:"spec"`
	// Ignored: it is not the sender's to say.
	Status any `json:"status,omitempty"`
}

// mappingInput is an event mapping as it is sent.
type mappingInput struct {
	// myelin.run/v1.
	APIVersion string `json:"apiVersion,omitempty"`
	// EventMapping.
	Kind string `json:"kind,omitempty"`
	// What the mapping is called, one name in a namespace, and labelled.
	Metadata function.Metadata `json:"metadata"`
	// What it binds to what.
	Spec function.MappingSpec `json:"spec"`
	// Ignored: it is not the sender's to say.
	Status any `json:"status,omitempty"`
}

type versionAnswer struct {
	Version string `json:"version"`
}

type healthAnswer struct {
	Status string `json:"status"`
}

// objects are the schemas that operations may name.
var objects = map[string]any{
	"Function": function.Function{}, "FunctionInput": functionInput{}, "FunctionList": api.FunctionList{}, "AppliedFunction": api.AppliedFunction{},
	"Project": function.Project{}, "ProjectInput": projectInput{}, "ProjectList": api.ProjectList{}, "AppliedProject": api.AppliedProject{},
	"FunctionVersion": function.Version{}, "VersionList": api.VersionList{},
	"Alias": function.Alias{}, "AliasInput": aliasInput{}, "AliasList": api.AliasList{}, "AppliedAlias": api.AppliedAlias{},
	"Rollout": function.Rollout{}, "RolloutInput": rolloutInput{}, "RolloutList": api.RolloutList{}, "AppliedRollout": api.AppliedRollout{},
	"Job": function.Job{}, "JobInput": jobInput{}, "JobList": api.JobList{},
	"JobItemsInput": api.JobItemsInput{}, "JobItemsAdded": api.JobItemsAdded{}, "JobItemList": api.JobItemList{},
	"Mapping": function.Mapping{}, "MappingInput": mappingInput{}, "MappingList": api.MappingList{}, "AppliedMapping": api.AppliedMapping{},
	"DealerList": api.DealerList{}, "DealerTable": api.DealerTable{}, "TriggerList": api.TriggerList{}, "BindingList": api.BindingList{}, "FigureList": api.FigureList{}, "TriggerKindList": api.TriggerKindList{}, "LetterList": api.LetterList{}, "LetterboxList": api.LetterboxList{}, "Letter": letterbox.Kept{}, "Redriven": api.Redriven{}, "Purged": api.Purged{},
	"Capture": capture.Capture{}, "CaptureSpec": tap.Spec{}, "CapturedEvent": tap.Event{}, "CaptureList": api.CaptureList{}, "Replayed": api.Replayed{},
	"TemplateList": api.TemplateList{}, "Beginning": api.Beginning{}, "SourceList": api.SourceList{}, "SignInDoor": api.SignInDoor{}, "SignInCode": api.SignInCode{}, "SignedIn": api.SignedIn{},
	"BuildEvent": api.BuildEvent{}, "Problem": problem.Problem{}, "Version": versionAnswer{}, "Health": healthAnswer{},
	"Caller": api.Caller{}, "TokenInput": api.TokenInput{}, "CreatedToken": api.CreatedToken{}, "TokenList": api.TokenList{},
	"Secret": secret.Secret{}, "SecretInput": api.SecretInput{}, "SecretList": api.SecretList{}, "AuditList": api.AuditList{}, "Rotated": api.Rotated{},
}

// sources are the directories of the packages whose comments describe fields.
var sources = []string{"..", "../../apply", "../../access", "../../audit", "../../secret", "../../history", "../../problem", "../../capture", "../../../processor/tap", "../../../function", "../../../binding/host", "../../../trigger", "../../../trigger/letter", "../../../trigger/letterbox", "../../../build", "../../../build/files", "."}

// schemas makes the schemas of all objects, by name.
func schemas(t *testing.T) map[string]any {
	t.Helper()
	said := comments(t)
	out := map[string]any{}
	for name, v := range objects {
		r := generate.Reflector{
			Anonymous: true, Mapper: mapped,
			Namer: func(rt reflect.Type) string { return typeName(rt) },
			LookupComment: func(rt reflect.Type, field string) string {
				if field != "" {
					return said[base(rt)+"."+field]
				}
				return said[base(rt)]
			},
		}
		s := r.Reflect(v)
		for def, schema := range s.Definitions {
			out[def] = plain(t, schema)
		}
		if typeName(reflect.TypeOf(v)) != name {
			t.Fatalf("the schema of %T is called %s, not %s", v, typeName(reflect.TypeOf(v)), name)
		}
	}
	out["AsyncAPIDocument"] = map[string]any{"type": "object", "required": []any{"asyncapi", "info", "channels", "operations"}}
	out["JSONSchema"] = map[string]any{"type": "object", "required": []any{"$schema", "$defs", "properties"}}
	out["Document"] = map[string]any{"type": "object", "required": []any{"openapi", "info", "paths"}}
	return out
}

func base(rt reflect.Type) string {
	name, _, _ := strings.Cut(rt.Name(), "[")
	return name
}

// typeName tells apart what several packages call the same.
func typeName(rt reflect.Type) string {
	for name, v := range objects {
		if reflect.TypeOf(v) == rt {
			return name
		}
	}
	name := base(rt)
	if name == "" {
		return ""
	}
	switch rt {
	case reflect.TypeFor[letter.Event](), reflect.TypeFor[letterbox.Problem]():
		return "Letter" + name
	case reflect.TypeFor[apply.Change]():
		return name
	}
	if strings.HasSuffix(rt.PkgPath(), "/trigger") {
		return "Trigger" + name
	}
	if _, part, ok := strings.Cut(rt.PkgPath(), "/binding/"); ok && part != "host" {
		return "Binding" + strings.ToUpper(part[:1]) + part[1:] + name
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// plain turns a schema into a tree whose references are those of the document.
func plain(t *testing.T, s *generate.Schema) any {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(b), "#/$defs/", "#/components/schemas/")), &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

func mapped(rt reflect.Type) *generate.Schema {
	switch rt {
	case reflect.TypeFor[quantity.Duration](), reflect.TypeFor[quantity.Size](), reflect.TypeFor[letter.Bytes]():
		if rt == reflect.TypeFor[letter.Bytes]() {
			return &generate.Schema{Description: "Text, or bytes in base64."}
		}
		return &generate.Schema{Type: "string"}
	case reflect.TypeFor[access.Role]():
		return &generate.Schema{Type: "string", Enum: []any{"viewer", "developer", "operator", "admin"}}
	case reflect.TypeFor[quantity.Amount]():
		return &generate.Schema{AnyOf: []*generate.Schema{{Type: "string"}, {Type: "number"}}}
	case reflect.TypeFor[quantity.Secret]():
		return &generate.Schema{Type: "string", Format: "password"}
	}
	return nil
}

// comments returns what the packages say of their structs and fields.
func comments(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, dir := range sources {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(names) == 0 {
			t.Fatalf("no sources in %s: %v", dir, err)
		}
		for _, name := range names {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if gen, ok := n.(*ast.GenDecl); ok {
					describe(gen, out)
				}
				return true
			})
		}
	}
	return out
}

func describe(gen *ast.GenDecl, out map[string]string) {
	for _, spec := range gen.Specs {
		ts, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		out[ts.Name.Name] = oneLine(gen.Doc)
		st, ok := ts.Type.(*ast.StructType)
		if !ok {
			continue
		}
		for _, f := range st.Fields.List {
			for _, id := range f.Names {
				text := oneLine(f.Doc)
				if text == "" {
					text = oneLine(f.Comment)
				}
				out[ts.Name.Name+"."+id.Name] = text
			}
		}
	}
}

func oneLine(doc *ast.CommentGroup) string { return strings.Join(strings.Fields(doc.Text()), " ") }
