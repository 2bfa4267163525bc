package pipeline_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/build/shell"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

const script = "#!/bin/sh\necho hi\n"

func newPipeline(data string) *pipeline.Pipeline {
	return pipeline.New(pipeline.Options{Data: data, Builders: map[string]build.Builder{"shell": shell.New(), "ruby": stuck{}}})
}

// stuck is a builder that does not end by itself.
type stuck struct{}

func (stuck) Inputs(context.Context, build.Source) ([]string, error) { return nil, nil }

func (stuck) Build(ctx context.Context, _ build.Source, out string, _ io.Writer) (build.Result, error) {
	err := os.WriteFile(filepath.Join(out, "half"), nil, 0o644)
	<-ctx.Done()
	return build.Result{}, errors.Join(err, context.Cause(ctx))
}

func put(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tidy checks that builds left nothing but want artefacts.
func tidy(t *testing.T, data string, want int) {
	t.Helper()
	for dir, n := range map[string]int{"build": 0, "artefacts": want} {
		if got, err := os.ReadDir(filepath.Join(data, dir)); len(got) != n && (n > 0 || err == nil) {
			t.Errorf("%s: %v %v", dir, got, err)
		}
	}
}

func TestBuildFromAnywhere(t *testing.T) {
	code := base64.StdEncoding.EncodeToString([]byte(script))
	spec := "metadata: {name: hi}\nspec:\n  runtime: shell\n  handler: hi.sh\n  build: {functionSourceCode: " + code + "}\n"
	dir := put(t, map[string]string{"hi.sh": script})
	inline := function.Config{Metadata: function.Metadata{Name: "hi"}, Spec: function.Spec{Runtime: "shell", Handler: "hi.sh", Build: function.Build{FunctionSourceCode: code}}}
	name := function.Config{Metadata: function.Metadata{Name: "hi"}}
	data := t.TempDir()
	p := newPipeline(data)
	for what, r := range map[string]pipeline.Request{
		"directory":      {Path: dir, Overrides: name},
		"file":           {Path: filepath.Join(dir, "hi.sh")},
		"inline":         {Overrides: inline},
		"yaml":           {Path: filepath.Join(put(t, map[string]string{"function.yaml": spec}), "function.yaml")},
		"yaml directory": {Path: put(t, map[string]string{"function.yaml": spec})},
	} {
		a, _, err := p.Build(t.Context(), r, t.Output())
		if err != nil || a.Config.Metadata.Name != "hi" || a.Config.Spec.Handler != "hi.sh" || a.Runtime != "shell" {
			t.Error(what, a, err)
			continue
		}
		if text, err := os.ReadFile(filepath.Join(a.Dir, "src", "hi.sh")); err != nil || string(text) != script {
			t.Error(what, text, err)
		}
	}
	tidy(t, data, 1) // the same function, wherever it comes from
}

// The artefact that is returned has the secrets that the one on disk has not,
// and a new secret builds nothing.
func TestSecretsStayOut(t *testing.T) {
	data := t.TempDir()
	p := newPipeline(data)
	dir := put(t, map[string]string{"hi.sh": script, "function.yaml": "spec:\n  triggers:\n    r: {kind: nats, password: hunter2}\n"})
	r := pipeline.Request{Path: dir, Overrides: function.Config{Metadata: function.Metadata{Name: "hi"}}}
	r.Overrides.Spec.Triggers = map[string]function.Trigger{"q": {Kind: "nats", Password: "hunter2"}}
	a, _, err := p.Build(t.Context(), r, t.Output())
	if err != nil || a.Config.Spec.Triggers["q"].Password != "hunter2" {
		t.Fatal(a.Config, err)
	}
	if _, err := os.Stat(filepath.Join(a.Dir, "src", "function.yaml")); err == nil {
		t.Error("the configuration is among the sources")
	}
	for _, file := range []string{"artefact.json", "function.yaml"} {
		if text, err := os.ReadFile(filepath.Join(a.Dir, file)); err != nil || strings.Contains(string(text), "hunter2") {
			t.Error(file, err)
		}
	}
	r.Overrides.Spec.Triggers = map[string]function.Trigger{"q": {Kind: "nats", Password: "other"}}
	if _, cached, err := p.Build(t.Context(), r, t.Output()); err != nil || !cached {
		t.Error(cached, err)
	}
}

func TestManyAtOnce(t *testing.T) {
	data := t.TempDir()
	same := put(t, map[string]string{"hi.sh": script})
	var wg sync.WaitGroup
	for i := range 12 {
		dir := same
		if i%2 == 1 {
			dir = put(t, map[string]string{"hi.sh": script + strings.Repeat("#", i)})
		}
		wg.Go(func() {
			// a pipeline each, as processes would have
			r := pipeline.Request{Path: dir, Overrides: function.Config{Metadata: function.Metadata{Name: "hi"}}}
			if _, _, err := newPipeline(data).Build(t.Context(), r, io.Discard); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	tidy(t, data, 7)
}

func TestMistakes(t *testing.T) {
	data := t.TempDir()
	p := newPipeline(data)
	for what, test := range map[string]struct {
		r    pipeline.Request
		want string
	}{
		"runtime":  {pipeline.Request{Path: put(t, map[string]string{"a.java": ""})}, `spec.runtime: cannot build "java" (known: ruby, shell)`},
		"name":     {pipeline.Request{Path: put(t, map[string]string{"a.sh": ""}), Overrides: function.Config{Metadata: function.Metadata{Name: "No Name"}}}, "metadata.name"},
		"reserved": {pipeline.Request{Path: put(t, map[string]string{"a.sh": ""}), Overrides: function.Config{Metadata: function.Metadata{Name: "dashboard"}}}, "reserved"},
		"foreign":  {pipeline.Request{Overrides: function.Config{Spec: function.Spec{Build: function.Build{Path: "/etc"}}}}, "not from the server's own files"},
		"none":     {pipeline.Request{}, "no sources"},
	} {
		_, _, err := p.Build(t.Context(), test.r, t.Output())
		var own *build.Error
		var spec document.Errors
		if !errors.As(err, &own) && !errors.As(err, &spec) || !pipeline.IsMistake(err) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", what, err, test.want)
		}
	}
	tidy(t, data, 0)
}

// Whoever knows an artefact's digest can read it; nobody else can list them
// or read sources.
func TestDirectoriesAreOpenAsFarAsNeeded(t *testing.T) {
	data := filepath.Join(t.TempDir(), "new", "data")
	r := pipeline.Request{Path: put(t, map[string]string{"hi.sh": script}), Overrides: function.Config{Metadata: function.Metadata{Name: "hi"}}}
	if _, _, err := newPipeline(data).Build(t.Context(), r, t.Output()); err != nil {
		t.Fatal(err)
	}
	for dir, mode := range map[string]os.FileMode{"": 0o755, "artefacts": 0o711, "build": 0o700} {
		if fi, err := os.Stat(filepath.Join(data, dir)); err != nil || fi.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", dir, fi.Mode(), err)
		}
	}
}

// A build that takes too long is stopped and leaves nothing.
func TestTimeLimit(t *testing.T) {
	data := t.TempDir()
	r := pipeline.Request{Path: put(t, map[string]string{"a.rb": ""})}
	r.Overrides.Metadata.Name, r.Overrides.Spec.Build.BuildTimeoutSeconds = "slow", 1
	_, _, err := newPipeline(data).Build(t.Context(), r, t.Output())
	if err == nil || !strings.Contains(err.Error(), "build slow: the build took longer than 1s (spec.build.buildTimeoutSeconds)") {
		t.Error(err)
	}
	tidy(t, data, 0)
}
