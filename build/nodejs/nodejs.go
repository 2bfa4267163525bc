// Package nodejs packages functions written in JavaScript: their sources, and
// what npm installs for them, with the mistakes that can be found without
// running them. It knows nothing of how they are run.
package nodejs

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/machine"
	"github.com/myelin-run/myelin/build/tool"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// recordFile is the artefact's file that names the Node.js it was made for. The
// runtime takes that one if it can.
const recordFile = "interpreter"

// Options say what the builder works with.
type Options struct {
	// Data is the data directory: installed packages are kept in its cache.
	Data string
	// Find returns the path and the version of the Node.js that the runtime
	// would take for wanted: a path, a name, a version such as "20", or "".
	Find func(ctx context.Context, wanted string) (path, version string, err error)
	// Prepare, if not nil, is called with the path of Node.js after a build, so
	// that what the runtime needs for it is there when the function starts.
	// What it returns is reported and fails nothing.
	Prepare func(ctx context.Context, interpreter string, log io.Writer) error
}

// Builder builds JavaScript functions. Any number of builds may run at once.
type Builder struct{ o Options }

// New makes the builder. It opens nothing.
func New(o Options) *Builder { return &Builder{o} }

type interpreter struct{ path, version string }

// Inputs implements [build.Builder].
func (b *Builder) Inputs(ctx context.Context, src build.Source) ([]string, error) {
	node, err := b.interpreter(ctx, src.Config)
	if err != nil {
		return nil, err
	}
	inputs := []string{"nodejs", node.path, node.version}
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
		var a struct {
			Interpreter string `json:"interpreter"`
		}
		if json.Unmarshal(doc.JSON(), &a) == nil && a.Interpreter != "" {
			wanted = a.Interpreter
		}
	}
	if strings.Contains(wanted, "/") {
		if err := tool.Trusted(wanted); err != nil {
			return interpreter{}, &build.Error{Msg: fmt.Sprintf("spec.runtimeAttributes.interpreter: %v", err)}
		}
	}
	path, version, err := b.o.Find(ctx, wanted)
	if err != nil {
		return interpreter{}, &build.Error{Msg: fmt.Sprintf("spec.runtime %s: %v", cfg.Spec.Runtime, err)}
	}
	return interpreter{path, version}, nil
}

// Build implements [build.Builder]: the sources are in src of the artefact,
// the packages in src/node_modules.
func (b *Builder) Build(ctx context.Context, src build.Source, out string, log io.Writer) (build.Result, error) {
	node, err := b.interpreter(ctx, src.Config)
	if err != nil {
		return build.Result{}, err
	}
	fmt.Fprintf(log, "packaging %s for node %s\n", src.Config.Metadata.Name, node.version)
	if err := check(ctx, node, src); err != nil {
		return build.Result{}, err
	}
	plan, err := newPlan(src)
	if err != nil {
		return build.Result{}, err
	}
	to := filepath.Join(out, "src")
	if plan.replaces(src) {
		if err := os.RemoveAll(filepath.Join(src.Dir, modules)); err != nil {
			return build.Result{}, fmt.Errorf("replace %s: %w", modules, err)
		}
	}
	if err := os.CopyFS(to, os.DirFS(src.Dir)); err != nil {
		return build.Result{}, fmt.Errorf("copy sources: %w", err)
	}
	if plan.replaces(src) {
		if err := b.install(ctx, node, src, plan, filepath.Join(to, modules), log); err != nil {
			return build.Result{}, err
		}
	}
	if err := os.WriteFile(filepath.Join(out, recordFile), []byte(node.path+"\n"), 0o644); err != nil {
		return build.Result{}, fmt.Errorf("write artefact: %w", err)
	}
	if src.Foreign() != "" {
		return build.Result{}, fits(to, src.Foreign())
	}
	if b.o.Prepare != nil {
		if err := b.o.Prepare(ctx, node.path, log); err != nil {
			fmt.Fprintf(log, "warning: %v\n", err)
		}
	}
	return build.Result{}, ctx.Err()
}
