package function

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	generate "github.com/invopop/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
)

const schemaFile = "../docs/reference/function-schema.json"

// comments returns the doc comments of the package's structs and their fields,
// by "Type" and "Type.Field".
func comments(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				ts, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				out[ts.Name.Name] = oneLine(gen.Doc)
				if st, ok := ts.Type.(*ast.StructType); ok {
					for _, f := range st.Fields.List {
						for _, id := range f.Names {
							out[ts.Name.Name+"."+id.Name] = oneLine(f.Doc)
						}
					}
				}
			}
		}
	}
	return out
}

func oneLine(doc *ast.CommentGroup) string { return strings.Join(strings.Fields(doc.Text()), " ") }

// schema generates the JSON schema of the documents that are read into v.
func schema(t *testing.T, v any, id, title string) []byte {
	t.Helper()
	said := comments(t)
	r := generate.Reflector{
		ExpandedStruct: true,
		Anonymous:      true,
		LookupComment: func(rt reflect.Type, field string) string {
			if field != "" {
				return said[rt.Name()+"."+field]
			}
			return said[rt.Name()]
		},
		Mapper: mapped,
	}
	s := r.Reflect(v)
	s.ID = generate.ID("https://myelin.run/schema/" + id + ".json")
	s.Title = title
	s.Required = nil
	for _, path := range exported {
		properties, name := s.Properties, path
		if field, ok := strings.CutPrefix(path, "metadata."); ok {
			properties, name = s.Definitions["Metadata"].Properties, field
		}
		properties.Set(name, &generate.Schema{Description: "Ignored: what an exported object says of itself."})
	}
	loosen(s)
	for name, values := range map[string][]any{"Trigger.explicitAckMode": {"", "enable", "disable", "explicitOnly"}, "Batch.mode": {"", "enable", "disable"},
		"Destination.kind": {"store", "topic", "function", "http", "broker", "stop", "drop"}, "Trigger.guarantee": {"", "atLeastOnce", "exactlyOnce"}, "Build.mode": {"", "neverBuild", "alwaysBuild"}} {
		if p := property(s, name); p != nil {
			p.Enum = values
		}
	}
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

// loosen allows numbers where the type takes any scalar as text.
func loosen(s *generate.Schema) {
	for _, name := range []string{"EnvVar.value", "Partition.id", "Weighted.version", "Rule.version", "Rule.value", "MappingSpec.version", "RolloutSpec.version"} {
		if p := property(s, name); p != nil {
			p.Type, p.AnyOf = "", []*generate.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}}
		}
	}
	for name, def := range s.Definitions {
		if name == "AliasSpec" || name == "RolloutSpec" || name == "MappingSpec" || name == "Weighted" || name == "Rule" {
			def.Required = nil // what may be left out of a part, Validate asks for
		}
	}
}

// property finds "Definition.field", nil if the schema has no such.
func property(s *generate.Schema, path string) *generate.Schema {
	def, field, _ := strings.Cut(path, ".")
	if s.Definitions[def] == nil {
		return nil
	}
	p, _ := s.Definitions[def].Properties.Get(field)
	return p
}

func mapped(t reflect.Type) *generate.Schema {
	switch t {
	case reflect.TypeFor[quantity.Duration]():
		return &generate.Schema{AnyOf: []*generate.Schema{
			{Type: "string", Pattern: `^$|^[-+]?(0|([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`, Examples: []any{"30s", "1h30m"}},
			{Const: 0},
		}}
	case reflect.TypeFor[quantity.Amount]():
		return &generate.Schema{AnyOf: []*generate.Schema{
			{Type: "string", Pattern: `^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+|[numkMGTPE]|Ki|Mi|Gi|Ti|Pi|Ei)?$`, Examples: []any{"500m", "128Mi"}},
			{Type: "number"},
		}}
	case reflect.TypeFor[quantity.Secret]():
		return &generate.Schema{Type: "string", Format: "password"}
	}
	return nil
}

// The schema in docs/reference is the one of the types.
func TestSchemaIsFresh(t *testing.T) {
	golden(t, schemaFile, string(schema(t, &Config{}, "function", "function.yaml")))
	golden(t, "../docs/reference/alias-schema.json", string(schema(t, &Alias{}, "alias", "Alias")))
	golden(t, "../docs/reference/mapping-schema.json", string(schema(t, &Mapping{}, "mapping", "EventMapping")))
	golden(t, "../docs/reference/rollout-schema.json", string(schema(t, &Rollout{}, "rollout", "Rollout")))
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("function.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("function.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validates(t *testing.T, s *jsonschema.Schema, file string) error {
	t.Helper()
	doc, err := document.Parse(file, read(t, file))
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(doc.JSON()))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(value)
}

// What Parse accepts the schema accepts, written by hand or by us.
func TestSchemaAccepts(t *testing.T) {
	s := compiled(t)
	for _, file := range append(validFiles(t), files(t, "testdata/valid/*.golden")...) {
		if err := validates(t, s, file); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// Mistakes of form the schema finds too; those of meaning only Validate can.
func TestSchemaRefuses(t *testing.T) {
	s := compiled(t)
	for _, name := range []string{"unknown-field", "types", "triggers", "text", "values"} {
		if validates(t, s, "testdata/wrong/"+name+".yaml") == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
