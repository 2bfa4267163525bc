package golang

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"os"
	"path/filepath"
	"strings"
)

// writeAliases makes the modules that functions for Nuclio import: each has
// the exported names of a package of Myelin's and nothing of its own. It
// returns their directories by module path.
func writeAliases(sdk, work string) (map[string]string, error) {
	dirs := map[string]string{}
	for path, of := range map[string]string{nuclioPath: "sdk/nuclio", loggerPath: "sdk/nuclio/logger"} {
		dir := filepath.Join(work, "alias", filepath.Base(path))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
		text, err := aliasPackage(filepath.Join(sdk, of), modulePath+"/"+of)
		if err != nil {
			return nil, fmt.Errorf("generate %s: %w", path, err)
		}
		mod := fmt.Sprintf("module %s\n\ngo 1.24\n\nrequire %s v0.0.0\n", path, modulePath)
		for name, text := range map[string][]byte{"go.mod": []byte(mod), "alias.go": text} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
				return nil, fmt.Errorf("write %s: %w", path, err)
			}
		}
		dirs[path] = dir
	}
	return dirs, nil
}

// aliasPackage writes a package with the exported names of the one in dir.
func aliasPackage(dir, path string) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	name := ""
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		f, err := parse(token.NewFileSet(), file, text)
		if err != nil {
			return nil, err
		}
		name = f.Name.Name
		for _, d := range f.Decls {
			aliasDecl(&b, d)
		}
	}
	head := fmt.Sprintf("// Package %s has the names of %s.\npackage %s\n\nimport of %q\n\n", name, path, name, path)
	return format.Source(append([]byte(head), b.Bytes()...))
}

func aliasDecl(b *bytes.Buffer, d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil && d.Name.IsExported() {
			fmt.Fprintf(b, "var %[1]s = of.%[1]s\n", d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					fmt.Fprintf(b, "type %[1]s = of.%[1]s\n", s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() {
						fmt.Fprintf(b, "%[2]s %[1]s = of.%[1]s\n", n.Name, d.Tok)
					}
				}
			}
		}
	}
}
