package golang

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"
)

// Workspace writes a go.work into dir, a function's directory, so that the go
// tool and editors find Myelin's packages where they are on this machine, as
// when the function's tests are run. A go.work that is there is left alone.
// Builds do not use it.
func (b *Builder) Workspace(dir string) error {
	path := filepath.Join(dir, "go.work")
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	sdk, err := b.sdk()
	if err != nil {
		return err
	}
	var w modfile.WorkFile
	text, err := os.ReadFile(filepath.Join(sdk, "go.mod"))
	if err != nil {
		return fmt.Errorf("write go.work: %w", err)
	}
	house, err := modfile.ParseLax("go.mod", text, nil)
	if err != nil {
		return fmt.Errorf("write go.work: %w", err)
	}
	w.Syntax = &modfile.FileSyntax{}
	if err := w.AddGoStmt(house.Go.Version); err != nil {
		return fmt.Errorf("write go.work: %w", err)
	}
	for _, use := range []string{".", sdk} {
		if err := w.AddUse(use, ""); err != nil {
			return fmt.Errorf("write go.work: %w", err)
		}
	}
	w.Cleanup()
	if err := os.WriteFile(path, modfile.Format(w.Syntax), 0o644); err != nil {
		return fmt.Errorf("write go.work: %w", err)
	}
	return nil
}
