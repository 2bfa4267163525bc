// Package pipeline builds a function from wherever its sources are to an
// artefact in the local store: stage, find, digest, build, store. It knows no
// language; it is given the builders.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/build/files"
	"github.com/myelin-run/myelin/build/source"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// Options are what a pipeline is assembled from.
type Options struct {
	Data     string                   // the data directory
	Builders map[string]build.Builder // by runtime, without version: "golang"
	Stager   source.Stager
	Kept     *files.Store // where sources are kept for editors; nil: they are not
	// Steps runs the steps that an artefact's image needs, and keeps what they made
	// for who makes the image. Nil: no images are made here.
	Steps func(ctx context.Context, a build.Artefact, log io.Writer) error
	// Images says that what is built is run as images only.
	Images bool
}

// Pipeline builds functions. Any number of builds may run at once, in this
// process and in others.
type Pipeline struct {
	o     Options
	store *artefact.Store
}

// Keeping is p that keeps sources.
func (p *Pipeline) Keeping(in *files.Store) *Pipeline {
	o := p.o
	o.Kept = in
	return New(o)
}

// New makes a pipeline. It opens nothing.
func New(o Options) *Pipeline { return &Pipeline{o, artefact.New(o.Data)} }

// Store returns where the artefacts are.
func (p *Pipeline) Store() *artefact.Store { return p.store }

// Collect removes artefacts that nobody needs, as [artefact.Store.Collect]
// does, and what builders have kept for long without using it.
func (p *Pipeline) Collect(keep func(digest string) bool) error {
	errs := []error{p.store.Collect(keep)}
	for _, b := range p.o.Builders {
		if c, ok := b.(build.Collector); ok {
			errs = append(errs, c.Collect())
		}
	}
	return errors.Join(errs...)
}

// Request says what to build.
type Request struct {
	// Path is a file, directory or archive of this machine, or a URL; "": what
	// Overrides.Spec.Build says. It is the caller's own word: a path that
	// comes from elsewhere belongs into Overrides, where [source.Stager.Local]
	// decides.
	Path string
	// Overrides goes before what is configured beside the code.
	Overrides function.Config
	// Architecture is what the function shall run on; "" for this machine's.
	Architecture string
}

// Build returns the artefact for r; cached tells that it was there already.
// The artefact's configuration is complete but for defaults, and has the
// secrets that r has. Progress goes to log, a line at a time. A mistake in the
// function is a [*build.Error] or [document.Errors].
func (p *Pipeline) Build(ctx context.Context, r Request, log io.Writer) (a build.Artefact, cached bool, err error) {
	work, release, err := p.workDir()
	if err != nil {
		return a, false, err
	}
	defer release()
	src, err := p.prepare(ctx, r, work)
	if err != nil {
		return a, false, err
	}
	builder, err := p.builder(src.Config)
	if err != nil {
		return a, false, err
	}
	src.Architecture, src.Image = r.Architecture, p.o.Images
	if err := crosses(builder, src); err != nil {
		return a, false, err
	}
	steps, err := p.steps(builder, src, log)
	if err != nil {
		return a, false, err
	}
	inputs, err := builder.Inputs(ctx, src)
	if err != nil {
		return a, false, fmt.Errorf("build %s: %w", src.Config.Metadata.Name, err)
	}
	return p.make(ctx, job{builder, src, steps, steps.inputs(inputs)}, log)
}

// job is one build.
type job struct {
	builder build.Builder
	src     build.Source
	steps   steps
	inputs  []string // see [build.Builder]
}

