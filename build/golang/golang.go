// Package golang compiles a function written in Go, ours or Nuclio's, together
// with the processor into one static program. It imports nothing of the
// processor: the generated main does, and only the triggers that the function
// has.
package golang

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/build/tool"
	"github.com/myelin-run/myelin/function"
)

// Options say where the builder finds things.
type Options struct {
	// Sources are Myelin's own, as embedded in the program.
	Sources fs.FS
	// SourceDir is a checkout of Myelin to use instead; for its developers.
	// Default: the environment's MYELIN_SOURCE.
	SourceDir string
	// Data is the data directory: sources are unpacked to its sdk directory.
	Data string
	// Debug keeps symbols and debug information in the program.
	Debug bool
}

// Builder builds Go functions. Any number of builds may run at once.
type Builder struct{ o Options }

// New makes the builder. It opens nothing.
func New(o Options) *Builder {
	if o.SourceDir == "" {
		o.SourceDir = os.Getenv("MYELIN_SOURCE")
	}
	return &Builder{o}
}

// Inputs implements [build.Builder].
func (b *Builder) Inputs(ctx context.Context, src build.Source) ([]string, error) {
	gotool, err := goTool()
	if err != nil {
		return nil, err
	}
	version, err := b.version(ctx, gotool, architectureOf(src))
	if err != nil {
		return nil, err
	}
	sdk, err := b.sdkDigest()
	if err != nil {
		return nil, err
	}
	return []string{"golang", version, architectureOf(src), sdk, fmt.Sprint(b.o.Debug)}, nil
}

// version is that of Go.
func (b *Builder) version(ctx context.Context, gotool, architecture string) (string, error) {
	out, err := tool.Run(ctx, tool.Command{Path: gotool, Args: []string{"env", "GOVERSION"}, Env: b.environment(architecture)})
	if err != nil {
		return "", fmt.Errorf("ask go for its version: %w", err)
	}
	return strings.TrimSpace(out.Stdout), nil
}

// Build implements [build.Builder]. The program is named after the function.
func (b *Builder) Build(ctx context.Context, src build.Source, out string, log io.Writer) (build.Result, error) {
	gotool, err := goTool()
	if err != nil {
		return build.Result{}, err
	}
	flags, err := checkFlags(src.Config.Spec.Build.Flags)
	if err != nil {
		return build.Result{}, err
	}
	user, err := readPackage(src.Dir, src.Config.Spec.Handler, flags)
	if err != nil {
		return build.Result{}, err
	}
	work, err := os.MkdirTemp(filepath.Dir(src.Dir), ".go-")
	if err != nil {
		return build.Result{}, fmt.Errorf("build go function: %w", err)
	}
	defer os.RemoveAll(work)
	fmt.Fprintf(log, "compiling %s (%s, %s)\n", src.Config.Metadata.Name, user.handler.name, user.handler.flavour.doc)
	if err := b.layOut(src, user, work); err != nil {
		return build.Result{}, err
	}
	name := src.Config.Metadata.Name
	args := append([]string{"build", "-mod=mod", "-trimpath", "-buildvcs=false", "-modfile", filepath.Join(work, "go.mod"),
		"-overlay", filepath.Join(work, "overlay.json"), "-o", filepath.Join(out, name)}, flags...)
	if !b.o.Debug {
		args = append(args, "-ldflags="+strings.TrimSpace("-s -w "+linkerFlags(flags)))
	}
	_, err = tool.Run(ctx, tool.Command{Path: gotool, Args: append(args, "."), Dir: src.Dir, Env: b.environment(architectureOf(src))})
	if err != nil {
		return build.Result{}, compileError(err, src.Dir, work)
	}
	return build.Result{Command: []string{"./" + name}}, nil
}

// layOut writes what the go tool is told beside the user's files.
func (b *Builder) layOut(src build.Source, user *userPackage, work string) error {
	sdk, err := b.sdk()
	if err != nil {
		return err
	}
	aliases, err := writeAliases(sdk, work)
	if err != nil {
		return err
	}
	if err := writeModule(src.Dir, sdk, aliases, work); err != nil {
		return err
	}
	config, err := function.Marshal(artefact.Portable(src.Config))
	if err != nil {
		return err
	}
	main, err := generateMain(src.Config, user, config)
	if err != nil {
		return err
	}
	return writeOverlay(src.Dir, user, main, work)
}

// architectureOf is what a function is built for.
func architectureOf(src build.Source) string {
	if src.Architecture != "" {
		return src.Architecture
	}
	return goruntime.GOARCH
}

// Crosses implements [build.Crosser].
func (b *Builder) Crosses(architecture string) bool {
	return architecture == "amd64" || architecture == "arm64"
}

// environment is the user's, for a static program.
func (b *Builder) environment(architecture string) []string {
	env := append(os.Environ(), "CGO_ENABLED=0", "GO111MODULE=on", "GOWORK=off",
		"GOOS="+goruntime.GOOS, "GOARCH="+architecture)
	if os.Getenv("HOME") == "" { // a service of the system has none
		cache := filepath.Join(b.o.Data, "cache")
		env = append(env, "GOCACHE="+filepath.Join(cache, "go-build"), "GOPATH="+filepath.Join(cache, "go"))
	}
	return env
}

func goTool() (string, error) {
	if path, err := exec.LookPath("go"); err == nil {
		return filepath.Abs(path)
	}
	if path, err := exec.LookPath("/usr/local/go/bin/go"); err == nil {
		return path, nil
	}
	return "", errors.New("go not found in PATH nor in /usr/local/go/bin: Go functions need it to be built (install it from https://go.dev/dl)")
}
