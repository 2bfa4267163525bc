package golang_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	myelin "github.com/myelin-run/myelin"
	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/golang"
	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/function"
)

func newPipeline(t *testing.T) *pipeline.Pipeline {
	t.Helper()
	data := filepath.Join(t.TempDir(), "link") // as /var is one on some machines
	if err := os.Symlink(t.TempDir(), data); err != nil {
		t.Fatal(err)
	}
	return pipeline.New(pipeline.Options{Data: data, Builders: map[string]build.Builder{
		"golang": golang.New(golang.Options{Sources: myelin.Sources, Data: data}),
	}})
}

// write makes a directory of files.
func write(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	for file, text := range files {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var served = regexp.MustCompile(`127\.0\.0\.1:[1-9][0-9]*`)

// call starts the program of an artefact on its own, sends it one event and
// stops it. It returns status and body.
func call(t *testing.T, a build.Artefact, body string) (int, string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(a.Dir, a.Command[0]), "-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0")
	cmd.Dir = t.TempDir()
	var lines announced
	lines.found = make(chan string, 1)
	cmd.Stdout, cmd.Stderr = &lines, &lines
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ended: %v", cmd.Path, err)
		}
		if t.Failed() {
			t.Logf("it printed:\n%s", lines.text.String())
		}
	}()
	select {
	case addr := <-lines.found:
		resp, err := http.Post("http://"+addr+"/", "text/plain", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(got)
	case <-time.After(20 * time.Second):
		t.Error("the program does not say where it listens")
	}
	return 0, ""
}

// announced finds the address in the log of a program. It is written to by one
// goroutine, and read when that has ended.
type announced struct {
	text  bytes.Buffer
	found chan string
	done  bool
}

func (a *announced) Write(p []byte) (int, error) {
	n, err := a.text.Write(p)
	for line := range strings.Lines(a.text.String()) {
		if a.done || !strings.Contains(line, "http") {
			continue
		}
		if addr := served.FindString(line); addr != "" {
			a.done = true
			a.found <- addr
		}
	}
	return n, err
}

