package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/files"
	"github.com/myelin-run/myelin/build/source"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/api/openapi/conform"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/function"
)

// keeping is a builder that keeps the sources it gets.
type keeping struct {
	in     *files.Store
	digest string
	dir    func() string
}

func (k keeping) Build(ctx context.Context, cfg function.Config, src api.SourceRef, _ io.Writer) (build.Artefact, error) {
	dir := k.dir()
	if _, err := (source.Stager{Local: true}).Stage(ctx, source.Ref{Path: src.Archive}, dir); err != nil {
		return build.Artefact{}, err
	}
	taken, err := files.Take(dir)
	if err == nil {
		err = k.in.Keep(k.digest, taken)
	}
	return build.Artefact{Digest: k.digest, Config: cfg}, err
}

func TestSourcesThereAndBack(t *testing.T) {
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	kept, digest := files.NewStore(t.TempDir()), strings.Repeat("ab", 32)
	c := catalog.New(s)
	h := api.New(api.Options{Catalog: c, Builder: keeping{kept, digest, t.TempDir}, Sources: kept, Temp: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	srv := httptest.NewServer(conform.New(t).Handler(t, h))
	t.Cleanup(srv.Close)
	w := &world{t, c, client.New(srv.URL, "", nil), srv.URL}

	list := `{"items":[{"path":"lib/a.py","text":"x = 1\n"},{"path":"lib/logo.png","base64":"iVBORwD/"},{"path":"lib/run.sh","text":"#!/bin/sh\n","executable":true}]}`
	if code, text := w.buildFiles(list); code != http.StatusOK || !strings.Contains(text, digest) {
		t.Fatal(code, text)
	}
	with := func(name, digest string) string {
		return fmt.Sprintf(`{"metadata":{"name":%q,"annotations":{"myelin.run/artefact":%q}},"spec":{"handler":"main:handler","runtime":"python"}}`, name, digest)
	}
	for _, f := range []string{with("hello", digest), with("old", strings.Repeat("cd", 32))} {
		if code, text := w.ask("POST", "/api/v1/functions", f); code != http.StatusCreated {
			t.Fatal(code, text)
		}
	}
	if code, text := w.ask("POST", "/api/v1/functions/hello/versions", ""); code != http.StatusCreated {
		t.Fatal(code, text)
	}
	for _, query := range []string{"", "?version=1"} {
		if code, text := w.ask("GET", "/api/v1/functions/hello/sources"+query, ""); code != http.StatusOK || strings.TrimSpace(text) != list {
			t.Error(query, code, text)
		}
	}
	for path, want := range map[string]string{
		"old/sources":             `404 function \"old\": its sources are not kept: it was built elsewhere`,
		"hello/sources?version=2": "404 ",
		"none/sources":            "404 ",
	} {
		if code, text := w.ask("GET", "/api/v1/functions/"+path, ""); !strings.Contains(fmt.Sprint(code, " ", text), strings.TrimPrefix(want, "404 ")) || code != http.StatusNotFound {
			t.Error(path, code, text)
		}
	}
	if code, text := w.buildFiles(list, list); code != http.StatusBadRequest || !strings.Contains(text, "twice") {
		t.Error(code, text)
	}
	for files, want := range map[string]string{
		`{"items":[{"path":"../x.py"}]}`:              "without . and ..",
		`{"items":[{"path":"a\u202e.py"}]}`:           "signs that are not shown",
		`{"items":[{"path":"a.py"},{"path":"A.py"}]}`: "differ by case only",
		`{"items":[{"path":"a.py","link":"/etc"}]}`:   "link",
		`{"items":[]}`: "there is no file",
		`{`:            "JSON",
		`{"items":[{"path":"a.py","base64":"what?"}]}`: "base64",
	} {
		if code, text := w.buildFiles(files); code != http.StatusUnprocessableEntity && code != http.StatusBadRequest || !strings.Contains(text, want) {
			t.Error(files, code, text)
		}
	}
}

// buildFiles has a list of files built, or several where one is wanted.
func (w *world) buildFiles(lists ...string) (int, string) {
	w.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, list := range lists {
		if err := form.WriteField("files", list); err != nil {
			w.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		w.Fatal(err)
	}
	code, text := w.ask("POST", "/api/v1/builds", body.String(), "Content-Type", form.FormDataContentType())
	if !json.Valid([]byte(strings.Split(text, "\n")[0])) {
		w.Errorf("not JSON: %s", text)
	}
	return code, text
}
