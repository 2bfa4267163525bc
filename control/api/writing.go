package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// wrong is a field of a body whose content cannot be.
func wrong(path, format string, args ...any) error {
	return document.Errors{{Path: path, Msg: fmt.Sprintf(format, args...)}}
}

// body reads a request's JSON, an object.
func body(w http.ResponseWriter, r *http.Request, kinds ...string) ([]byte, error) {
	kinds = append(kinds, "application/json")
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(kinds, kind) {
		return nil, problem.New(http.StatusUnsupportedMediaType, "want Content-Type: "+kinds[0])
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxObject))
	if err != nil {
		return nil, unread(err)
	}
	if !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		return nil, problem.New(http.StatusBadRequest, "want a JSON object")
	}
	return text, nil
}

// unread is why a body could not be read: what else than its size is wrong is
// its sender's doing too.
func unread(err error) error {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem.New(http.StatusRequestTimeout, "the body did not come in time")
	}
	return problem.New(http.StatusBadRequest, "the body cannot be read: "+err.Error())
}

// decode reads an object strictly; a status in it is not its sender's to say.
func decode[T any](res resource[T], r *http.Request, text []byte) (object T, doc *document.Document, err error) {
	doc, err = document.Parse("body.json", text)
	if err == nil {
		doc.Ignore("status")
		err = doc.Decode(&object)
	}
	if err != nil {
		return object, nil, badRequest(unplaced(err))
	}
	return object, doc, place(r, res.meta(&object))
}

// unplaced takes lines away, which mean nothing to a program that sent JSON.
func unplaced(err error) error {
	var many document.Errors
	if !errors.As(err, &many) {
		return err
	}
	for _, e := range many {
		e.File, e.Line, e.Column = "", 0, 0
	}
	return many
}

// place fills in the name and namespace that a request's address says.
func place(r *http.Request, m *function.Metadata) error {
	asked := r.URL.Query().Get("namespace")
	if m.Namespace == "" {
		m.Namespace = namespace(r)
	}
	if asked != "" && asked != m.Namespace {
		return wrong("metadata.namespace", "is %q and the request's namespace %q", m.Namespace, asked)
	}
	path := r.PathValue("name")
	if m.Name == "" {
		m.Name = path
	}
	if path != "" && m.Name != path {
		return wrong("metadata.name", "is %q and the path's name %q; objects are not renamed", m.Name, path)
	}
	return nil
}

// badRequest is a document that cannot be read, in contrast to one that says
// something wrong.
func badRequest(err error) error {
	p := toProblem(err)
	if p.Status == http.StatusInternalServerError || p.Status == http.StatusUnprocessableEntity {
		p.Status, p.Title = http.StatusBadRequest, http.StatusText(http.StatusBadRequest)
	}
	return p
}

// version returns the version that a request wants to replace, "" for any,
// "0" for none: If-Match, If-None-Match: *, ?resourceVersion=, or the body's.
// header tells that a header said it, whose failing is a 412.
func version(r *http.Request, m *function.Metadata) (v string, header bool, err error) {
	say := func(next string) {
		if next != "" && v != "" && next != v {
			err = problem.New(http.StatusBadRequest, fmt.Sprintf("versions %s and %s are both to be replaced: say one", v, next))
		}
		if next != "" {
			v = next
		}
	}
	say(m.ResourceVersion)
	say(r.URL.Query().Get("resourceVersion"))
	switch tag := strings.TrimSpace(r.Header.Get("If-Match")); tag {
	case "", "*":
	default:
		text, uerr := strconv.Unquote(strings.TrimPrefix(tag, "W/"))
		if uerr != nil || text == "" {
			return "", false, problem.New(http.StatusBadRequest, `If-Match: want one ETag, such as "12", or *`)
		}
		header = true
		say(text)
	}
	switch r.Header.Get("If-None-Match") {
	case "":
	case "*":
		header = true
		say("0")
	default:
		return "", false, problem.New(http.StatusBadRequest, "If-None-Match: only * is understood")
	}
	if _, perr := strconv.ParseUint(v, 10, 63); v != "" && perr != nil && err == nil {
		err = wrong("metadata.resourceVersion", "%q is not a number", v)
	}
	return v, header, err
}

// creating stores an object that is not there yet.
func creating[T any](s *server, res resource[T]) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		text, err := body(w, r)
		if err != nil {
			return err
		}
		object, _, err := decode(res, r, text)
		if err != nil {
			return err
		}
		return storing(s, res, w, r, object, "0", false, http.StatusCreated)
	}
}

// replacing stores an object in place of the one that is there, if any.
func replacing[T any](s *server, res resource[T]) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		text, err := body(w, r)
		if err != nil {
			return err
		}
		object, _, err := decode(res, r, text)
		if err != nil {
			return err
		}
		v, header, err := version(r, res.meta(&object))
		if err != nil {
			return err
		}
		m := res.meta(&object)
		old, err := res.get(r.Context(), catalog.Name{Namespace: m.Namespace, Name: m.Name})
		switch {
		case errors.Is(err, store.ErrNotFound) && r.Header.Get("If-Match") == "*":
			return problem.New(http.StatusPreconditionFailed, fmt.Sprintf("there is no %s %q in namespace %s", res.one, m.Name, m.Namespace))
		case errors.Is(err, store.ErrNotFound):
			return storing(s, res, w, r, object, v, header, http.StatusCreated)
		case err != nil:
			return err
		}
		if object, err = restore(object, old); err != nil {
			return err
		}
		return storing(s, res, w, r, object, v, header, http.StatusOK)
	}
}

// storing checks and stores, and answers with what is stored now.
func storing[T any](s *server, res resource[T], w http.ResponseWriter, r *http.Request, object T, v string, header bool, status int) error {
	if err := res.check(object); err != nil {
		return err
	}
	m := *res.meta(&object)
	if err := res.put(r.Context(), object, v); err != nil {
		return conflict(res, err, m, v, header)
	}
	now, err := res.get(r.Context(), catalog.Name{Namespace: m.Namespace, Name: m.Name})
	if err != nil {
		return err
	}
	return s.object(w, r, status, res.meta(&now), now)
}

func conflict[T any](res resource[T], err error, m function.Metadata, v string, header bool) error {
	status := http.StatusConflict
	if header {
		status = http.StatusPreconditionFailed
	}
	switch {
	case !errors.Is(err, store.ErrConflict):
		return err
	case v == "0":
		return problem.New(status, fmt.Sprintf("%s %q exists already in namespace %s", res.one, m.Name, m.Namespace))
	}
	return problem.New(status, fmt.Sprintf("%s %q was changed by somebody else since version %s: get it again", res.one, m.Name, v))
}

// deleting removes an object.
func deleting[T any](_ *server, res resource[T]) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		object, err := find(res, r)
		if err != nil {
			return err
		}
		v, header, err := version(r, &function.Metadata{})
		if err != nil {
			return err
		}
		if err := res.drop(r, object, v); err != nil {
			return conflict(res, err, *res.meta(&object), v, header)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// tree returns an object as it is stored, secrets in clear, as a tree.
func tree(object any) (any, error) {
	b, err := document.MarshalRevealed(object)
	if err != nil {
		return nil, err
	}
	return parse(b)
}

// untree makes an object of a tree.
func untree[T any](t any) (object T, err error) {
	b, err := json.Marshal(t)
	if err == nil {
		err = json.Unmarshal(b, &object)
	}
	return object, err
}