// One build of our own kind: a package of its own name, with a go.mod, a third
// party's module, a package beside it and an init hook. It is edited then, and
// broken.
func TestOwnFunction(t *testing.T) {
	p := newPipeline(t)
	const code = `package greeter

import (
	"github.com/google/uuid"
	myelin "github.com/myelin-run/myelin/sdk/go"

	"example.com/greeter/words"
)

func InitContext(ctx *myelin.Context) error {
	ctx.UserData = words.Greeting
	return nil
}

func Greet(ctx *myelin.Context, ev *myelin.Event) (any, error) {
	return ctx.UserData.(string) + string(ev.Body) + " " + uuid.Nil.String()[:4], nil
}
`
	dir := write(t, "greeter", map[string]string{
		"greeter.go":     code,
		"words/words.go": "package words\n\nconst Greeting = \"Hello, \"\n",
		"go.mod":         "module example.com/greeter\n\ngo 1.22\n\nrequire github.com/google/uuid v1.6.0\n",
	})
	a, cached, err := p.Build(t.Context(), pipeline.Request{Path: dir}, t.Output())
	if err != nil || cached {
		t.Fatal(cached, err)
	}
	if text, err := os.ReadFile(filepath.Join(a.Dir, a.Command[0])); err != nil || bytes.Contains(text, []byte("overlay/greeter.go")) || !bytes.Contains(text, []byte("example.com/greeter/greeter.go")) {
		t.Errorf("the program's stack traces do not name the user's files as they were (%v)", err)
	}
	if a.Command[0] != "./greeter" || a.Config.Metadata.Name != "greeter" || a.Runtime != "golang" {
		t.Errorf("artefact %+v", a)
	}
	if status, got := call(t, a, "World"); status != 200 || got != "Hello, World 0000" {
		t.Errorf("answered %d %q", status, got)
	}
	began := time.Now()
	again, cached, err := p.Build(t.Context(), pipeline.Request{Path: dir}, t.Output())
	if err != nil || !cached || again.Digest != a.Digest {
		t.Errorf("unchanged: cached %t, %v", cached, err)
	}
	t.Logf("unchanged: %s", time.Since(began))
	edited := strings.Replace(code, "string(ev.Body)", "string(ev.Body)+", 1)
	if err := os.WriteFile(filepath.Join(dir, "greeter.go"), []byte(strings.Replace(edited, "+ +", "+ \"!\" +", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	if _, cached, err = p.Build(t.Context(), pipeline.Request{Path: dir}, t.Output()); err != nil || cached {
		t.Errorf("edited: cached %t, %v", cached, err)
	}
	t.Logf("edited: %s", time.Since(began))
}

// A function for Nuclio compiles unchanged, although it is a program of its
// own with a main, and Nuclio's modules are nowhere to be had.
func TestNuclioFunction(t *testing.T) {
	t.Setenv("GOPROXY", "off")
	const code = `package main

import (
	"fmt"

	"github.com/nuclio/logger"
	"github.com/nuclio/nuclio-sdk-go"
)

func main() { fmt.Println("for trying it out") }

func log(l logger.Logger) { l.InfoWith("called", "by", "test") }

func Handler(context *nuclio.Context, event nuclio.Event) (interface{}, error) {
	log(context.Logger)
	if len(event.GetBody()) == 0 {
		return nil, nuclio.NewErrBadRequest("no body")
	}
	return nuclio.Response{StatusCode: 201, ContentType: "text/plain", Body: append([]byte("Hello, "), event.GetBody()...)}, nil
}
`
	p := newPipeline(t)
	dir := write(t, "Nuclio_Hello", map[string]string{"handler.go": code, "function.yaml": `
apiVersion: nuclio.io/v1
kind: NuclioFunction
spec:
  handler: main:Handler
  runtime: golang
  triggers:
    tick: {kind: cron, attributes: {interval: 1h}}
`})
	a, _, err := p.Build(t.Context(), pipeline.Request{Path: dir}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	if status, got := call(t, a, "World"); status != 201 || got != "Hello, World" {
		t.Errorf("answered %d %q", status, got)
	}
	if status, got := call(t, a, ""); status != 400 || !strings.Contains(got, "no body") {
		t.Errorf("answered %d %q", status, got)
	}
}

const ownImport = "package f\n\nimport myelin \"github.com/myelin-run/myelin/sdk/go\"\n\n"

// What a user may get wrong, and the place and words that the message has.
func TestMistakes(t *testing.T) {
	t.Setenv("GOPROXY", "off")
	p := newPipeline(t)
	tests := map[string]struct {
		files map[string]string
		over  function.Spec
		place string
		text  string
		msg   string
	}{
		"syntax": {files: map[string]string{"f.go": ownImport + "func Handler( {\n"}, place: "f.go:5", text: "func Handler( {", msg: "expected"},
		"type": {files: map[string]string{"f.go": ownImport + "func Handler(ctx *myelin.Context, ev *myelin.Event) (any, error) {\n\treturn ev.Bodi, nil\n}\n"},
			place: "f.go:6", text: "\treturn ev.Bodi, nil", msg: "Bodi"},
		"missing": {files: map[string]string{"f.go": ownImport + "func Handle(ctx *myelin.Context, ev *myelin.Event) (any, error) { return nil, nil }\n"},
			over: function.Spec{Handler: "f:Handler"}, place: "f.go", msg: "no function Handler in the package (handlers found: Handle)"},
		"form": {files: map[string]string{"f.go": ownImport + "func Handler(ctx *myelin.Context, ev string) error { return nil }\n"},
			place: "f.go:5", text: "func Handler(ctx *myelin.Context, ev string) error { return nil }", msg: "wrong form, func(*myelin.Context, string) error: expected one of"},
		"none":       {files: map[string]string{"f.go": "package f\n\nfunc Hello() {}\n"}, msg: "no handler found: expected one of"},
		"unexported": {files: map[string]string{"f.go": ownImport + "func handle(ctx *myelin.Context, ev *myelin.Event) (any, error) { return nil, nil }\n"}, place: "f.go:5", msg: "not exported"},
		"two": {files: map[string]string{"f.go": ownImport + "func A(ctx *myelin.Context, ev *myelin.Event) (any, error) { return nil, nil }\nfunc B(ctx *myelin.Context, ev *myelin.Event) (any, error) { return nil, nil }\n"},
			msg: "A and B may both be the handler"},
		"packages": {files: map[string]string{"f.go": "package f\n", "g.go": "package g\n"}, msg: "two packages in one directory"},
		"init": {files: map[string]string{"f.go": ownImport + "func InitContext() {}\nfunc Handler(ctx *myelin.Context, ev *myelin.Event) (any, error) { return nil, nil }\n"},
			place: "f.go:5", msg: "InitContext has the wrong form"},
		"trigger": {files: map[string]string{"f.go": ownImport + "func Handler(ctx *myelin.Context, ev *myelin.Event) (any, error) { return nil, nil }\n"},
			over: function.Spec{Triggers: map[string]function.Trigger{"t": {Kind: "htpp"}}}, msg: "unknown trigger kind"},
		"flag": {files: map[string]string{"f.go": ownImport + "func Handler(ctx *myelin.Context, ev *myelin.Event) (any, error) { return nil, nil }\n"},
			over: function.Spec{Build: function.Build{Flags: []string{"-toolexec=/bin/sh"}}}, msg: "-toolexec=/bin/sh is not one of"},
		"module": {files: map[string]string{"f.go": "package f\n\nimport _ \"example.com/nowhere/to/be/found\"\nimport myelin \"github.com/myelin-run/myelin/sdk/go\"\n\nfunc Handler(ctx *myelin.Context, ev *myelin.Event) (any, error) { return nil, nil }\n"},
			place: "f.go:3", msg: "example.com/nowhere/to/be/found"},
		"go.mod":  {files: map[string]string{"f.go": ownImport + "func Handler(ctx *myelin.Context, ev *myelin.Event) (any, error) { return nil, nil }\n", "go.mod": "module f\n\nrequier x v1\n"}, place: "go.mod:3", text: "requier x v1", msg: "requier"},
		"replace": {files: map[string]string{"f.go": ownImport + "func Handler(ctx *myelin.Context, ev *myelin.Event) (any, error) { return nil, nil }\n", "go.mod": "module f\n\nreplace x.org/y => ../y\n"}, place: "go.mod:3", msg: "leaves the function's directory"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
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

func TestNoGoTool(t *testing.T) {
	if _, err := os.Stat("/usr/local/go/bin/go"); err == nil {
		t.Log("there is one outside PATH; that it is found is all that can be seen")
		t.Setenv("PATH", t.TempDir())
		if _, err := golang.New(golang.Options{Sources: myelin.Sources, Data: t.TempDir()}).Inputs(t.Context(), build.Source{}); err != nil {
			t.Error(err)
		}
		return
	}
	t.Setenv("PATH", t.TempDir())
	_, err := golang.New(golang.Options{Sources: myelin.Sources, Data: t.TempDir()}).Inputs(t.Context(), build.Source{})
	if err == nil || !strings.Contains(err.Error(), "https://go.dev/dl") {
		t.Error(err)
	}
}
