package function

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/document"
)

const inlinePython = `#!/usr/bin/env python
# Copyright

import os
# @nuclio.configure
#
# function.yaml:
#   metadata:
#     name: my-func
#   spec:
#     build:
#       commands: [pip install simplejson]
#     eventTimeout: 5s
#
# build.yaml: {flags: [-q]}
import simplejson
# spec: not of the block
`

func TestInline(t *testing.T) {
	goSource := "package main\n\n\t//@myelin.configure  \n\t//\n\t// function.yaml:\n\t//   metadata:\n\t//     name: my-func\n\t//   spec: {eventTimeout: 5s, build: {commands: [pip install simplejson]}}\n\t// build.yaml:\n\t//   flags: [-q]\nfunc x() {}\n"
	for name, source := range map[string]string{
		"h.py": inlinePython, "crlf.py": strings.ReplaceAll(inlinePython, "\n", "\r\n"), "h.go": goSource,
		"empty.py": inlinePython + "#\n",
		"last.py":  strings.SplitAfter(inlinePython, "[-q]}")[0],
	} {
		texts, err := Inline(name, []byte(source))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		l, err := Parse(name, texts["function.yaml"])
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, texts["function.yaml"])
		}
		cfg := l.Config
		if cfg.Metadata.Name != "my-func" || cfg.Spec.EventTimeout.String() != "5s" || len(cfg.Spec.Build.Commands) != 1 {
			t.Errorf("%s: got %+v", name, cfg)
		}
		b, err := ParseBuildFile(name, texts["build.yaml"])
		if err != nil || len(b.Flags) != 1 {
			t.Errorf("%s: build.yaml: %+v, %v", name, b, err)
		}
		line, col := l.Document.Position("metadata.name")
		at := bytes.Split([]byte(source), []byte("\n"))[line-1]
		if !bytes.HasPrefix(at[col-1:], []byte("name: my-func")) {
			t.Errorf("%s: the name is not at %d:%d, there is %s", name, line, col, at)
		}
	}
}

func TestInlineNone(t *testing.T) {
	for _, source := range []string{"", "import x\n", "# nuclio.configure\n", `s = "@nuclio.configure"`, "\x00\xff"} {
		if texts, err := Inline("h.py", []byte(source)); texts != nil || err != nil {
			t.Errorf("%q: %v, %v", source, texts, err)
		}
	}
}

// Mistakes are told with the lines of the source file.
func TestInlineMistakes(t *testing.T) {
	for source, want := range map[string]string{
		strings.Replace(inlinePython, "eventTimeout: 5s", "eventTimout: 5s", 1):   "h.py:13: unknown field spec.eventTimout, did you mean eventTimeout?",
		strings.Replace(inlinePython, "eventTimeout: 5s", "eventTimeout: 5", 1):   `h.py:13: spec.eventTimeout: 5 is not a duration such as "30s"`,
		strings.Replace(inlinePython, "#   spec:", "#  spec:", 1):                 "h.py:10: not valid YAML: did not find expected key",
		strings.Replace(inlinePython, "#   spec:", "# no more of it", 1):          "h.py:10: not valid YAML: could not find expected ':'",
		strings.Replace(inlinePython, "#     build:", "#     build:\n#\tx: y", 1): "h.py:12: not valid YAML: found character that cannot start any token (tabs do not indent, and text beginning with @, ` or % needs quotes)",
		strings.Replace(inlinePython, "# build.yaml", "# function.yaml", 1):       "h.py:15: duplicate field [\"function.yaml\"] (first on line 7)",
		inlinePython + "# @myelin.configure\n":                                    "h.py:18: a second configuration block (the first is on line 5)",
		"# @myelin.configure\nimport x\n":                                         `h.py:1: the configuration block names no file, such as "function.yaml:"`,
		"# @myelin.configure\n# - a\n":                                            `h.py:2: the configuration block names no file, such as "function.yaml:"`,
		"# @myelin.configure\n# function.yaml: &x\n#   spec: *x\n":                "h.py:2: nested more than 40 deep",
		"# @myelin.configure\n# function.yaml: [a]\n":                             `h.py:2: expected fields, got a list`,
	} {
		texts, err := Inline("h.py", []byte(source))
		if err == nil {
			_, err = Parse("h.py", texts["function.yaml"])
		}
		if err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", source, err, want)
		}
	}
}

func FuzzInline(f *testing.F) {
	f.Add([]byte(inlinePython))
	f.Add([]byte("//@myelin.configure\n// {function.yaml: {spec: {}}, a: b}"))
	f.Add([]byte("# @myelin.configure\r\n#\tfunction.yaml: &a\r\n#\t  x: *a\n# ? é : b\n# d: >\n#  x"))
	f.Fuzz(func(t *testing.T, source []byte) {
		texts, err := Inline("h.py", source)
		if known := (document.Errors)(nil); err != nil && !errors.As(err, &known) {
			t.Fatalf("%T is not Errors: %v", err, err)
		}
		for _, text := range texts {
			if _, err := Parse("h.py", text); err != nil {
				var lines document.Errors
				if !errors.As(err, &lines) {
					t.Fatalf("%T is not Errors: %v", err, err)
				}
				for _, line := range lines {
					if line.Line > bytes.Count(source, []byte("\n"))+1 {
						t.Fatalf("%v is beyond the source", line)
					}
				}
			}
		}
	})
}

// A file that is named and left empty has no fields, whatever comes after it.
func TestInlineEmptyFile(t *testing.T) {
	texts, err := Inline("h.py", []byte("# @myelin.configure\n# function.yaml:\n# build.yaml:\n#   flags: [x]\nimport x\n"))
	if err != nil || len(texts) != 2 {
		t.Fatalf("%q, %v", texts, err)
	}
	if l, err := Parse("h.py", texts["function.yaml"]); err != nil || l.Config.Metadata.Name != "" {
		t.Errorf("%q: %v", texts["function.yaml"], err)
	}
}
