package manifest

import (
	"fmt"
	"strings"
	"testing"
)

const exportedOne = `metadata:
  name: greet
  namespace: nuclio
  labels: {nuclio.io/project-name: shop}
spec:
  handler: main:handler
  runtime: python:3.9
  image: localhost:5000/greet:latest
  someday: {deep: 1}
  triggers:
    web: {kind: http, maxWorkers: 2, nothingKnown: true}
status: {state: ready, logs: [{message: x}]}
`

func told(t *testing.T, name, text string) string {
	t.Helper()
	out, ok, err := ReadExport(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, o := range out {
		fmt.Fprintf(&b, "%s %s taken=%v %s\n", o.Kind, o.Name, o.JSON != nil, strings.Join(o.Notes, "; "))
	}
	return fmt.Sprintf("%v\n%s", ok, b.String())
}

// What nuctl writes is told from our documents, in each of its four forms.
func TestReadExport(t *testing.T) {
	one := "Function greet taken=true spec.someday: is not known here and was left out; spec.triggers.web.nothingKnown: is not known here and was left out; " +
		"spec.image: localhost:5000/greet:latest is a container image and its source is not in the export: deploy it with myelin run greet --path SOURCE\n"
	indented := strings.ReplaceAll("\n"+exportedOne, "\n", "\n    ")
	project := "project:\n  metadata: {name: shop, namespace: nuclio}\n  spec: {description: What sells}\nfunctions:\n  greet:" + indented + "\nfunctionEvents: {}\napiGateways:\n  front: {metadata: {name: front}, spec: {}}\n"
	all := "Project shop taken=true \n" + one + "APIGateway front taken=false declare its host and path as an EventMapping of kind http\n"
	for name, c := range map[string]struct{ text, want string }{
		"a function":         {exportedOne, "true\n" + one},
		"functions":          {"greet:" + indented, "true\n" + one},
		"a project":          {project, "true\n" + all},
		"projects":           {"shop:" + strings.ReplaceAll("\n"+project, "\n", "\n  "), "true\n" + all},
		"our document":       {"kind: Project\nmetadata: {name: p}\nspec: {}\n", "false\n"},
		"something else":     {"a: {b: 1}\n", "false\n"},
		"nothing":            {"", "false\n"},
		"a text":             {"hello\n", "false\n"},
		"a wrong function":   {"metadata: {name: x}\nspec: {handler: [1]}\n", "true\nFunction x taken=false spec.handler: expected text, got a list\n"},
		"not even an object": {"metadata: 1\nspec: 2\n", "true\nFunction  taken=false "},
	} {
		if got := told(t, "export.yaml", c.text); got != c.want && (name != "not even an object" || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
		}
	}
}
