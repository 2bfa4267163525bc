package templates

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/function"
)

func TestEveryTemplateIsComplete(t *testing.T) {
	for _, tmpl := range All() {
		dir := filepath.Join(t.TempDir(), "my-function")
		files, err := tmpl.Write(dir, Values{Name: "my-function", GoVersion: "1.26"})
		if err != nil {
			t.Fatalf("%s %s: %v", tmpl.Runtime, tmpl.Trigger, err)
		}
		if len(files) < 4 {
			t.Errorf("%s %s: only %q", tmpl.Runtime, tmpl.Trigger, files)
		}
		text, err := os.ReadFile(filepath.Join(dir, "function.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		l, err := function.Parse("function.yaml", text)
		if err != nil {
			t.Fatal(err)
		}
		function.Defaults(&l.Config)
		if err := l.Validate(); err != nil || l.Config.Metadata.Name != "my-function" {
			t.Errorf("%s %s: %q, %v", tmpl.Runtime, tmpl.Trigger, l.Config.Metadata.Name, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "README.md")); err != nil {
			t.Error(err)
		}
		if got, ok := Find(tmpl.Runtime, tmpl.Trigger); !ok || got != tmpl {
			t.Errorf("%s %s is not found", tmpl.Runtime, tmpl.Trigger)
		}
	}
}

func TestEveryTemplateIsOneFileToo(t *testing.T) {
	for _, tmpl := range All() {
		one, err := tmpl.One(Values{Name: "my-function"})
		if err != nil {
			t.Errorf("%s %s: %v", tmpl.Runtime, tmpl.Trigger, err)
			continue
		}
		l, err := function.Parse("function.yaml", []byte(one.Config))
		if err != nil || l.Config.Metadata.Name != "my-function" {
			t.Errorf("%s %s: %q, %v", tmpl.Runtime, tmpl.Trigger, l.Config.Metadata.Name, err)
		}
		if !strings.HasPrefix(strings.ToLower(one.File), "main.") || strings.Contains(one.Code, "{{") || strings.Contains(one.Code, "unittest") {
			t.Errorf("%s %s: %s\n%s", tmpl.Runtime, tmpl.Trigger, one.File, one.Code)
		}
		if tmpl.Runtime == "java" && strings.Count(one.Code, "class ") < 2 {
			t.Errorf("a class is missing:\n%s", one.Code)
		}
	}
	if _, err := (Template{Runtime: "cobol", Trigger: "http"}).One(Values{Name: "x"}); err == nil {
		t.Error("no error")
	}
}

func TestWriteLeavesWhatIsThere(t *testing.T) {
	parent := t.TempDir()
	tmpl, _ := Find("python", "http")
	dir := filepath.Join(parent, "hello")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := tmpl.Write(dir, Values{Name: "hello"}); !errors.Is(err, ErrExists) {
		t.Errorf("got %v", err)
	}
	if _, err := tmpl.Write(filepath.Join(parent, "no", "such", "hello"), Values{Name: "hello"}); err == nil {
		t.Error("no error")
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
		t.Errorf("left %v, %v", entries, err)
	}
}

func TestPackageNames(t *testing.T) {
	for name, want := range map[string]string{"my-function": "myfunction", "9lives": "function", "main": "function", "a": "a"} {
		if got := (Values{Name: name}).Package(); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