func (p *Pipeline) make(ctx context.Context, j job, log io.Writer) (a build.Artefact, cached bool, err error) {
	src := j.src
	cfg := artefact.Portable(src.Config)
	name := cfg.Metadata.Name
	digest, err := artefact.Digest(src.Dir, cfg, j.inputs)
	if err != nil {
		return a, false, fmt.Errorf("build %s: %w", name, err)
	}
	var taken files.Taken
	if p.o.Kept != nil {
		if taken, err = files.Take(src.Dir); err != nil {
			return a, false, fmt.Errorf("build %s: %w", name, err)
		}
	}
	limit := time.Duration(src.Config.Spec.Build.BuildTimeoutSeconds) * time.Second
	if limit == 0 {
		limit = function.DefaultBuildSeconds * time.Second
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the build took longer than %s (spec.build.buildTimeoutSeconds)", limit))
	defer cancel()
	began := time.Now()
	a, cached, err = p.store.Make(digest, cfg, func(out string) (build.Result, error) {
		return j.fill(ctx, out, log)
	})
	if err == nil && p.o.Kept != nil {
		err = p.o.Kept.Keep(digest, taken)
	}
	if err == nil {
		a.Config = src.Config
		err = j.steps.run(ctx, a, log)
	}
	if err != nil {
		return a, false, fmt.Errorf("build %s: %w", name, err)
	}
	if cached {
		fmt.Fprintf(log, "%s is unchanged: %s\n", name, digest[:12])
	} else {
		fmt.Fprintf(log, "built %s in %s: %s\n", name, time.Since(began).Round(10*time.Millisecond), digest[:12])
	}
	return a, cached, nil
}

// Inspect returns the configuration that [Pipeline.Build] would build with.
func (p *Pipeline) Inspect(ctx context.Context, r Request) (function.Config, error) {
	work, release, err := p.workDir()
	if err != nil {
		return function.Config{}, err
	}
	defer release()
	src, err := p.prepare(ctx, r, work)
	return src.Config, err
}

// workDir makes a directory of this build's own.
func (p *Pipeline) workDir() (dir string, release func(), err error) {
	data, err := filepath.Abs(p.o.Data)
	if err != nil {
		return "", nil, err
	}
	// Functions of other users reach their artefacts through data, and have no
	// business in the sources of others.
	parent := filepath.Join(data, "build")
	if err := errors.Join(os.MkdirAll(data, 0o755), os.MkdirAll(parent, 0o700)); err != nil {
		return "", nil, fmt.Errorf("create build directory: %w", err)
	}
	// Tools that ask where they are get the path without links.
	if parent, err = filepath.EvalSymlinks(parent); err != nil {
		return "", nil, fmt.Errorf("create build directory: %w", err)
	}
	if dir, release, err = artefact.WorkDir(parent); err != nil {
		return "", nil, fmt.Errorf("create build directory: %w", err)
	}
	return dir, release, nil
}

// prepare stages the sources, and reads and checks their configuration.
func (p *Pipeline) prepare(ctx context.Context, r Request, work string) (build.Source, error) {
	src, err := p.stage(ctx, r, work)
	if err != nil {
		return src, err
	}
	complete := src.Config
	function.Defaults(&complete)
	return src, function.Validate(complete)
}

func (p *Pipeline) stage(ctx context.Context, r Request, work string) (src build.Source, err error) {
	stager, ref := p.o.Stager, source.Ref{Path: r.Path}
	if r.Path == "" {
		if ref, err = source.FromConfig(r.Overrides); err != nil {
			return src, err
		}
	} else {
		stager.Local = true
	}
	dir := filepath.Join(work, "source")
	name, err := stageInto(ctx, stager, ref, dir)
	if err != nil {
		return src, err
	}
	over, elsewhere, err := source.Elsewhere(dir, r.Overrides)
	if err != nil {
		return src, err
	}
	if elsewhere {
		if ref, err = source.FromConfig(over); err != nil {
			return src, err
		}
		dir = filepath.Join(work, "elsewhere")
		if _, err := stageInto(ctx, p.o.Stager, ref, dir); err != nil {
			return src, err
		}
	}
	return source.Find(dir, name, over)
}

func stageInto(ctx context.Context, s source.Stager, ref source.Ref, dir string) (string, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("stage sources: %w", err)
	}
	return s.Stage(ctx, ref, dir)
}

func (p *Pipeline) builder(cfg function.Config) (build.Builder, error) {
	name, _ := function.SplitRuntime(cfg.Spec.Runtime)
	b, ok := p.o.Builders[name]
	if !ok {
		known := slices.Sorted(maps.Keys(p.o.Builders))
		return nil, &build.Error{Msg: fmt.Sprintf("spec.runtime: cannot build %q%s (known: %s)",
			cfg.Spec.Runtime, document.DidYouMean(name, known), strings.Join(known, ", "))}
	}
	return b, nil
}

// crosses refuses what cannot be built for another machine.
func crosses(b build.Builder, src build.Source) error {
	if src.Architecture == "" || src.Architecture == runtime.GOARCH {
		return nil
	}
	if c, ok := b.(build.Crosser); ok && c.Crosses(src.Architecture) {
		return nil
	}
	return &build.Error{Msg: fmt.Sprintf("spec.runtime: functions in %s are built on %s for %s only: build this one on a machine of %s",
		src.Config.Spec.Runtime, runtime.GOARCH, runtime.GOARCH, src.Architecture)}
}

// IsMistake tells whether err is the user's mistake rather than the machine's.
func IsMistake(err error) bool {
	var own *build.Error
	var spec document.Errors
	return errors.As(err, &own) || errors.As(err, &spec)
}

// Source stages and reads what r names below work, an empty directory of the
// caller's, without building it.
func (p *Pipeline) Source(ctx context.Context, r Request, work string) (build.Source, error) {
	return p.prepare(ctx, r, work)
}
