package pipeline

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/build/shell"
	"github.com/myelin-run/myelin/function"
)

func script(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hello.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Where no images are made what only they have is refused, with what to do; an image
// to stand on is noted.
func TestNoImages(t *testing.T) {
	p := New(Options{Data: t.TempDir(), Builders: map[string]build.Builder{"shell": shell.New()}})
	for name, b := range map[string]function.Build{
		"commands":   {Commands: []string{"apt-get install -y x"}},
		"dockerfile": {Dockerfile: "Dockerfile"},
		"directives": {NuclioBuild: function.NuclioBuild{Directives: map[string][]function.Directive{"preCopy": {{Kind: "RUN", Value: "x"}}}}},
	} {
		_, _, err := p.Build(t.Context(), Request{Path: script(t), Overrides: function.Config{Spec: function.Spec{Build: b}}}, io.Discard)
		if !IsMistake(err) || !strings.Contains(err.Error(), "spec.build."+name) || !strings.Contains(err.Error(), "--platform docker") {
			t.Errorf("%s: %v", name, err)
		}
	}
	var log bytes.Buffer
	b := function.Build{NuclioBuild: function.NuclioBuild{BaseImage: "debian:12"}}
	if _, _, err := p.Build(t.Context(), Request{Path: script(t), Overrides: function.Config{Spec: function.Spec{Build: b}}}, &log); err != nil || !strings.Contains(log.String(), "note: spec.build.baseImage is left out") {
		t.Errorf("%v: %s", err, log.String())
	}
}

// Commands that are steps are not the language's builder's; steps that take files
// find the sources in the artefact; they are run again as long as they fail.
func TestStepsOfImages(t *testing.T) {
	var ran []build.Artefact
	fails := errors.New("step 1 fails")
	p := New(Options{Data: t.TempDir(), Builders: map[string]build.Builder{"shell": shell.New()}, Steps: func(_ context.Context, a build.Artefact, _ io.Writer) error {
		ran = append(ran, a)
		if len(ran) == 1 {
			return fails
		}
		return nil
	}})
	r := Request{Path: script(t), Overrides: function.Config{Spec: function.Spec{Build: function.Build{Commands: []string{"apt-get install -y x"}}}}}
	if _, _, err := p.Build(t.Context(), r, io.Discard); !errors.Is(err, fails) {
		t.Errorf("%v", err)
	}
	a, cached, err := p.Build(t.Context(), r, io.Discard)
	if err != nil || !cached || !a.Steps || len(ran) != 2 || ran[1].Digest != a.Digest || len(ran[1].Config.Spec.Build.Commands) != 1 {
		t.Errorf("%v, %+v, %d runs", err, a, len(ran))
	}
	if stored, err := p.Store().Get(a.Digest); err != nil || !stored.Steps || len(stored.Config.Spec.Build.Commands) != 1 {
		t.Errorf("%+v, %v", stored, err)
	}
	r.Overrides.Spec.Build.Commands, r.Overrides.Spec.Build.NoCache = nil, true
	r.Overrides.Spec.Build.Directives = map[string][]function.Directive{"preCopy": {{Kind: "COPY", Value: "hello.sh /hello"}}}
	if a, _, err = p.Build(t.Context(), r, io.Discard); err != nil || a.Steps {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, err := os.Stat(filepath.Join(a.Dir, artefact.ContextDir, "hello.sh")); err != nil {
		t.Error(err)
	}
	if again, _, err := p.Build(t.Context(), r, io.Discard); err != nil || again.Digest == a.Digest {
		t.Errorf("noCache made the same artefact: %v", err)
	}
}
