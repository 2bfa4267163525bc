package dockerfile

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"pgregory.net/rapid"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/function"
)

func none([]string) bool { return false }

func lines(all []Instruction) (out []string) {
	for _, i := range all {
		out = append(out, i.Line)
	}
	return out
}

// What Nuclio has settings of a build yield, and what they yield here.
func TestNuclio(t *testing.T) {
	sh := func(command string) string { return `RUN ["/bin/sh","-c","` + command + `"]` }
	for name, c := range map[string]struct {
		build         function.Build
		before, after []string
		notes         string
	}{
		"nothing":          {},
		"commands":         {build: function.Build{Commands: []string{"one", "two"}}, before: []string{sh("one"), sh("two")}},
		"after the copy":   {build: function.Build{Commands: []string{"@nuclio.postCopy", "one", "two"}}, after: []string{sh("one"), sh("two")}},
		"before and after": {build: function.Build{Commands: []string{"one", "@nuclio.postCopy", "two", "@nuclio.preCopy", "three"}}, before: []string{sh("one"), sh("three")}, after: []string{sh("two")}},
		"over several":     {build: function.Build{Commands: []string{`one a \`, `b \`, "c", "two", "@nuclio.postCopy", "three"}}, before: []string{sh("one a b c"), sh("two")}, after: []string{sh("three")}},
		"directives": {
			build:  function.Build{NuclioBuild: function.NuclioBuild{Directives: map[string][]function.Directive{"preCopy": {{Kind: "env", Value: "A=1"}, {Kind: "RUN", Value: "one"}}, "postCopy": {{Kind: "RUN", Value: `["two", "x y"]`}}}}},
			before: []string{"ENV A=1", sh("one")}, after: []string{`RUN ["two","x y"]`},
		},
		"continued directive": {build: function.Build{NuclioBuild: function.NuclioBuild{Directives: directives("preCopy", "RUN", "one \\\n  && two")}}, before: []string{sh(`one    \u0026\u0026 two`)}},
		"another shell": {
			build:  function.Build{NuclioBuild: function.NuclioBuild{Directives: directives("preCopy", "SHELL", `["/bin/bash", "-ec"]`, "RUN", "one")}},
			before: []string{`SHELL ["/bin/bash", "-ec"]`, `RUN ["/bin/bash","-ec","one"]`},
		},
		"commands over directives": {
			build:  function.Build{Commands: []string{"one"}, NuclioBuild: function.NuclioBuild{Directives: directives("preCopy", "RUN", "two")}},
			before: []string{sh("one")}, notes: "directives are left out",
		},
		"program":      {build: function.Build{NuclioBuild: function.NuclioBuild{Directives: directives("postCopy", "CMD", `["x"]`)}}, notes: "CMD has no effect"},
		"builder":      {build: function.Build{NuclioBuild: function.NuclioBuild{OnbuildImage: "golang:1.26"}}, notes: "onbuildImage is left out"},
		"from builder": {build: function.Build{NuclioBuild: function.NuclioBuild{OnbuildImage: "tools:1", Directives: directives("preCopy", "COPY", "--from=processor /x /x")}}, before: []string{"COPY --from=processor /x /x"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Read(c.build, none)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([][]string{c.before, c.after}, [][]string{lines(p.Before), lines(p.After)}); diff != "" {
				t.Error(diff)
			}
			if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, c.notes) || c.notes == "" && notes != "" {
				t.Errorf("notes: %s", notes)
			}
		})
	}
}

// The whole text, with a stage to copy from and arguments.
func TestText(t *testing.T) {
	p, err := Read(function.Build{NuclioBuild: function.NuclioBuild{OnbuildImage: "tools:1", Args: map[string]string{"B": "2", "A": "1"}, Directives: directives("preCopy", "COPY", "--from=processor /x /x", "RUN", "one")}}, none)
	if err != nil {
		t.Fatal(err)
	}
	const want = "FROM tools:1 AS processor\nFROM base:1\nLABEL run.myelin.steps=1\nARG A\nARG B\nUSER 0\nCOPY --from=processor /x /x\nRUN [\"/bin/sh\",\"-c\",\"one\"]\n"
	text, shown := p.text("base:1", p.Before, true)
	if diff := cmp.Diff(want, text); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[int]string{7: "COPY --from=processor /x /x", 8: "RUN one"}, shown); diff != "" {
		t.Error(diff)
	}
}

// The registry of base images takes the place of theirs, as in Nuclio.
func TestBase(t *testing.T) {
	for _, c := range [][3]string{
		{"", "", ""}, {"image:tag", "", "image:tag"}, {"scratch", "r:5000", "scratch"}, {"image:tag", "r:5000/sub", "r:5000/sub/image:tag"}, {"base/image:tag", "r:5000/sub/", "r:5000/sub/image:tag"}, {"base/sub/image:tag", "r:5000", "r:5000/image:tag"},
	} {
		got, err := Base(function.Build{NuclioBuild: function.NuclioBuild{BaseImage: c[0], BaseImageRegistry: c[1]}})
		if err != nil || got != c[2] {
			t.Errorf("%q: %q, %v", c, got, err)
		}
	}
	for _, image := range []string{"two words", "a\nRUN b", "r.io\nRUN b/x", "r:5000 x/y"} {
		if got, err := Base(function.Build{NuclioBuild: function.NuclioBuild{BaseImage: image}}); err == nil {
			t.Errorf("%q was taken for the image %s", image, got)
		}
	}
}

// What is more than an instruction, or less, is refused, with its place.
func TestRefused(t *testing.T) {
	pre := func(kind, value string) function.Build {
		return function.Build{NuclioBuild: function.NuclioBuild{Directives: directives("preCopy", kind, value)}}
	}
	for want, b := range map[string]function.Build{
		`directives.preCopy[0], ENV: it has a line break`: pre("ENV", "A=1\nRUN evil"),
		"it ends with \\":                pre("LABEL", `a=b \`),
		"no such instruction":            pre("FROM", "evil"),
		"(known: ADD":                    pre("RUN evil\nRUN", "x"),
		"it is empty":                    pre("RUN", " \\\n "),
		"it is not text":                 pre("RUN", "a\x00b"),
		"documents within it":            pre("COPY", "<<EOF /etc/passwd"),
		"options of RUN":                 pre("RUN", "--mount=type=secret,id=x cat /run/secrets/x"),
		"want a list of words":           pre("SHELL", "/bin/bash"),
		`is not the name of an argument`: {NuclioBuild: function.NuclioBuild{Args: map[string]string{"A\nRUN evil": "1"}}},
		"leave out baseImage":            {Dockerfile: "Dockerfile", Commands: []string{"one"}},
		"spec.build.onbuildImage":        {NuclioBuild: function.NuclioBuild{OnbuildImage: "a b", Directives: directives("preCopy", "COPY", "--from=processor /x /x")}},
		`spec.build.commands: "a\x00b"`:  {Commands: []string{"a\x00b"}},
	} {
		_, err := Read(b, none)
		var wrong *build.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

// whole checks that who reads Dockerfiles finds in that of a plan our own
// instructions and the author's, each what it was and no other, or refuses it.
func whole(t interface {
	Helper()
	Fatalf(string, ...any)
}, p Plan, own []Instruction) []*parser.Node {
	t.Helper()
	text, _ := p.text("base:1", own, false)
	read, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		return nil
	}
	nodes := read.AST.Children
	if read.EscapeToken != '\\' || len(nodes) != 2+len(p.Args)+len(own) {
		t.Fatalf("%d instructions of %d in\n%s", len(nodes), 2+len(p.Args)+len(own), text)
	}
	nodes = nodes[2+len(p.Args):]
	for n, node := range nodes {
		if !strings.EqualFold(node.Value, own[n].Kind) || len(node.Heredocs) > 0 {
			t.Fatalf("instruction %d is %s, want %s, in\n%s", n, node.Value, own[n].Kind, text)
		}
	}
	return nodes
}

// words of an instruction in JSON, as its reader has them.
func wordsOf(node *parser.Node) (all []string) {
	if !node.Attributes["json"] {
		return nil
	}
	for w := node.Next; w != nil; w = w.Next {
		all = append(all, w.Value)
	}
	return all
}

// nasty is what a text is made of that wants to be more than it is.
var nasty = []string{"a", " ", "\n", "\r", "\t", "\\", "\\\n", "\\ \n", "\"", "'", "$", "`", "#", "# escape=`\n", "<<", "<<EOF\n", "EOF", "[", "]", "--", "\nRUN x", "RUN ", "FROM x\n", "é", "\u2028", "\u0085", "\v", "=", "${A}", "&&", "\x00", "\xff", "@nuclio.postCopy"}

func text() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(nasty), 0, 8).Draw(t, "parts"), "")
	})
}

