package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/control/describe"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
)

// hidden stands in testdata/asyncapi wherever something secret is.
const hidden = "HIDDEN"

// Every kind of trigger and every binding that sends is described by a document
// that AsyncAPI's own schema takes, in which nothing is secret.
func TestAsyncAPI(t *testing.T) {
	valid := schema(t)
	f := described(t)
	parts := describe.Parts{Triggers: triggers, Streams: streams}
	text := conforms(t, valid, parts.Function(f))
	golden(t, "testdata/asyncapi/document.yaml", text)
	told := map[string]bool{"eventhub": true} // which makes no triggers
	for name, source := range f.Spec.Triggers {
		factory, err := triggers.Lookup(source.Kind)
		if err != nil {
			t.Fatal(err)
		}
		told[factory.Kind] = true
		m := function.Mapping{Metadata: function.Metadata{Name: name, Namespace: "shop"}, Spec: function.MappingSpec{Function: "orders", Source: source}}
		text := conforms(t, valid, parts.Mapping(m, f))
		if factory.Kind == "http" || factory.Kind == "eventhub" { // the attributes of a mapping of that kind are others; it makes no triggers
			continue
		}
		if !bytes.Contains(text, []byte(`"action":"receive"`)) {
			t.Errorf("%s is not described: %s", name, text)
		}
	}
	for _, kind := range triggers.Kinds() {
		if factory, err := triggers.Lookup(kind); err != nil || !told[factory.Kind] {
			t.Errorf("testdata/asyncapi/function.yaml has no trigger of the kind %s: %v", kind, err)
		}
	}
}

// A path of the gateway is described with the gateway; a source that is wrong, by
// what is wrong.
func TestAsyncAPIOfMappings(t *testing.T) {
	valid := schema(t)
	f := described(t)
	parts := describe.Parts{Triggers: triggers, Streams: streams}
	for name, c := range map[string]struct {
		source string
		of     function.Function
		want   []string
	}{
		"path":      {`{"kind":"http","attributes":{"path":"/beta","methods":["POST"]}}`, f, []string{`"address":"/beta"`, `"host":"127.0.0.1:8080"`, `"method":"POST"`}},
		"host":      {`{"kind":"http","attributes":{"host":"shop.example.com","exact":true,"path":"/"}}`, function.Function{}, []string{`"host":"shop.example.com"`, `"protocol":"http"`}},
		"nobody":    {`{"kind":"http"}`, function.Function{}, []string{`"address":"/"`, `"host":"{gateway}"`}},
		"misspelt":  {`{"kind":"kafka","url":"b:9092","attributes":{"topic":"a"}}`, f, []string{`"problem":"unknown field topic, did you mean topics?"`, `"operations":{}`}},
		"unknown":   {`{"kind":"pigeon"}`, f, []string{`unknown kind`}},
		"schemaful": {`{"kind":"cron","attributes":{"interval":"1m"},"annotations":{"myelin.run/payload-schema":"[]"}}`, f, []string{`the annotation myelin.run/payload-schema is no JSON schema`}},
	} {
		m := function.Mapping{Metadata: function.Metadata{Name: "orders-in", Namespace: "shop", ResourceVersion: "7"}, Spec: function.MappingSpec{Function: "orders"}}
		if err := json.Unmarshal([]byte(c.source), &m.Spec.Source); err != nil {
			t.Fatal(err)
		}
		text := string(conforms(t, valid, parts.Mapping(m, c.of)))
		for _, want := range append(c.want, `"version":"7"`) {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %s in %s", name, want, text)
			}
		}
	}
}

func described(t *testing.T) (f function.Function) {
	t.Helper()
	const name = "testdata/asyncapi/function.yaml"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := function.Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	f.Config = loaded.Config
	f.Status.URL, f.Status.Address = "http://127.0.0.1:8080/orders", "127.0.0.1:34567"
	return f
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	path, err := servers.AsyncAPISchema()
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if path, err = filepath.Abs(path); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// conforms checks a document by the schema, and by what the specification says
// beyond it: references lead somewhere, the messages of an operation are its
// channel's, and what stands in the braces of an address is a parameter.
func conforms(t *testing.T, valid *jsonschema.Schema, d *asyncapi.Document) []byte {
	t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := valid.Validate(tree); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	if bytes.Contains(text, []byte(hidden)) {
		t.Errorf("a secret is shown: %s", text)
	}
	doc := tree.(map[string]any)
	resolve(t, doc, doc)
	for id, c := range doc["channels"].(map[string]any) {
		channel := c.(map[string]any)
		address, _ := channel["address"].(string)
		var names []string
		for _, m := range regexp.MustCompile(`\{([^{}]*)\}`).FindAllStringSubmatch(address, -1) {
			names = append(names, m[1])
		}
		if channel["servers"] == nil {
			t.Errorf("channel %s names no server, and so is on all", id)
		}
		parameters, _ := channel["parameters"].(map[string]any)
		if slices.Sort(names); !slices.Equal(names, slices.Sorted(maps.Keys(parameters))) {
			t.Errorf("channel %s has the address %s and the parameters %v", id, address, parameters)
		}
	}
	for id, o := range doc["operations"].(map[string]any) {
		op := o.(map[string]any)
		belong(t, id, op)
		if reply, ok := op["reply"].(map[string]any); ok {
			belong(t, id, reply)
		}
	}
	return text
}

// belong says whether messages are those of the channel beside them.
func belong(t *testing.T, id string, o map[string]any) {
	t.Helper()
	channel := o["channel"].(map[string]any)["$ref"].(string)
	messages := o["messages"].([]any)
	for _, m := range messages {
		if ref := m.(map[string]any)["$ref"].(string); !strings.HasPrefix(ref, channel+"/messages/") {
			t.Errorf("operation %s: %s is no message of %s", id, ref, channel)
		}
	}
	if len(messages) == 0 {
		t.Errorf("operation %s has no messages", id)
	}
}

func resolve(t *testing.T, doc map[string]any, at any) {
	t.Helper()
	switch at := at.(type) {
	case map[string]any:
		if ref, ok := at["$ref"].(string); ok {
			var here any = doc
			for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
				next, _ := here.(map[string]any)
				here = next[step]
			}
			if here == nil {
				t.Errorf("%s leads nowhere", ref)
			}
		}
		for _, v := range at {
			resolve(t, doc, v)
		}
	case []any:
		for _, v := range at {
			resolve(t, doc, v)
		}
	}
}

func golden(t *testing.T, name string, text []byte) {
	t.Helper()
	got, err := document.YAML(text)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: go test ./cmd/myelin -run TestAsyncAPI -update\n%s", name, diff)
	}
}
