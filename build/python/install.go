package python

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/build/machine"
	"github.com/myelin-run/myelin/build/tool"
)

// install puts what the steps install into to. The result is kept by what the
// steps say, so that a change of the code alone installs nothing.
func (b *Builder) install(ctx context.Context, py interpreter, src build.Source, steps [][]string, to string, log io.Writer) error {
	key, err := cacheKey(py, src, steps)
	if err != nil {
		return err
	}
	parent := b.cache()
	if err := errors.Join(os.MkdirAll(b.o.Data, 0o755), os.MkdirAll(parent, 0o700)); err != nil {
		return fmt.Errorf("create package cache: %w", err)
	}
	there := func(dir string) bool {
		_, err := os.Stat(dir)
		return err == nil
	}
	dir, made, err := artefact.Place(parent, key, there, func(tmp string) error {
		return b.fetch(ctx, py, src, steps, tmp, log)
	})
	if err != nil {
		return err
	}
	if !made {
		fmt.Fprintln(log, "dependencies are unchanged")
	}
	return link(dir, to)
}

func (b *Builder) cache() string { return filepath.Join(b.o.Data, "cache", "site-packages") }

// Collect implements [build.Collector]: packages unused for a month go.
func (b *Builder) Collect() error {
	if err := artefact.Expire(b.cache(), 30*24*time.Hour); err != nil {
		return fmt.Errorf("collect python packages: %w", err)
	}
	return nil
}

// cacheKey names the outcome of the steps. Requirements that name files of the
// sources depend on all of them.
func cacheKey(py interpreter, src build.Source, steps [][]string) (string, error) {
	h, dir := sha256.New(), src.Dir
	fmt.Fprintf(h, "%q %q %q %q\n", py.path, py.version, steps, src.Foreign())
	files := slices.Concat(steps...)
	text := ""
	if slices.Contains(files, requirements) {
		got, err := os.ReadFile(filepath.Join(dir, requirements))
		if err != nil {
			return "", fmt.Errorf("read %s: %w", requirements, err)
		}
		text = string(got)
		fmt.Fprintf(h, "%q\n", text)
	}
	if local(text, files) {
		sum, err := artefact.DigestTree(dir)
		if err != nil {
			return "", fmt.Errorf("digest sources: %w", err)
		}
		fmt.Fprintln(h, sum)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func local(text string, args []string) bool {
	words := strings.Fields(text)
	for _, w := range slices.Concat(words, args) {
		if w != requirements && (strings.HasPrefix(w, ".") || strings.HasPrefix(w, "file:") || strings.HasSuffix(w, ".whl") ||
			strings.HasSuffix(w, ".txt") || strings.HasSuffix(w, ".tar.gz") || strings.HasPrefix(w, "-e") || strings.HasPrefix(w, "--find-links") || w == "-f" || w == "-c") {
			return true
		}
	}
	return false
}

// fetch installs into tmp. What packages run meanwhile has a copy of the sources,
// and nothing else of what is here.
func (b *Builder) fetch(ctx context.Context, py interpreter, src build.Source, steps [][]string, tmp string, log io.Writer) (err error) {
	s, err := tool.NewStranger(b.o.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.End()) }()
	at, target := filepath.Join(s.Dir, "src"), filepath.Join(s.Dir, "target")
	if err := errors.Join(os.CopyFS(at, os.DirFS(src.Dir)), os.Mkdir(target, 0o755)); err != nil {
		return fmt.Errorf("prepare pip: %w", err)
	}
	src.Dir = at
	for _, step := range steps {
		if err := pip(ctx, s, py, src, step, target, log); err != nil {
			return err
		}
	}
	if src.Foreign() == "" && !src.Image {
		compile(ctx, s, py, target)
	}
	return artefact.Move(target, tmp)
}

// compile writes byte code beside what was installed, so that no start of the function has
// to: it may not write there. It is valid whenever its source was written, which never
// changes. What cannot be compiled was written for another Python, and is imported by
// nobody; without byte code functions only start later.
func compile(ctx context.Context, s *tool.Stranger, py interpreter, dir string) {
	_, _ = s.Run(ctx, tool.Command{Path: py.path, Args: []string{"-I", "-S", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", dir}, Dir: dir})
}

// pip installs into target. It runs in the sources' directory, so that paths
// in requirements are those of the sources.
func pip(ctx context.Context, s *tool.Stranger, py interpreter, src build.Source, step []string, target string, log io.Writer) error {
	run := []string{"-m", "pip"}
	if src.Foreign() != "" {
		run = []string{"-c", pipElsewhere, machine.GNU(src.Foreign())}
	}
	args := slices.Concat(run, []string{"install", "--no-input", "--disable-pip-version-check", "--no-warn-script-location", "--no-compile", "--upgrade", "--target", target})
	if src.Config.Spec.Build.Offline {
		args = append(args, "--no-index")
	}
	fmt.Fprintf(log, "pip install %s\n", strings.Join(step, " "))
	env := append(os.Environ(), "PIP_ROOT_USER_ACTION=ignore", "PYTHONDONTWRITEBYTECODE=1", "PYTHONNOUSERSITE=1", "PYTHONUNBUFFERED=1")
	_, err := s.Run(ctx, tool.Command{Path: py.path, Args: append(args, step...), Dir: src.Dir, Env: env, Log: log})
	var failed *tool.Failed
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &failed):
		return fmt.Errorf("install dependencies: %w", err)
	case strings.Contains(failed.Output, "No module named pip"):
		return &build.Error{Msg: fmt.Sprintf("install dependencies: %s has no pip (on Debian: apt install python3-pip)", py.path)}
	}
	if src.Foreign() != "" {
		if err := missingWheel(failed.Output, src.Foreign(), py.version); err != nil {
			return err
		}
	}
	return &build.Error{Msg: "install dependencies: pip install " + strings.Join(step, " ") + " failed:\n" + complaint(failed.Output), Output: failed.Output}
}

// complaint is what pip said of its failure: from its first line of an error
// on, since older ones print their progress after it.
func complaint(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "ERROR: ") })
	if at < 0 {
		return tool.Tail(output, 5)
	}
	return strings.Join(lines[at:min(at+8, len(lines))], "\n")
}

// link makes to a copy of the tree at from that shares its files, or copies
// them where the file system cannot.
func link(from, to string) error {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		dest := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(dest, 0o755)
		}
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, dest)
		}
		if os.Link(path, dest) == nil {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(dest, text, 0o644)
	})
	if err != nil {
		return fmt.Errorf("copy packages: %w", err)
	}
	return nil
}
