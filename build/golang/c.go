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
	"regexp"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/build/tool"
	"github.com/myelin-run/myelin/function"
	csdk "github.com/myelin-run/myelin/sdk/c"
)

// CBuilder builds functions written in C: they are compiled by the C compiler
// and linked with the processor into one program. Any number of builds may run
// at once.
type CBuilder struct{ b *Builder }

// NewC makes the builder. It opens nothing.
func NewC(o Options) *CBuilder { return &CBuilder{New(o)} }

// Inputs implements [build.Builder].
func (c *CBuilder) Inputs(ctx context.Context, src build.Source) ([]string, error) {
	inputs, err := c.b.Inputs(ctx, src)
	if err != nil {
		return nil, err
	}
	cc, err := compiler()
	if err != nil {
		return nil, err
	}
	out, err := tool.Run(ctx, tool.Command{Path: cc, Args: []string{"--version"}})
	if err != nil {
		return nil, fmt.Errorf("ask the C compiler for its version: %w", err)
	}
	return append(inputs, "c", strings.TrimSpace(out.Stdout)), nil
}

// Collect implements [build.Collector].
func (c *CBuilder) Collect() error { return c.b.Collect() }

// Workspace writes the headers into dir, a function's directory, so that
// editors and the function's tests find them. Builds use their own. Headers
// that are there are left alone.
func (c *CBuilder) Workspace(dir string) error {
	for name, text := range map[string][]byte{"myelin.h": csdk.Header, "myelin_test.h": csdk.TestHeader} {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("write headers: %w", err)
		}
	}
	return nil
}

// Build implements [build.Builder]. The program is named after the function.
func (c *CBuilder) Build(ctx context.Context, src build.Source, out string, log io.Writer) (build.Result, error) {
	gotool, err := goTool()
	if err != nil {
		return build.Result{}, err
	}
	cc, err := compiler()
	if err != nil {
		return build.Result{}, err
	}
	flags, err := cFlagsOf(src.Config.Spec.Build.Flags)
	if err != nil {
		return build.Result{}, err
	}
	handler, err := cHandler(src.Config.Spec.Handler)
	if err != nil {
		return build.Result{}, err
	}
	work, err := os.MkdirTemp(filepath.Dir(src.Dir), ".c-")
	if err != nil {
		return build.Result{}, fmt.Errorf("build c function: %w", err)
	}
	defer os.RemoveAll(work)
	name := src.Config.Metadata.Name
	fmt.Fprintf(log, "compiling %s (%s, C)\n", name, handler)
	if err := c.layOut(src, handler, flags, work); err != nil {
		return build.Result{}, err
	}
	args := []string{"build", "-mod=mod", "-trimpath", "-buildvcs=false", "-tags=netgo,osusergo", "-ldflags=" + flags.linker(c.b.o.Debug), "-o", filepath.Join(out, name), "."}
	if err := os.Mkdir(filepath.Join(work, tempDir), 0o700); err != nil {
		return build.Result{}, fmt.Errorf("build c function: %w", err)
	}
	env := c.environment(cc, work)
	show, err := c.shown(ctx, gotool, env, work, out)
	if err != nil {
		return build.Result{}, err
	}
	result, err := tool.Run(ctx, tool.Command{Path: gotool, Args: args, Dir: work, Env: env, Hide: tool.Hidden(c.b.o.Data), Show: show})
	if err != nil {
		return build.Result{}, cError(err, src.Dir, work, handler)
	}
	if text := withoutDirs(result.All, work, work); strings.Contains(text, ": warning: ") {
		fmt.Fprintln(log, text)
	}
	return build.Result{Command: []string{"./" + name}}, nil
}

// layOut makes work a module with the user's files and the generated main.
func (c *CBuilder) layOut(src build.Source, handler string, flags cFlags, work string) error {
	files, err := copyC(src.Dir, work)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(files, func(f string) bool { return filepath.Ext(f) == ".c" && !strings.Contains(f, "/") }) {
		return &build.Error{Msg: "no *.c files in the function's directory"}
	}
	if err := os.WriteFile(filepath.Join(work, "myelin.h"), csdk.Header, 0o644); err != nil {
		return fmt.Errorf("write myelin.h: %w", err)
	}
	sdk, err := c.b.sdk()
	if err != nil {
		return err
	}
	if err := writeModule(work, sdk, nil, work); err != nil {
		return err
	}
	config, err := function.Marshal(artefact.Portable(src.Config))
	if err != nil {
		return err
	}
	batch, err := takesLists(work, files, handler)
	if err != nil {
		return err
	}
	main, err := generateCMain(src.Config, handler, batch, flags, config)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(work, mainFile), main, 0o644)
}

