package archtest

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// far are libraries of platforms and registries. What runs beside every function is to
// be small, and has none of them.
var far = []string{"k8s.io/", "github.com/moby/", "github.com/google/go-containerregistry/"}

// TestProcessorsAreSmall: a processor imports, however indirectly, no library of a
// platform.
func TestProcessorsAreSmall(t *testing.T) {
	for _, library := range far {
		if reaches(t, "cmd/myelin", library) == "" {
			t.Errorf("the command line has nothing of %s: this test finds nothing", library)
		}
		for _, program := range []string{"cmd/processor", "processor/program", "runtime/native"} {
			if by := reaches(t, program, library); by != "" {
				t.Errorf("%s has %s, by %s", program, library, by)
			}
		}
	}
}

// reaches names the package by which another has a library; "" if it has not.
func reaches(t *testing.T, pkg, library string) string {
	t.Helper()
	seen, todo := map[string]bool{pkg: true}, []string{pkg}
	for len(todo) > 0 {
		at := todo[0]
		todo = todo[1:]
		for _, path := range importsOf(t, at) {
			if strings.HasPrefix(path, library) {
				return at
			}
			if dep, ours := strings.CutPrefix(path, module); ours && !seen[dep] {
				seen[dep] = true
				todo = append(todo, dep)
			}
		}
	}
	return ""
}

func importsOf(t *testing.T, pkg string) (paths []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", pkg, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("package %s: %d files, %v", pkg, len(files), err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, path)
		}
	}
	return paths
}
