package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/myelin-run/myelin/build/files"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// SourceList is the sources of a function, file by file. It is answered, and sent
// to be built.
type SourceList struct {
	Items []files.File `json:"items"`
}

// maxFiles is how long a SourceList may be as JSON: a byte may become six.
const maxFiles = 6*files.MaxBytes + maxObject

// sources answers with what a function, or its version ?version=, was built of.
func (s *server) sources(w http.ResponseWriter, r *http.Request) error {
	f, err := s.find(r)
	if err != nil {
		return err
	}
	digest := f.Metadata.Annotations[plan.ArtefactAnnotation]
	if text := r.URL.Query().Get("version"); text != "" {
		n, err := function.ParseVersion(text)
		if err != nil || n < 1 {
			return badQuery("version", "want a number such as 3, got %q", text)
		}
		d := catalog.Deployment{Name: name(r), Version: n}
		v, err := s.o.Catalog.Version(r.Context(), d)
		if err != nil {
			return noVersion(d, err)
		}
		digest = v.Artefact
	}
	if s.o.Sources == nil {
		return problem.New(http.StatusNotImplemented, "this control plane keeps no sources")
	}
	list, err := s.o.Sources.Get(digest)
	var not *files.NotKept
	if errors.As(err, &not) {
		return problem.New(http.StatusNotFound, fmt.Sprintf("function %q: %v", f.Metadata.Name, err))
	}
	if err != nil {
		return err
	}
	b, err := json.Marshal(SourceList{list})
	if err != nil {
		return err
	}
	return send(w, http.StatusOK, b)
}

// takeFiles reads a SourceList and writes it as an archive into dir.
func takeFiles(r io.Reader, dir string) (archive string, err error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFiles+1))
	if err != nil {
		return "", badRequest(err)
	}
	if len(text) > maxFiles {
		return "", problem.New(http.StatusRequestEntityTooLarge, fmt.Sprintf("the list of files has more than %d bytes", maxFiles))
	}
	var list SourceList
	if err := document.DecodeJSON(text, &list); err != nil {
		return "", badRequest(err)
	}
	if err := files.Check(list.Items); err != nil {
		return "", err
	}
	archive = filepath.Join(dir, "source.tar.gz")
	var packed bytes.Buffer
	if err := files.Pack(&packed, list.Items); err != nil {
		return "", fmt.Errorf("take source: %w", err)
	}
	if err := os.WriteFile(archive, packed.Bytes(), 0o600); err != nil {
		return "", fmt.Errorf("take source: %w", err)
	}
	return archive, nil
}
