package golang_test

import (
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	myelin "github.com/myelin-run/myelin"
	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/golang"
	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/function"
)

func newCPipeline(t *testing.T) *pipeline.Pipeline {
	t.Helper()
	data := t.TempDir()
	return pipeline.New(pipeline.Options{Data: data, Builders: map[string]build.Builder{
		"c": golang.NewC(golang.Options{Sources: myelin.Sources, Data: data}),
	}})
}

const cHead = "#include <myelin.h>\n#include \"words/words.h\"\n"

var cFiles = map[string]string{
	"hello.c": cHead + `
int greet(myelin_context *ctx, const myelin_event *ev, myelin_response *out)
{
    if (myelin_is(ev->body, "fail"))
        return myelin_fail(out, 418, "cannot greet");
    return myelin_printf(out, "%s, %.*s %.0f", (const char *)ctx->user_data, (int)ev->body.len, ev->body.data, root(16));
}
`,
	"init.c":        cHead + "int init_context(myelin_context *ctx) { ctx->user_data = GREETING; return 0; }\n",
	"root.c":        "#include <math.h>\ndouble root(double x) { return sqrt(x); }\n",
	"words/words.h": "#define GREETING \"Hello\"\ndouble root(double x);\n",
	"test_greet.c":  "this is no function's code",
}