var cComment = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)

// takesLists reports whether the function has a handler for lists, which is
// called as the other one with _batch after it.
func takesLists(work string, files []string, handler string) (bool, error) {
	name := regexp.MustCompile(`\b` + handler + `_batch\s*\(`)
	for _, f := range files {
		if filepath.Ext(f) != ".c" || strings.Contains(f, "/") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(work, f))
		if err != nil {
			return false, fmt.Errorf("read sources: %w", err)
		}
		if name.Match(cComment.ReplaceAll(text, []byte(" "))) {
			return true, nil
		}
	}
	return false, nil
}

var cTest = regexp.MustCompile(`^(test_.*|.*_test)\.c$`)

// copyC copies the sources and headers of dir, and of what is below it, to
// work. Tests are left out.
func copyC(dir, work string) (files []string, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("read sources: %w", err)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		switch ext := filepath.Ext(path); {
		case err != nil:
			return err
		case path != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir(), ext != ".c" && ext != ".h" && ext != ".inc", cTest.MatchString(d.Name()):
			return nil
		}
		text, err := root.ReadFile(path)
		if err != nil {
			return err
		}
		files = append(files, path)
		to := filepath.Join(work, path)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, text, 0o644)
	})
	if err != nil {
		return nil, fmt.Errorf("copy sources: %w", err)
	}
	return files, nil
}

// environment is that of a Go build with a C compiler. The flags were checked
// by us, and the go tool need not have an opinion of its own.
// tempDir is what the tools have in the module's directory for what is temporary;
// they pass over names that begin with a full stop.
const tempDir = ".tmp"

// environment has no secrets: a C function may include what it is built with.
func (c *CBuilder) environment(cc, work string) []string {
	env := tool.Passed(c.b.environment(architectureOf(build.Source{})), "HOME", "GO*", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
	return append(env, "TMPDIR="+filepath.Join(work, tempDir), "CGO_ENABLED=1", "CC="+cc, "CGO_CFLAGS=", "CGO_CPPFLAGS=", "CGO_LDFLAGS=",
		"CGO_CFLAGS_ALLOW=.*", "CGO_LDFLAGS_ALLOW=.*", "GOFLAGS=", "LC_ALL=C")
}

// shown are the directories that a build reads although they may lie where
// nothing is to be read, or are made only now.
func (c *CBuilder) shown(ctx context.Context, gotool string, env []string, more ...string) ([]string, error) {
	asked, err := tool.Run(ctx, tool.Command{Path: gotool, Args: []string{"env", "GOCACHE", "GOMODCACHE", "GOROOT"}, Env: env})
	if err != nil {
		return nil, fmt.Errorf("ask go for its caches: %w", err)
	}
	dirs := strings.Fields(asked.Stdout)
	for _, dir := range dirs[:min(2, len(dirs))] {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make caches of go: %w", err)
		}
	}
	return append(append(dirs, c.b.unpacked()), more...), nil
}

func compiler() (string, error) {
	if path, err := exec.LookPath("gcc"); err == nil {
		return filepath.Abs(path)
	}
	return "", errors.New("gcc not found in PATH: C functions need it to be built (Debian: apt install gcc libc6-dev)")
}

var cName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// cHandler is the name of the C function in spec.handler, which may have a
// file before a colon: all files are one function together.
func cHandler(wanted string) (string, error) {
	if wanted == "" {
		return "handler", nil
	}
	name := wanted[strings.LastIndexByte(wanted, ':')+1:]
	if strings.HasSuffix(name, ".c") {
		return "handler", nil
	}
	if !cName.MatchString(name) || name == "main" {
		return "", &build.Error{Msg: fmt.Sprintf("spec.handler: %q is not the name of a C function", wanted)}
	}
	return name, nil
}