// Whatever commands and directives say, they are one instruction each, and a
// command reaches the shell as it was written.
func TestNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		command := strings.TrimSpace(text().Draw(t, "command"))
		if i, err := run(shell, command); err == nil {
			nodes := whole(t, Plan{Args: []string{"A"}}, []Instruction{i, {Kind: "USER", Line: "USER last"}})
			if len(nodes) == 0 {
				t.Fatalf("a command is refused: %q", i.Line)
			}
			if got := wordsOf(nodes[0]); !slices.Equal(got, append(slices.Clone(shell), command)) {
				t.Fatalf("the shell gets %q of %q", got, command)
			}
		} else if command != "" && utf8.ValidString(command) && !strings.Contains(command, "\x00") {
			t.Fatalf("%q: %v", command, err)
		}
		kind, value := rapid.SampledFrom(append(slices.Clone(kinds), "CMD", "FROM", "NONE\nRUN")).Draw(t, "kind"), text().Draw(t, "value")
		p, err := Read(function.Build{NuclioBuild: function.NuclioBuild{Directives: directives("preCopy", kind, value, "USER", "last")}}, none)
		if err == nil {
			whole(t, p, p.Before)
		}
	})
}

// FuzzDirective: as TestNothingElse, from any text.
func FuzzDirective(f *testing.F) {
	for _, kind := range kinds {
		for _, part := range nasty {
			f.Add(kind, "a"+part)
		}
	}
	f.Fuzz(func(t *testing.T, kind, value string) {
		p, err := Read(function.Build{Commands: nil, NuclioBuild: function.NuclioBuild{Directives: directives("preCopy", kind, value, "USER", "last")}}, none)
		if err == nil {
			whole(t, p, p.Before)
		}
		if i, err := run(shell, value); err == nil {
			whole(t, Plan{}, []Instruction{i})
		}
	})
}

// FuzzStory: what an engine says is read whatever it is.
func FuzzStory(f *testing.F) {
	f.Add([]byte(`{"stream":"Step 1/2 : RUN x\n"}{"stream":"a\nb"}{"errorDetail":{"code":7,"message":"m"},"error":"m"}`))
	f.Add([]byte(`{"aux":{"ID":"sha256:1"}}`))
	f.Fuzz(func(_ *testing.T, said []byte) {
		s := story{shown: map[int]string{1: "RUN x"}, log: &bytes.Buffer{}}
		_, _ = s.follow(bytes.NewReader(said))
	})
}