// One C function in several files, with a header in a directory, a library and
// an init hook, as one static program.
func TestCFunction(t *testing.T) {
	p := newCPipeline(t)
	dir := write(t, "greeter", cFiles)
	r := pipeline.Request{Path: dir, Overrides: function.Config{Spec: function.Spec{
		Handler: "hello:greet", Build: function.Build{Flags: []string{"-lm", "-Wextra", "-DX=1"}},
	}}}
	a, cached, err := p.Build(t.Context(), r, t.Output())
	if err != nil || cached || a.Runtime != "c" {
		t.Fatal(a.Runtime, cached, err)
	}
	if status, got := call(t, a, "World"); status != 200 || got != "Hello, World 4" {
		t.Errorf("answered %d %q", status, got)
	}
	if status, got := call(t, a, "fail"); status != 418 || got != "cannot greet" {
		t.Errorf("answered %d %q", status, got)
	}
	f, err := elf.Open(filepath.Join(a.Dir, a.Command[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if libs, err := f.ImportedLibraries(); err != nil || len(libs) > 0 {
		t.Errorf("the program needs %v, %v", libs, err)
	}
	r.Overrides.Spec.Build.Flags = append(r.Overrides.Spec.Build.Flags, "-dynamic")
	if a, cached, err = p.Build(t.Context(), r, t.Output()); err != nil || cached {
		t.Fatal(cached, err)
	}
	shared, err := elf.Open(filepath.Join(a.Dir, a.Command[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	if libs, err := shared.ImportedLibraries(); err != nil || !strings.Contains(strings.Join(libs, " "), "libm.so") {
		t.Errorf("the program that asked for shared libraries needs %v, %v", libs, err)
	}
}

func TestCMistakes(t *testing.T) {
	const handler = "int handler(myelin_context *ctx, const myelin_event *ev, myelin_response *out) { return 0; }\n"
	p := newCPipeline(t)
	for name, test := range map[string]struct {
		files            map[string]string
		over             function.Spec
		place, text, msg string
	}{
		"syntax":  {files: map[string]string{"f.c": "#include <myelin.h>\nint handler(\n"}, place: "f.c:2", msg: "expected"},
		"type":    {files: map[string]string{"f.c": "#include <myelin.h>\n" + handler + "int x(void) { return y; }\n"}, place: "f.c:3", text: "int x(void) { return y; }", msg: "undeclared"},
		"form":    {files: map[string]string{"f.c": "#include <myelin.h>\nint handler(void *x) { return 0; }\n"}, place: "f.c:2", msg: "handler handler has the wrong form: expected int handler(myelin_context *ctx"},
		"lists":   {files: map[string]string{"f.c": "#include <myelin.h>\nint handler_batch(void *x)\n{ return 0; }\n"}, place: "f.c:2", msg: "handler handler_batch has the wrong form: expected int handler_batch(myelin_context *ctx, const myelin_event *evs"},
		"comment": {files: map[string]string{"f.c": "// int handler_batch() is a thought\nint unused;\n"}, msg: "handler handler: there is no such function that is not static"},
		"missing": {files: map[string]string{"f.c": "#include <myelin.h>\n" + handler}, over: function.Spec{Handler: "f:greet"}, msg: "handler greet: there is no such function"},
		"static":  {files: map[string]string{"f.c": "int unused;\n"}, msg: "handler handler: there is no such function that is not static"},
		"link":    {files: map[string]string{"f.c": "#include <myelin.h>\nint nowhere(void);\nint handler(myelin_context *ctx, const myelin_event *ev, myelin_response *out) { return nowhere(); }\n"}, place: "f.c:3", msg: "undefined reference to nowhere"},
		"library": {files: map[string]string{"f.c": "#include <myelin.h>\n" + handler}, over: function.Spec{Build: function.Build{Flags: []string{"-lnowhere"}}}, msg: "no static library libnowhere.a"},
		"twice":   {files: map[string]string{"f.c": "#include <myelin.h>\n" + handler, "g.c": "#include <myelin.h>\n" + handler}, place: "g.c:2", msg: "handler is defined twice"},
		"include": {files: map[string]string{"f.c": "#include \"nowhere.h\"\n"}, place: "f.c:1", msg: "nowhere.h"},
		"name":    {files: map[string]string{"f.c": handler}, over: function.Spec{Handler: "f:a b"}, msg: "is not the name of a C function"},
		"plugin":  {files: map[string]string{"f.c": handler}, over: function.Spec{Build: function.Build{Flags: []string{"-fplugin=x"}}}, msg: "-fplugin=x is not one of"},
		"wrapper": {files: map[string]string{"f.c": handler}, over: function.Spec{Build: function.Build{Flags: []string{"-Wl,-rpath=/"}}}, msg: "is not one of"},
		"outside": {files: map[string]string{"f.c": handler}, over: function.Spec{Build: function.Build{Flags: []string{"-Ia/../../b"}}}, msg: "is not one of"},
		"trigger": {files: map[string]string{"f.c": handler}, over: function.Spec{Triggers: map[string]function.Trigger{"t": {Kind: "htpp"}}}, msg: "unknown trigger kind"},
	} {
		t.Run(name, func(t *testing.T) {
			test.over.Runtime = "c"
			_, _, err := p.Build(t.Context(), pipeline.Request{Path: write(t, "f", test.files), Overrides: function.Config{Spec: test.over}}, t.Output())
			var e *build.Error
			if !errors.As(err, &e) {
				t.Fatalf("not a mistake: %v", err)
			}
			if !strings.HasPrefix(e.Error(), test.place) || !strings.Contains(e.Msg, test.msg) || test.text != "" && e.Text != test.text {
				t.Errorf("got %q, line %q\n%s", e.Error(), e.Text, e.Output)
			}
			if all := e.Error() + e.Output; strings.Contains(all, os.TempDir()+"/") {
				t.Errorf("names a directory of the build's: %s", all)
			}
		})
	}
}

func TestNoCompiler(t *testing.T) {
	only := t.TempDir()
	path, err := filepath.EvalSymlinks("/usr/local/go/bin/go")
	if err == nil {
		err = os.Symlink(path, filepath.Join(only, "go"))
	}
	if err != nil {
		t.Logf("the go tool is found by PATH alone: %v", err)
	}
	t.Setenv("PATH", only)
	_, err = golang.NewC(golang.Options{Sources: myelin.Sources, Data: t.TempDir()}).Build(t.Context(), build.Source{Dir: t.TempDir()}, t.TempDir(), t.Output())
	if err == nil || !strings.Contains(err.Error(), "apt install gcc libc6-dev") && !strings.Contains(err.Error(), "https://go.dev/dl") {
		t.Error(err)
	}
}

// What a C function includes as it is compiled is its own and the system's.
func TestCReadsNoKeys(t *testing.T) {
	data := t.TempDir()
	key := filepath.Join(data, "store.keys")
	if err := os.WriteFile(key, []byte("very secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := pipeline.New(pipeline.Options{Data: data, Builders: map[string]build.Builder{
		"c": golang.NewC(golang.Options{Sources: myelin.Sources, Data: data}),
	}})
	for name, steal := range map[string]string{
		"include":   `#include "` + key + `"`,
		"assembler": `__asm__(".incbin \"` + key + `\"");`,
	} {
		files := map[string]string{"hello.c": "#include <myelin.h>\n" + steal + "\nint handler(myelin_context *c, const myelin_event *e, myelin_response *o) { return 0; }\n"}
		r := pipeline.Request{Path: write(t, name, files), Overrides: function.Config{Spec: function.Spec{Runtime: "c"}}}
		if _, _, err := p.Build(t.Context(), r, t.Output()); err == nil || strings.Contains(err.Error(), "very secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
