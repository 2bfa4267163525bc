package nodejs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/build/tool"
)

// install puts the packages of p into to. The result is kept by what decides
// it, so that a change of the code alone installs nothing.
func (b *Builder) install(ctx context.Context, node interpreter, src build.Source, p plan, to string, log io.Writer) error {
	key, err := cacheKey(node, src, p)
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
		return b.fill(ctx, node, src, p, tmp, log)
	})
	if err != nil {
		return err
	}
	if !made {
		fmt.Fprintln(log, "dependencies are unchanged")
	}
	return artefact.Link(filepath.Join(dir, modules), to)
}

func (b *Builder) cache() string { return filepath.Join(b.o.Data, "cache", modules) }

// Collect implements [build.Collector]: packages unused for a month go.
func (b *Builder) Collect() error {
	if err := artefact.Expire(b.cache(), 30*24*time.Hour); err != nil {
		return fmt.Errorf("collect node packages: %w", err)
	}
	return nil
}

// inputs are the files that npm goes by.
var inputs = []string{manifest, lockFile, ".npmrc"}

// cacheKey names the outcome. Packages in the sources depend on all of them.
func cacheKey(node interpreter, src build.Source, p plan) (string, error) {
	h, dir := sha256.New(), src.Dir
	fmt.Fprintf(h, "%q %q %q %q\n", node.path, node.version, p.extra, src.Foreign())
	for _, name := range inputs {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("read %s: %w", name, err)
		}
		fmt.Fprintf(h, "%s %q\n", name, text)
	}
	if p.local {
		sum, err := artefact.DigestTree(dir)
		if err != nil {
			return "", fmt.Errorf("digest sources: %w", err)
		}
		fmt.Fprintln(h, sum)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// fill installs into tmp, and leaves nothing there but node_modules: what npm
// goes by may hold passwords.
func (b *Builder) fill(ctx context.Context, node interpreter, src build.Source, p plan, tmp string, log io.Writer) (err error) {
	s, err := tool.NewStranger(b.o.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.End()) }()
	work := filepath.Join(s.Dir, "work")
	if err := stage(src.Dir, work, p); err != nil {
		return fmt.Errorf("prepare npm: %w", err)
	}
	for _, args := range p.steps() {
		if err := npm(ctx, s, node, src, p, args, work, log); err != nil {
			return err
		}
	}
	from, to := filepath.Join(work, modules), filepath.Join(tmp, modules)
	if err := errors.Join(os.MkdirAll(from, 0o755), os.Mkdir(to, 0o755)); err != nil {
		return err
	}
	return artefact.Move(from, to)
}

// stage makes the directory that npm works in.
func stage(from, work string, p plan) error {
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	if p.local {
		if err := os.CopyFS(work, os.DirFS(from)); err != nil {
			return err
		}
	}
	// Without a package.json npm would look for one in the directories above.
	if _, err := os.Stat(filepath.Join(from, manifest)); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(filepath.Join(work, manifest), []byte("{\"private\": true}\n"), 0o644); err != nil {
			return err
		}
	}
	for _, name := range inputs {
		text, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := errors.Join(err, os.WriteFile(filepath.Join(work, name), text, 0o600)); err != nil {
			return err
		}
	}
	return nil
}

// steps lists the arguments of each npm that is run.
func (p plan) steps() (steps [][]string) {
	switch {
	case p.locked:
		steps = append(steps, []string{"ci", "--omit=dev"})
	case p.declared:
		steps = append(steps, []string{"install", "--omit=dev", "--no-package-lock"})
	}
	if len(p.extra) > 0 {
		steps = append(steps, append([]string{"install", "--omit=dev", "--no-save", "--no-package-lock", "--"}, p.extra...))
	}
	return steps
}

func npm(ctx context.Context, s *tool.Stranger, node interpreter, src build.Source, p plan, args []string, work string, log io.Writer) error {
	path, env, err := findNPM(node)
	if err != nil {
		return err
	}
	flags := []string{"--no-audit", "--no-fund", "--no-update-notifier", "--no-progress", "--loglevel=error"}
	if !p.scripts {
		flags = append(flags, "--ignore-scripts")
	}
	if src.Config.Spec.Build.Offline {
		flags = append(flags, "--offline")
	}
	cross, more := elsewhere(src)
	flags, env = append(flags, cross...), append(env, more...)
	shown := "npm " + strings.Join(args, " ")
	fmt.Fprintln(log, shown)
	_, err = s.Run(ctx, tool.Command{Path: path, Args: append(flags, args...), Dir: work, Env: env, Log: log})
	var failed *tool.Failed
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &failed):
		return fmt.Errorf("install dependencies: %w", err)
	}
	return &build.Error{Msg: "install dependencies: " + shown + " failed:\n" + tool.Tail(failed.Output, 8), Output: failed.Output}
}

// findNPM finds the npm beside Node.js, else the one in PATH, and an
// environment in which it runs with that Node.js.
func findNPM(node interpreter) (path string, env []string, err error) {
	dir := filepath.Dir(node.path)
	if path, err = osexec.LookPath(filepath.Join(dir, "npm")); err != nil {
		if path, err = osexec.LookPath("npm"); err != nil {
			return "", nil, &build.Error{Msg: "install dependencies: there is no npm in PATH (on Debian: apt install npm)"}
		}
	}
	env = append(os.Environ(), "PATH="+dir+string(filepath.ListSeparator)+os.Getenv("PATH"), "NODE_ENV=production")
	return path, env, nil
}
