package manifest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func keys(docs []*Doc) string {
	var out []string
	for _, d := range docs {
		out = append(out, d.Key())
	}
	return strings.Join(out, ", ")
}

func TestReadOrdersAllKinds(t *testing.T) {
	dir := write(t, map[string]string{
		"a.yaml": "# only a comment\n---\napiVersion: myelin.run/v1\nkind: EventMapping\nmetadata: {name: m}\nspec: {function: f, source: {kind: cron}}\n---\n" +
			"kind: Function\napiVersion: myelin.run/v1\nmetadata: {name: f}\nspec: {handler: a:b}\n",
		"b.json":            `{"kind":"List","items":[{"kind":"Alias","metadata":{"name":"prod"},"spec":{"function":"f","versions":[{"version":1,"weight":100}]}},{"kind":"NuclioProject","apiVersion":"nuclio.io/v1","metadata":{"name":"shop"}}]}`,
		"package.json":      `{"name":"x"}`,
		"sub/function.yaml": "metadata: {name: g}\nspec: {handler: a:b}\n",
		"notes.txt":         "no document",
		"sub/.git/x.yaml":   "kind: Nothing\n",
	})
	docs, err := Read(Options{Paths: []string{dir}})
	if want := "Project /shop, Function /f, Alias /f:prod, EventMapping /m"; err != nil || keys(docs) != want {
		t.Errorf("got %s, %v", keys(docs), err)
	}
	docs, err = Read(Options{Paths: []string{dir}, Recursive: true, Namespace: "shop"})
	if want := "Project shop/shop, Function shop/f, Function shop/g, Alias shop/f:prod, EventMapping shop/m"; err != nil || keys(docs) != want {
		t.Errorf("got %s, %v", keys(docs), err)
	}
	docs, err = Read(Options{Paths: []string{"-"}, Input: strings.NewReader("--- {kind: Project, metadata: {name: p}}\n--- \nkind: Project\nmetadata: {name: q}\n")})
	if err != nil || keys(docs) != "Project /p, Project /q" || docs[1].Line != 4 {
		t.Errorf("got %s, %v", keys(docs), err)
	}
}

// Every mistake of every document is told with its line in the file.
func TestMistakesHaveTheirLines(t *testing.T) {
	dir := write(t, map[string]string{
		"a.yaml": "kind: Project\nmetadata: {name: p}\n---\nkind: Function\nmetadata:\n  name: f\nspec:\n  replcias: 2\n---\nkind: Functon\n---\nmetadata: {name: x}\n---\nkind: Project\nmetadata: {name: p}\n---\nkind: Project\nmetadata: {}\n",
		"b.json": "{\"kind\": \"List\", \"items\": [\n {\"kind\": \"Project\",\n  \"metadata\": {\"nam\": \"x\"}}]}",
		"c.yaml": "kind: Project\nmetadata: {name: c, namespace: other}\n",
	})
	_, err := Read(Options{Paths: []string{dir}, Namespace: "shop"})
	if err == nil {
		t.Fatal("nothing is told")
	}
	for _, want := range []string{
		"a.yaml:8: unknown field spec.replcias, did you mean replicas?",
		`a.yaml:10: kind: unknown value "Functon", did you mean "Function"?`,
		"kind: is required",
		"b.json:3: unknown field items[0].metadata.nam, did you mean name?",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s\n%v", want, err)
		}
	}
	dir = write(t, map[string]string{
		"a.yaml": "kind: Project\nmetadata: {name: p}\n---\nkind: Project\nmetadata: {name: p}\n---\nkind: Project\nmetadata: {}\n",
		"c.yaml": "kind: Project\nmetadata: {name: c, namespace: other}\n",
	})
	_, err = Read(Options{Paths: []string{dir}, Namespace: "shop"})
	for _, want := range []string{"is there twice, first at", "a.yaml:8: metadata.name: is required", `c.yaml:2: metadata.namespace: is "other"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s\n%v", want, err)
		}
	}
	for _, path := range []string{filepath.Join(dir, "none"), t.TempDir()} {
		if _, err := Read(Options{Paths: []string{path}}); err == nil || !strings.HasPrefix(err.Error(), "read "+path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
