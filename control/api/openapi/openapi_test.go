package openapi_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/document"
)

var update = flag.Bool("update", false, "write openapi.json and the reference anew")

// written is what paths.yaml says.
type written struct {
	Info       map[string]string    `json:"info"`
	Parameters map[string]parameter `json:"parameters"`
	Operations map[string]operation `json:"operations"`
}

type parameter struct {
	In     string          `json:"in"`
	Named  string          `json:"named"` // default: its key
	About  string          `json:"about"`
	Schema json.RawMessage `json:"schema"`
}

type operation struct {
	ID         string            `json:"id"`
	Summary    string            `json:"summary"`
	About      string            `json:"about"`
	Parameters []string          `json:"parameters"`
	Body       string            `json:"body"` // a schema
	BodyType   string            `json:"bodyType"`
	Form       map[string]string `json:"form"`    // parts of a multipart body: a schema, or binary
	Answers    map[string]string `json:"answers"` // by status: a schema, a media type, or nothing
	Events     string            `json:"events"`  // the schema of the objects of a watch
	Lines      string            `json:"lines"`   // the schema of the lines of an answer
	Problems   []int             `json:"problems"`
	AnyMethod  bool              `json:"anyMethod"`
}

func paths(t *testing.T) written {
	t.Helper()
	text, err := os.ReadFile("paths.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := document.Parse("paths.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	var w written
	if err := doc.Decode(&w); err != nil {
		t.Fatal(err)
	}
	return w
}

type object = map[string]any

// make the document of what is written and of the types.
func made(t *testing.T) []byte {
	t.Helper()
	w := paths(t)
	known := schemas(t)
	items := object{}
	for _, route := range slices.Sorted(maps.Keys(w.Operations)) {
		op := w.Operations[route]
		method, path, _ := strings.Cut(route, " ")
		item, _ := items[path].(object)
		if item == nil {
			item = object{}
			items[path] = item
		}
		methods := []string{method}
		if op.AnyMethod {
			methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
		}
		for _, m := range methods {
			item[strings.ToLower(m)] = w.operation(t, op, m, path, known)
		}
	}
	parameters := object{}
	for key, p := range w.Parameters {
		parameters[key] = object{"name": p.name(key), "in": p.In, "description": p.About, "schema": p.Schema, "required": p.In == "path"}
	}
	doc := object{
		"openapi": "3.1.0", "info": w.Info, "paths": items,
		"components": object{"schemas": known, "parameters": parameters},
	}
	out, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

func (p parameter) name(key string) string {
	if p.Named != "" {
		return p.Named
	}
	return key
}

func (w written) operation(t *testing.T, op operation, method, path string, known map[string]any) object {
	t.Helper()
	id := op.ID
	if op.AnyMethod {
		id += strings.ToUpper(method[:1]) + strings.ToLower(method[1:])
	}
	var refs []any
	for _, key := range op.Parameters {
		p, ok := w.Parameters[key]
		if !ok {
			t.Fatalf("%s names the parameter %s, which is not there", op.ID, key)
		}
		if p.In == "path" && !strings.Contains(path, "{"+p.name(key)+"}") {
			t.Errorf("%s has no {%s} in %s", op.ID, key, path)
		}
		refs = append(refs, object{"$ref": "#/components/parameters/" + key})
	}
	out := object{
		"operationId": id, "summary": op.Summary, "parameters": refs,
		"tags": []string{strings.Split(strings.TrimPrefix(path, "/api/v1/"), "/")[0]}, "responses": op.responses(t, known),
	}
	if op.About != "" {
		out["description"] = op.About
	}
	if op.AnyMethod {
		out["x-any-query"] = true
	}
	if body := op.body(t, known); body != nil {
		out["requestBody"] = body
	}
	return out
}

func ref(t *testing.T, known map[string]any, name string) object {
	t.Helper()
	if known[name] == nil {
		t.Fatalf("there is no schema %s", name)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

func (op operation) body(t *testing.T, known map[string]any) object {
	t.Helper()
	if op.Form != nil {
		parts := object{}
		for name, schema := range op.Form {
			parts[name] = object{"type": "string", "contentMediaType": "application/gzip"}
			if schema != "binary" {
				parts[name] = ref(t, known, schema)
			}
		}
		return object{"required": true, "content": object{"multipart/form-data": object{"schema": object{"type": "object", "properties": parts}}}}
	}
	if op.Body == "" {
		return nil
	}
	schema := object{"schema": ref(t, known, op.Body)}
	content := object{"application/json": schema}
	if op.BodyType != "" {
		content[op.BodyType] = schema
	}
	return object{"required": true, "content": content}
}

// common are the problems that any operation may have.
var common = []int{400, 401, 403, 404, 408, 429, 500, 503}

func (op operation) responses(t *testing.T, known map[string]any) object {
	t.Helper()
	out := object{}
	for _, status := range slices.Concat(common, op.Problems) {
		out[fmt.Sprint(status)] = object{"description": http.StatusText(status), "content": object{"application/problem+json": object{"schema": ref(t, known, "Problem")}}}
	}
	for status, what := range op.Answers {
		content := object{}
		answer := object{"description": text(status)}
		switch {
		case what == "":
		case strings.Contains(what, "/"):
			content[what] = object{"schema": object{"type": "string"}}
		default:
			content["application/json"] = object{"schema": ref(t, known, what)}
			if p, ok := known[what].(map[string]any)["properties"].(map[string]any); ok && (p["metadata"] != nil || p["object"] != nil) {
				answer["headers"] = object{"ETag": object{"description": "The version of the object, in quotes.", "schema": object{"type": "string"}}}
			}
		}
		if op.Events != "" {
			content["text/event-stream"] = object{"schema": eventSchema(), "x-event-data": ref(t, known, op.Events)}
		}
		if len(content) > 0 {
			answer["content"] = content
		}
		out[status] = answer
	}
	if op.Lines != "" {
		out["200"] = object{"description": "OK", "content": object{"application/x-ndjson": object{"schema": object{"type": "string"}, "x-line": ref(t, known, op.Lines)}}}
	}
	if op.AnyMethod {
		out["default"] = object{"description": "What the function answered"}
	}
	return out
}

// eventSchema is what each event of a watch is. The data of put and delete is
// an object as x-event-data says.
func eventSchema() object {
	return object{"type": "object", "required": []string{"event", "data"}, "properties": object{
		"event": object{"enum": []string{"put", "delete", "synced", "reset"}},
		"id":    object{"type": "string"}, "data": object{"type": "string"},
	}}
}

func text(status string) string {
	var n int
	_, _ = fmt.Sscan(status, &n)
	return http.StatusText(n)
}

// openapi.json is what paths.yaml and the types say.
func TestDocumentIsFresh(t *testing.T) {
	golden(t, "openapi.json", string(made(t)), "go test ./control/api/openapi -update")
}

func golden(t *testing.T, file, got, how string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not fresh (%s writes it); -want +got:\n%s", file, how, diff)
	}
}
