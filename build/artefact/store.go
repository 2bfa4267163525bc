// Package artefact keeps built functions on the local disk, each under the
// digest of all that decided its content, complete or not at all. It knows no
// language: what goes into an artefact is the caller's.
package artefact

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/function"
)

// The files that every artefact has beside the builder's.
const (
	metaFile     = "artefact.json"
	FunctionFile = "function.yaml"
)

// ContextDir is the directory of an artefact that has the sources if steps in the
// build of its image need them; functions do not.
const ContextDir = "build.context"

// grace is how long after its making or its last use an artefact is kept
// although nobody names it: whoever asked for it may not have written it down.
const grace = 10 * time.Minute

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Store is a directory of artefacts. Any number of processes may use it.
type Store struct{ dir string }

// New names the store in data, a directory that is made when it is needed.
func New(data string) *Store { return &Store{filepath.Join(data, "artefacts")} }

// Get returns the artefact with the digest; fs.ErrNotExist if there is none
// that is whole. Its configuration is without secrets: see [Portable].
func (s *Store) Get(digest string) (build.Artefact, error) {
	var a build.Artefact
	if !digestForm.MatchString(digest) {
		return a, fmt.Errorf("read artefact %q: not a digest", digest)
	}
	dir, err := filepath.Abs(filepath.Join(s.dir, digest))
	if err != nil {
		return a, err
	}
	text, err := os.ReadFile(filepath.Join(dir, metaFile))
	if err != nil {
		return a, fmt.Errorf("read artefact: %w", err)
	}
	if err := json.Unmarshal(text, &a); err != nil || a.Digest != digest {
		return a, fmt.Errorf("read artefact %s: damaged: %w", digest, fs.ErrNotExist)
	}
	a.Dir = dir
	if len(a.Command) > 0 && !filepath.IsAbs(a.Command[0]) {
		if _, err := os.Stat(filepath.Join(dir, a.Command[0])); err != nil {
			return a, fmt.Errorf("read artefact %s: damaged: %w", digest, err)
		}
	}
	return a, nil
}

// Make returns the artefact with the digest, made by fill unless it is there,
// which cached tells. cfg is the configuration to keep in it, see [Portable].
func (s *Store) Make(digest string, cfg function.Config, fill func(out string) (build.Result, error)) (a build.Artefact, cached bool, err error) {
	if err := s.create(); err != nil {
		return a, false, err
	}
	sound := func(string) bool {
		got, err := s.Get(digest)
		if err == nil {
			a = got
		}
		return err == nil
	}
	_, made, err := Place(s.dir, digest, sound, func(tmp string) error {
		result, err := fill(tmp)
		if err != nil {
			return err
		}
		return describe(tmp, build.Artefact{Digest: digest, Config: cfg, Command: result.Command, Steps: result.Steps, Runtime: cfg.Spec.Runtime})
	})
	if err != nil {
		return build.Artefact{}, false, err
	}
	if made {
		a, err = s.Get(digest)
		return a, false, err
	}
	return a, true, nil
}

// create makes the store's directory. It cannot be listed by others: they
// reach an artefact only if they were told its digest.
func (s *Store) create() error {
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o755); err != nil {
		return fmt.Errorf("create artefact store: %w", err)
	}
	if err := os.Mkdir(s.dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create artefact store: %w", err)
	}
	return nil
}

// describe writes the two files of every artefact.
func describe(tmp string, a build.Artefact) error {
	text, err := function.Marshal(a.Config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, FunctionFile), text, 0o644); err != nil {
		return fmt.Errorf("write artefact: %w", err)
	}
	if err := writeMeta(tmp, a); err != nil {
		return err
	}
	if a.Content, err = Content(tmp); err != nil {
		return err
	}
	return writeMeta(tmp, a)
}

func writeMeta(tmp string, a build.Artefact) error {
	meta, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("write artefact: %w", err)
	}
	if err := os.WriteFile(filepath.Join(tmp, metaFile), append(meta, '\n'), 0o644); err != nil {
		return fmt.Errorf("write artefact: %w", err)
	}
	return nil
}

// Collect removes the artefacts that keep refuses and that nobody made or used
// in the last ten minutes, and what killed builds left behind.
func (s *Store) Collect(keep func(digest string) bool) error {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("collect artefacts: %w", err)
	}
	errs := []error{sweep(s.dir)}
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil || !digestForm.MatchString(e.Name()) || time.Since(fi.ModTime()) < grace || keep(e.Name()) {
			continue
		}
		errs = append(errs, discard(s.dir, filepath.Join(s.dir, e.Name())))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("collect artefacts: %w", err)
	}
	return nil
}
