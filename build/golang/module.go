package golang

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"

	"github.com/myelin-run/myelin/build"
)

// madeUp is the module of a function that has no go.mod.
const madeUp = "myelin.local/function"

// writeModule writes the go.mod and go.sum that the function is built with:
// the user's, Myelin's requirements added.
func writeModule(dir, sdk string, aliases map[string]string, work string) error {
	user, err := userModule(dir)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(sdk, "go.mod"))
	if err != nil {
		return fmt.Errorf("read myelin's go.mod: %w", err)
	}
	house, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return fmt.Errorf("read myelin's go.mod: %w", err)
	}
	replaces := map[string]string{modulePath: sdk}
	for path, at := range aliases {
		replaces[path] = at
	}
	if text, err = combine(user, house, replaces, dir); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(work, "go.mod"), text, 0o644); err != nil {
		return fmt.Errorf("write go.mod: %w", err)
	}
	return combineSums([]string{filepath.Join(dir, "go.sum"), filepath.Join(sdk, "go.sum")}, filepath.Join(work, "go.sum"))
}

func userModule(dir string) (*modfile.File, error) {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if errors.Is(err, fs.ErrNotExist) {
		text, err = []byte("module "+madeUp+"\n"), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read go.mod: %w", err)
	}
	f, err := modfile.Parse("go.mod", text, nil)
	var list modfile.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		at := list[0].Pos
		return nil, &build.Error{File: "go.mod", Line: at.Line, Column: at.LineRune, Text: lineOf(text, at.Line), Msg: list[0].Err.Error()}
	}
	if err != nil {
		return nil, err
	}
	if f.Module == nil {
		return nil, &build.Error{File: "go.mod", Msg: "it has no module line"}
	}
	return f, nil
}

// combine adds Myelin and the higher of both versions of what it requires.
func combine(user, house *modfile.File, replaces map[string]string, dir string) ([]byte, error) {
	if err := replaceAbsolute(user, dir); err != nil {
		return nil, err
	}
	for path, at := range replaces {
		for _, r := range slices.Clone(user.Replace) {
			if r.Old.Path == path {
				if err := user.DropReplace(r.Old.Path, r.Old.Version); err != nil {
					return nil, err
				}
			}
		}
		if err := errors.Join(user.AddRequire(path, "v0.0.0"), user.AddReplace(path, "", at, "")); err != nil {
			return nil, err
		}
	}
	for _, r := range house.Require {
		switch had := required(user, r.Mod.Path); {
		case had == "":
			user.AddNewRequire(r.Mod.Path, r.Mod.Version, true)
		case semver.Compare(had, r.Mod.Version) < 0:
			if err := user.AddRequire(r.Mod.Path, r.Mod.Version); err != nil {
				return nil, err
			}
		}
	}
	if user.Go == nil || semver.Compare("v"+user.Go.Version, "v"+house.Go.Version) < 0 {
		if err := user.AddGoStmt(house.Go.Version); err != nil {
			return nil, err
		}
	}
	user.DropToolchainStmt()
	user.Cleanup()
	return user.Format()
}

func required(f *modfile.File, path string) string {
	for _, r := range f.Require {
		if r.Mod.Path == path {
			return r.Mod.Version
		}
	}
	return ""
}

// replaceAbsolute makes the directories of replace lines absolute. They must
// be among the sources: others are not there where the function is built.
func replaceAbsolute(f *modfile.File, dir string) error {
	for _, r := range slices.Clone(f.Replace) {
		if r.New.Version != "" || r.Old.Path == modulePath || r.Old.Path == nuclioPath || r.Old.Path == loggerPath {
			continue
		}
		if !filepath.IsLocal(r.New.Path) {
			return &build.Error{File: "go.mod", Line: r.Syntax.Start.Line,
				Msg: fmt.Sprintf("replace of %s leaves the function's directory: %s", r.Old.Path, r.New.Path)}
		}
		if err := f.AddReplace(r.Old.Path, r.Old.Version, filepath.Join(dir, r.New.Path), ""); err != nil {
			return &build.Error{File: "go.mod", Line: r.Syntax.Start.Line, Msg: err.Error()}
		}
	}
	return nil
}

// combineSums writes the lines of all the files, each once.
func combineSums(from []string, to string) error {
	seen := map[string]bool{}
	var b bytes.Buffer
	for _, path := range from {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read go.sum: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !seen[line] {
				seen[line] = true
				b.WriteString(line + "\n")
			}
		}
	}
	if err := os.WriteFile(to, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write go.sum: %w", err)
	}
	return nil
}
