package source

import (
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

// attributes are spec.build.codeEntryAttributes.
type attributes struct {
	Branch    string            `json:"branch"`
	Tag       string            `json:"tag"`
	Reference string            `json:"reference"`
	Username  string            `json:"username"`
	Password  quantity.Secret   `json:"password"`
	WorkDir   string            `json:"workDir"`
	Headers   map[string]string `json:"headers"`
}

// FromConfig finds in spec.build where the sources are. File names sources
// written in the configuration itself; it follows from runtime and handler.
func FromConfig(cfg function.Config) (Ref, error) {
	b := cfg.Spec.Build
	a, err := readAttributes(b.CodeEntryAttributes)
	if err != nil {
		return Ref{}, err
	}
	ref := Ref{Path: b.Path, WorkDir: a.WorkDir, Headers: a.Headers}
	switch b.CodeEntryType {
	case "":
		if b.FunctionSourceCode != "" {
			return inline(cfg)
		}
	case "sourceCode":
		return inline(cfg)
	case "archive":
	case "github":
		ref.Path = strings.TrimSuffix(b.Path, "/") + "/archive/" + or(a.Branch, "main") + ".tar.gz"
	case "git":
		ref.Git, ref.Username, ref.Password = true, a.Username, a.Password
		ref.Revision = revision(a)
	case "s3", "image":
		return Ref{}, mistake("spec.build.codeEntryType: %s cannot be built yet (known: sourceCode, archive, git, github)", b.CodeEntryType)
	default:
		return Ref{}, mistake("spec.build.codeEntryType: unknown value %q (known: sourceCode, archive, git, github)", b.CodeEntryType)
	}
	if ref.Path == "" {
		return Ref{}, mistake("no sources: neither spec.build.path nor spec.build.functionSourceCode is set")
	}
	return ref, nil
}

func readAttributes(raw json.RawMessage) (a attributes, err error) {
	if len(raw) > 0 {
		err = document.Under("spec.build.codeEntryAttributes", document.DecodeJSON(raw, &a))
	}
	return a, err
}

func revision(a attributes) string {
	switch {
	case a.Reference != "":
		return a.Reference
	case a.Tag != "":
		return "refs/tags/" + a.Tag
	case a.Branch != "":
		return "refs/heads/" + a.Branch
	}
	return ""
}

func inline(cfg function.Config) (Ref, error) {
	code, err := base64.StdEncoding.DecodeString(cfg.Spec.Build.FunctionSourceCode)
	if err != nil {
		return Ref{}, mistake("spec.build.functionSourceCode is not base64: %v", err)
	}
	if len(code) == 0 {
		return Ref{}, mistake("spec.build.functionSourceCode is empty")
	}
	name, _ := function.SplitRuntime(cfg.Spec.Runtime)
	l, ok := languageOf(name)
	if !ok {
		return Ref{}, mistake("spec.build.functionSourceCode needs spec.runtime: %q is none of %s", cfg.Spec.Runtime, languageNames())
	}
	file := or(handlerStem(cfg.Spec.Handler, name), or(cfg.Metadata.Name, "main"))
	if filepath.Ext(file) != l.ext {
		file += l.ext
	}
	return Ref{Code: code, File: file}, nil
}

// handlerStem is the part of a handler that names a file.
func handlerStem(handler, language string) string {
	file, class, two := strings.Cut(handler, ":")
	if language == "java" { // a public class is in a file of its name
		class = strings.TrimSuffix(or(class, file), ".java")
		return class[strings.LastIndexByte(class, '.')+1:]
	}
	if !two && language != "shell" {
		return ""
	}
	return file
}
