package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/cli/manifest"
	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/apply"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// source builds the function that a document declares and returns it as it is
// to be applied: what is configured beside the code, the document over it, and
// the artefact. A function whose code is elsewhere is applied as it is
// declared.
func (a *app) source(d *manifest.Doc, p *terminal.Progress) ([]byte, error) {
	var cfg function.Config
	if err := document.DecodeJSON(ignoring(d.JSON, "status"), &cfg); err != nil {
		return nil, d.Locate(err)
	}
	b := cfg.Spec.Build
	imaged := cfg.Spec.Image != "" && b.FunctionSourceCode == "" && b.Path == "" && b.CodeEntryType == ""
	if imaged || cfg.Metadata.Annotations[plan.ArtefactAnnotation] != "" {
		return d.JSON, nil
	}
	r, err := a.request(d, cfg)
	if err != nil || r == nil {
		return d.JSON, err
	}
	p.Step("build " + d.Metadata.Name)
	src, art, err := a.upload(*r, p)
	if err != nil {
		return nil, located(d, err)
	}
	base, err := document.MarshalRevealed(src.Config)
	if err != nil {
		return nil, err
	}
	var under, over any
	if err := errors.Join(unmarshal(base, &under), unmarshal(d.JSON, &over)); err != nil {
		return nil, err
	}
	note := map[string]any{"metadata": map[string]any{"annotations": map[string]any{plan.ArtefactAnnotation: art.Digest}}}
	return json.Marshal(apply.Overlay(apply.Overlay(under, over), note))
}

// unmarshal keeps numbers as they are written.
func unmarshal(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(v)
}

// ignoring removes a field of an object.
func ignoring(text []byte, field string) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(text, &fields) != nil || fields[field] == nil {
		return text
	}
	delete(fields, field)
	out, err := json.Marshal(fields)
	if err != nil {
		return text
	}
	return out
}

// located gives mistakes in the configuration the lines of the document.
func located(d *manifest.Doc, err error) error {
	var es document.Errors
	if !errors.As(err, &es) {
		return err
	}
	for _, e := range es {
		if e.File != "" {
			return err
		}
	}
	return d.Locate(es)
}

// request says what is to be built for a document, nil if nothing is.
func (a *app) request(d *manifest.Doc, cfg function.Config) (*pipeline.Request, error) {
	b := cfg.Spec.Build
	dir := "."
	if d.File != "-" {
		dir = filepath.Dir(d.File)
	}
	switch {
	case b.FunctionSourceCode != "" || b.CodeEntryType != "" && b.CodeEntryType != "sourceCode":
		return &pipeline.Request{Overrides: cfg}, nil
	case strings.Contains(b.Path, "://"):
		return &pipeline.Request{Path: b.Path, Overrides: cfg}, nil
	case b.Path != "":
		path := b.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if !exists(path) {
			return nil, d.Errorf("spec.build.path", "there is no %s", path)
		}
		cfg.Spec.Build.Path = ""
		return &pipeline.Request{Path: path, Overrides: cfg}, nil
	}
	if name := filepath.Base(d.File); (name == "function.yaml" || name == "function.yml") && more(dir) {
		return &pipeline.Request{Path: dir, Overrides: cfg}, nil
	}
	_, err := a.clientFor(d.Metadata.Namespace).Function(a.ctx, d.Metadata.Name)
	if client.NotFound(err) {
		return nil, d.Errorf("spec.build.path", "is required: where the code is, relative to this file")
	}
	return nil, a.asked(err) // it is there already, and keeps its code
}

// more tells whether there is anything in a directory beside one file.
func more(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) > 1
}
