// Package templates holds the functions that `myelin new` begins with: for each
// runtime and trigger a working function with its configuration, a README and a
// test. It knows nothing of how they are built or run.
package templates

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

//go:embed all:files
var files embed.FS

// Template is one beginning.
type Template struct {
	Runtime, Trigger string
	Summary          string
	Test             string // the command that tests it
}

// All lists the templates.
func All() []Template {
	var out []Template
	for _, r := range []struct{ name, test string }{{"go", "go test"}, {"python", "python3 -m unittest"}, {"nodejs", "node --test"}, {"java", "sh test.sh"}, {"shell", "sh test.sh"}, {"c", "sh test.sh"}} {
		out = append(out,
			Template{r.name, "http", "answers requests with a greeting", r.test},
			Template{r.name, "cron", "runs every ten seconds", r.test})
		if r.name == "go" || r.name == "python" {
			out = append(out, Template{r.name, "kafka", "runs on the records of a topic", r.test})
		}
	}
	return out
}

// Runtimes lists the runtimes that have templates.
func Runtimes() []string { return names(func(t Template) string { return t.Runtime }) }

// Triggers lists the triggers that have templates.
func Triggers() []string { return names(func(t Template) string { return t.Trigger }) }

func names(of func(Template) string) (out []string) {
	for _, t := range All() {
		if n := of(t); !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// Find returns the template for a runtime and a trigger.
func Find(runtime, trigger string) (Template, bool) {
	switch runtime {
	case "golang":
		runtime = "go"
	case "node", "javascript", "js":
		runtime = "nodejs"
	}
	i := slices.IndexFunc(All(), func(t Template) bool { return t.Runtime == runtime && t.Trigger == trigger })
	if i < 0 {
		return Template{}, false
	}
	return All()[i], true
}

// Values fill the places that templates leave open.
type Values struct {
	Name      string // of the function, a DNS label
	GoVersion string // for go.mod, such as "1.26"
}

var notIdentifier = regexp.MustCompile(`[^a-z0-9]+`)

// Package is the name as a Go package has it.
func (v Values) Package() string {
	s := notIdentifier.ReplaceAllString(strings.ToLower(v.Name), "")
	if s == "" || s[0] <= '9' || s == "main" {
		return "function"
	}
	return s
}

// Module is the name as a Go module has it.
func (v Values) Module() string { return v.Name }

// ErrExists says that the directory is there already.
var ErrExists = errors.New("is there already")

// Write makes the directory dir with the template's files, all or nothing, and
// returns their names. A directory that is there is left alone: [ErrExists].
func (t Template) Write(dir string, v Values) ([]string, error) {
	if _, err := os.Lstat(dir); err == nil {
		return nil, fmt.Errorf("%s %w", dir, ErrExists)
	}
	parent := filepath.Dir(filepath.Clean(dir))
	tmp, err := os.MkdirTemp(parent, ".myelin-new-")
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", dir, err)
	}
	defer os.RemoveAll(tmp)
	written, err := t.fill(tmp, v)
	if err == nil {
		err = os.Chmod(tmp, 0o755)
	}
	if err == nil {
		err = os.Rename(tmp, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", dir, err)
	}
	return written, nil
}

func (t Template) fill(dir string, v Values) (written []string, err error) {
	from := "files/" + t.Runtime + "-" + t.Trigger
	entries, err := fs.ReadDir(files, from)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		text, err := filled(from+"/"+e.Name(), v)
		if err != nil {
			return nil, err
		}
		name, mode := strings.TrimSuffix(e.Name(), ".tmpl"), fs.FileMode(0o644)
		if strings.HasSuffix(name, ".sh") {
			mode = 0o755
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			return nil, err
		}
		written = append(written, name)
	}
	return written, nil
}
