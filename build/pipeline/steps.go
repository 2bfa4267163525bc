package pipeline

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/build/dockerfile"
)

// steps are what an image of the function needs beside what the language's builder
// makes. Where no images are made there are none.
type steps struct {
	plan  dockerfile.Plan
	doAll func(ctx context.Context, a build.Artefact, log io.Writer) error
	anew  bool
}

// steps says what of src is for its image.
func (p *Pipeline) steps(builder build.Builder, src build.Source, log io.Writer) (steps, error) {
	b := src.Config.Spec.Build
	if p.o.Steps == nil {
		return steps{}, processOnly(src, log)
	}
	takes := func([]string) bool { return false }
	if c, ok := builder.(build.Commander); ok {
		takes = c.Takes
	}
	plan, err := dockerfile.Read(b, takes)
	if err != nil {
		return steps{}, err
	}
	if plan.Needs() && src.Architecture != "" && src.Architecture != runtime.GOARCH {
		return steps{}, &build.Error{Msg: "spec.build: the steps of an image are run for this machine only: build this one on a machine of " + src.Architecture}
	}
	for _, note := range plan.Notes {
		fmt.Fprintf(log, "note: %s\n", note)
	}
	return steps{plan, p.o.Steps, b.NoCache && plan.Needs()}, nil
}

// processOnly refuses what only an image can have, where none is made. An image to
// stand on changes nothing about a process.
func processOnly(src build.Source, log io.Writer) error {
	b := src.Config.Spec.Build
	switch {
	case b.Dockerfile != "":
		return &build.Error{Msg: "spec.build.dockerfile needs the build of a container image, " + build.HowImage}
	case len(b.Commands) == 0 && len(b.Directives["preCopy"])+len(b.Directives["postCopy"]) > 0:
		return &build.Error{Msg: "spec.build.directives need the build of a container image, " + build.HowImage}
	case b.BaseImage != "":
		fmt.Fprintf(log, "note: spec.build.baseImage is left out: the function is built to run as a process\n")
	}
	return nil
}

// inputs adds what has an artefact made anew although nothing has changed.
func (s steps) inputs(of []string) []string {
	if s.anew {
		return append(of, "steps "+rand.Text())
	}
	return of
}

// run has the steps run.
func (s steps) run(ctx context.Context, a build.Artefact, log io.Writer) error {
	if !s.plan.Needs() {
		return nil
	}
	return s.doAll(ctx, a, log)
}

// fill makes the files of the artefact.
func (j job) fill(ctx context.Context, out string, log io.Writer) (build.Result, error) {
	if j.steps.plan.Files() {
		if err := os.CopyFS(filepath.Join(out, artefact.ContextDir), os.DirFS(j.src.Dir)); err != nil {
			return build.Result{}, fmt.Errorf("copy sources: %w", err)
		}
	}
	src := j.src
	if j.steps.plan.Commands {
		src.Config.Spec.Build.Commands = nil
	}
	result, err := j.builder.Build(ctx, src, out, log)
	result.Steps = j.steps.plan.Commands
	return result, err
}
