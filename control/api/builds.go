package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// BuildEvent is one line of the answer to a build: a line of its log, or, as
// the last one, the artefact or what went wrong.
type BuildEvent struct {
	Log      string           `json:"log,omitempty"`
	Artefact *build.Artefact  `json:"artefact,omitempty"`
	Error    *problem.Problem `json:"error,omitempty"`
}

// build takes multipart/form-data with the parts "config", a function's
// configuration as JSON, which may be left out, and either "source", a tar.gz,
// or "files", the sources as JSON, in this order. It answers with a line of JSON for each line of the build's log.
func (s *server) build(w http.ResponseWriter, r *http.Request) error {
	if s.o.Builder == nil {
		return problem.New(http.StatusNotImplemented, "this control plane does not build")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxSource+maxObject)
	parts, err := r.MultipartReader()
	if err != nil {
		return problem.New(http.StatusUnsupportedMediaType, "want multipart/form-data: "+err.Error())
	}
	dir, err := os.MkdirTemp(s.o.Temp, "upload")
	if err != nil {
		return fmt.Errorf("take source: %w", err)
	}
	defer os.RemoveAll(dir)
	cfg, archive, err := receive(parts, dir)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out := &lines{w: flushing{w, http.NewResponseController(w)}}
	a, err := s.o.Builder.Build(r.Context(), cfg, SourceRef{Archive: archive}, out)
	out.rest()
	if err != nil && !errors.Is(err, context.Canceled) {
		out.send(BuildEvent{Error: toProblem(err)})
	} else if err == nil {
		out.send(BuildEvent{Artefact: &a})
	}
	return nil
}

// receive reads the parts; the source is written into dir.
func receive(parts *multipart.Reader, dir string) (cfg function.Config, archive string, err error) {
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return cfg, "", badRequest(err)
		}
		if name := part.FormName(); archive != "" && (name == "source" || name == "files") {
			return cfg, "", problem.New(http.StatusBadRequest, "the sources are there twice: send source or files, once")
		}
		switch part.FormName() {
		case "config":
			text, err := io.ReadAll(io.LimitReader(part, maxObject+1))
			if err == nil && len(text) > maxObject {
				err = fmt.Errorf("the configuration has more than %d bytes", maxObject)
			}
			if err == nil {
				err = document.DecodeJSON(text, &cfg)
			}
			if err != nil {
				return cfg, "", badRequest(err)
			}
		case "source":
			archive = filepath.Join(dir, "source.tar.gz")
			if err := save(part, archive); err != nil {
				return cfg, "", err
			}
		case "files":
			if archive, err = takeFiles(part, dir); err != nil {
				return cfg, "", err
			}
		default:
			return cfg, "", problem.New(http.StatusBadRequest, fmt.Sprintf("unknown part %q%s", part.FormName(), document.DidYouMean(part.FormName(), []string{"config", "source", "files"})))
		}
	}
	if archive == "" {
		return cfg, "", problem.New(http.StatusBadRequest, `the part "source" or "files" is missing`)
	}
	return cfg, archive, nil
}

func save(r io.Reader, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("take source: %w", err)
	}
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("take source: %w", err)
	}
	return nil
}

// lines sends a log as events, a line each. Builders may write from several
// goroutines.
type lines struct {
	mu   sync.Mutex
	w    io.Writer
	part []byte
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.part = append(l.part, b...)
	for {
		line, rest, ok := bytes.Cut(l.part, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		l.send(BuildEvent{Log: string(line)})
		l.part = append([]byte(nil), rest...)
	}
}

func (l *lines) rest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.part) > 0 {
		l.send(BuildEvent{Log: string(l.part)})
	}
}

// send writes one event. A client that has gone is seen by the request's
// context, which ends the build.
func (l *lines) send(e BuildEvent) {
	b, err := json.Marshal(e)
	if err != nil {
		b, _ = json.Marshal(BuildEvent{Error: problem.New(http.StatusInternalServerError, err.Error())})
	}
	_, _ = l.w.Write(append(b, '\n'))
}
