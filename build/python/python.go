// Package python packages functions written in Python: their sources, and what
// pip installs for them, with the mistakes that can be found without running
// them. It knows nothing of how they are run.
package python

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/machine"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// Options say what the builder works with.
type Options struct {
	// Data is the data directory: installed packages are kept in its cache.
	Data string
	// Find returns the path and the version of the interpreter that the
	// runtime would take for wanted: a path, a name, a version such as "3.12",
	// or "".
	Find func(ctx context.Context, wanted string) (path, version string, err error)
	// Prepare, if not nil, is called with the interpreter after a build, so
	// that what the runtime needs for it is there when the function starts.
	// What it returns is reported and fails nothing.
	Prepare func(ctx context.Context, interpreter string, log io.Writer) error
}

// Builder builds Python functions. Any number of builds may run at once.
type Builder struct{ o Options }

// New makes the builder. It opens nothing.
func New(o Options) *Builder { return &Builder{o} }

type interpreter struct{ path, version string }

// Inputs implements [build.Builder].
func (b *Builder) Inputs(ctx context.Context, src build.Source) ([]string, error) {
	py, err := b.interpreter(ctx, src.Config)
	if err != nil {
		return nil, err
	}
	inputs := []string{"python", py.path, py.version}
	if src.Foreign() != "" {
		inputs = append(inputs, src.Foreign())
	}
	return inputs, nil
}

// Crosses implements [build.Crosser].
func (b *Builder) Crosses(architecture string) bool { return machine.Known(architecture) }

// interpreter goes by runtimeAttributes.interpreter, then by the runtime.
func (b *Builder) interpreter(ctx context.Context, cfg function.Config) (interpreter, error) {
	_, wanted := function.SplitRuntime(cfg.Spec.Runtime)
	if doc, err := document.Parse("runtimeAttributes", cfg.Spec.RuntimeAttributes); err == nil && len(cfg.Spec.RuntimeAttributes) > 0 {
		if named, ok := attribute(doc.JSON()); ok {
			wanted = named
		}
	}
	path, version, err := b.find(ctx, wanted)
	if err != nil {
		return interpreter{}, &build.Error{Msg: fmt.Sprintf("spec.runtime %s: %v", cfg.Spec.Runtime, err)}
	}
	return interpreter{path, version}, nil
}

// Build implements [build.Builder]: the sources are in src of the artefact,
// the packages in site-packages.
func (b *Builder) Build(ctx context.Context, src build.Source, out string, log io.Writer) (build.Result, error) {
	py, err := b.interpreter(ctx, src.Config)
	if err != nil {
		return build.Result{}, err
	}
	fmt.Fprintf(log, "packaging %s for python %s\n", src.Config.Metadata.Name, py.version)
	if err := check(ctx, py, src, log); err != nil {
		return build.Result{}, err
	}
	steps, err := installs(src)
	if err != nil {
		return build.Result{}, err
	}
	if len(steps) > 0 {
		if err := b.install(ctx, py, src, steps, filepath.Join(out, "site-packages"), log); err != nil {
			return build.Result{}, err
		}
	}
	if err := os.CopyFS(filepath.Join(out, "src"), os.DirFS(src.Dir)); err != nil {
		return build.Result{}, fmt.Errorf("copy sources: %w", err)
	}
	if err := os.WriteFile(filepath.Join(out, recordFile), []byte(py.path+"\n"), 0o644); err != nil {
		return build.Result{}, fmt.Errorf("write artefact: %w", err)
	}
	if src.Foreign() != "" {
		return build.Result{}, fits(out, src.Foreign())
	}
	if b.o.Prepare != nil {
		if err := b.o.Prepare(ctx, py.path, log); err != nil {
			fmt.Fprintf(log, "warning: %v\n", err)
		}
	}
	return build.Result{}, ctx.Err()
}
