package templates

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"text/template"
)

// One is a template whose code is one file, for where a function is written
// rather than kept in a directory.
type One struct {
	Config string // its function.yaml
	File   string // name of the file of code
	Code   string
}

// sources are the endings of files of code.
var sources = []string{".py", ".js", ".go", ".java", ".c", ".sh"}

// One fills in the template. Of several files of code the one named main comes
// first, the others behind it; tests are left out.
func (t Template) One(v Values) (One, error) {
	var out One
	from := "files/" + t.Runtime + "-" + t.Trigger
	entries, err := fs.ReadDir(files, from)
	if err != nil {
		return out, err
	}
	isMain := func(e fs.DirEntry) bool { return strings.HasPrefix(strings.ToLower(e.Name()), "main.") }
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int {
		if isMain(a) != isMain(b) {
			if isMain(a) {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name(), b.Name())
	})
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".tmpl")
		code := slices.Contains(sources, path.Ext(name)) && !strings.Contains(strings.ToLower(name), "test")
		if !code && name != "function.yaml" {
			continue
		}
		text, err := filled(from+"/"+e.Name(), v)
		switch {
		case err != nil:
			return out, err
		case !code:
			out.Config = text
		case out.File == "":
			out.File, out.Code = name, text
		default:
			out.Code += "\n" + text
		}
	}
	if out.Config == "" || out.File == "" {
		return out, fmt.Errorf("template %s %s has no code or no configuration", t.Runtime, t.Trigger)
	}
	return out, nil
}

// filled is the text of a file of a template.
func filled(name string, v Values) (string, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return "", err
	}
	tmpl, err := template.New(path.Base(name)).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	err = tmpl.Execute(&b, v)
	return b.String(), err
}
