package examples_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/function"
)

// The shop greets, and its mappings send / to prod, and /beta to beta.
func TestMovesExample(t *testing.T) {
	a, _, err := builders(t).Build(t.Context(), pipeline.Request{Path: "moves-python"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post("http://"+serve(t, a)+"/", "text/plain", strings.NewReader("Ada"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "Welcome, Ada" {
		t.Errorf("%q, %v", b, err)
	}
	paths, err := filepath.Glob("moves-python/mappings/*.yaml")
	if err != nil || len(paths) != 3 {
		t.Fatalf("%v, %v", paths, err)
	}
	var table route.Table
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := function.ParseMapping(path, text)
		if err != nil {
			t.Fatal(err)
		}
		function.MappingDefaults(&m)
		if err := function.ValidateMapping(m); err != nil || m.Spec.Function != "shop" {
			t.Errorf("%s: %v", path, err)
		}
		if m.Spec.Source.Kind == "http" {
			r, err := route.Of(m)
			if err != nil {
				t.Fatal(err)
			}
			table.Routes = append(table.Routes, r)
		}
	}
	matcher := route.Compile(table)
	for path, want := range map[string]string{"/": "prod", "/basket": "prod", "/beta": "beta", "/beta/basket": "beta"} {
		if r := matcher.Find(route.Facts{Path: path}); r == nil || r.Target.Alias != want {
			t.Errorf("%s leads to %+v, want %s", path, r, want)
		}
	}
}
