package files

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/myelin-run/myelin/build"
)

// grace is how long what was kept stays although nobody names it: whoever had it
// built may not have written it down yet.
const grace = 10 * time.Minute

// most is how large a kept list may be when it is read: each byte of a file has
// six of JSON at most.
const most = 6*MaxBytes + MaxFiles*1024

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Store keeps the sources of artefacts, each under the artefact's digest, for
// this user's eyes only.
type Store struct{ dir string }

// NewStore names the store in data, a directory that is made when it is needed.
func NewStore(data string) *Store { return &Store{filepath.Join(data, "sources")} }

// Taken is what was found in a directory: a list, or why there is none.
type Taken struct {
	Files []File `json:"files,omitempty"`
	Why   string `json:"why,omitempty"`
}

// Take reads the directory of a function's sources, before anybody builds in it.
func Take(dir string) (Taken, error) {
	list, err := Read(dir)
	var own *build.Error
	if errors.As(err, &own) {
		return Taken{Why: own.Msg}, nil
	}
	return Taken{Files: list}, err
}

// NotKept says that there are no sources of an artefact, and why.
type NotKept struct{ Why string }

func (e *NotKept) Error() string { return "its sources are not kept: " + e.Why }

// Keep remembers t as the sources of an artefact.
func (s *Store) Keep(digest string, t Taken) error {
	if !digestForm.MatchString(digest) {
		return fmt.Errorf("keep sources of %q: not a digest", digest)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("keep sources: %w", err)
	}
	f, err := os.CreateTemp(s.dir, ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keep sources: %w", err)
	}
	z := gzip.NewWriter(f)
	err = json.NewEncoder(z).Encode(t)
	if err = errors.Join(err, z.Close(), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), s.path(digest))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("keep sources: %w", err)
	}
	return nil
}

func (s *Store) path(digest string) string { return filepath.Join(s.dir, digest+".json.gz") }

// Get returns the sources of an artefact, or a [*NotKept].
func (s *Store) Get(digest string) ([]File, error) {
	if !digestForm.MatchString(digest) {
		return nil, &NotKept{"it was never built here"}
	}
	f, err := os.Open(s.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotKept{"it was built elsewhere, or before sources were kept"}
	}
	if err != nil {
		return nil, fmt.Errorf("read kept sources: %w", err)
	}
	defer f.Close()
	k, err := decode(f)
	if err != nil {
		return nil, fmt.Errorf("read kept sources of %s: damaged: %w", digest, err)
	}
	if k.Why != "" {
		return nil, &NotKept{k.Why}
	}
	return k.Files, nil
}

func decode(r io.Reader) (k Taken, err error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return k, err
	}
	if err := json.NewDecoder(io.LimitReader(z, most)).Decode(&k); err != nil {
		return k, err
	}
	if k.Why != "" {
		return Taken{Why: k.Why}, nil
	}
	return k, Check(k.Files)
}

// Collect removes what keep refuses and what was not written in the last ten
// minutes.
func (s *Store) Collect(keep func(digest string) bool) error {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("collect sources: %w", err)
	}
	var errs []error
	for _, e := range entries {
		fi, err := e.Info()
		if err != nil || time.Since(fi.ModTime()) < grace || keep(strings.TrimSuffix(e.Name(), ".json.gz")) {
			continue
		}
		errs = append(errs, os.Remove(filepath.Join(s.dir, e.Name())))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("collect sources: %w", err)
	}
	return nil
}
