package java_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/java"
	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/build/source"
	"github.com/myelin-run/myelin/function"
	runtime "github.com/myelin-run/myelin/runtime/java"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "myelin-cache-")
	if err != nil {
		panic(err)
	}
	os.Setenv("MYELIN_CACHE", dir)
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func prepare(ctx context.Context, home string, log io.Writer) (sdk, worker string, err error) {
	return runtime.Prepare(ctx, home, "", slog.New(slog.NewTextHandler(log, nil)))
}

// newPipeline makes a builder whose Maven fetches much once, not in each run.
func newPipeline(data string) *pipeline.Pipeline {
	repository, err := filepath.Abs(filepath.Join("..", "..", ".cache", "maven"))
	if err != nil {
		panic(err)
	}
	return pipeline.New(pipeline.Options{Data: data, Stager: source.Stager{Local: true}, Builders: map[string]build.Builder{
		"java": java.New(java.Options{Data: data, Repository: repository, Find: runtime.Find, Prepare: prepare})}})
}

func put(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	nuclio = `import io.nuclio.*;
public class Handler implements EventHandler {
    @Override public Response handleEvent(Context context, Event event) { return new Response().setBody(Words.GREETING); }
}
`
	words = "class Words { static final String GREETING = \"hello\"; }\n"
)

func have(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestSources(t *testing.T) {
	p := newPipeline(t.TempDir())
	// A directory, with what belongs to no function, and a block in the code.
	dir := put(t, map[string]string{
		"Handler.java": "// @nuclio.configure\n//\n// function.yaml:\n//   metadata:\n//     name: blocked\n" + nuclio,
		"Words.java":   words, "data.txt": "read me",
		"HandlerTest.java": "import org.junit.Test;", "test/Other.java": "nonsense",
	})
	a, cached, err := p.Build(t.Context(), pipeline.Request{Path: dir}, t.Output())
	if err != nil || cached || a.Config.Metadata.Name != "blocked" || a.Config.Spec.Runtime != "java" {
		t.Fatalf("%+v %v %v", a.Config, cached, err)
	}
	have(t, a.Dir, "classes/Handler.class", "classes/Words.class", "src/Handler.java", "src/data.txt", "interpreter")
	if _, cached, err := p.Build(t.Context(), pipeline.Request{Path: dir}, t.Output()); err != nil || !cached {
		t.Errorf("built again: %v", err)
	}
	// One file, in a package, whose handler goes without it.
	file := filepath.Join(put(t, map[string]string{"Handler.java": "package a.b;\n" + strings.Replace(nuclio, "Words.GREETING", `"one"`, 1)}), "Handler.java")
	a, _, err = p.Build(t.Context(), pipeline.Request{Path: file, Overrides: function.Config{Spec: function.Spec{Handler: "Handler"}}}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	have(t, a.Dir, "classes/a/b/Handler.class")
}

func TestJars(t *testing.T) {
	p := newPipeline(t.TempDir())
	a, _, err := p.Build(t.Context(), pipeline.Request{Path: put(t, map[string]string{"a/Handler.java": "package a;\npublic " + strings.Replace(nuclio, "public ", "", 1), "a/Words.java": "package a;\n" + words, "Top.java": "class Top {}"})}, t.Output())
	if err == nil {
		t.Fatal("a package in front of imports after a modifier compiles")
	}
	code := "package a;\n" + nuclio
	a, _, err = p.Build(t.Context(), pipeline.Request{Path: put(t, map[string]string{"Handler.java": code, "Words.java": "package a;\n" + words})}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	jar := filepath.Join(t.TempDir(), "function.jar")
	pack(t, jar, filepath.Join(a.Dir, "classes"), map[string]string{"function.yaml": "metadata: {name: from-jar}\n", "META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n"})
	a, _, err = p.Build(t.Context(), pipeline.Request{Path: jar}, t.Output())
	if err != nil || a.Config.Metadata.Name != "from-jar" {
		t.Fatalf("%s %v", a.Config.Metadata.Name, err)
	}
	have(t, a.Dir, "classes/a/Handler.class")
	// The same beside a function.yaml, and as a library of a source.
	text, err := os.ReadFile(jar)
	if err != nil {
		t.Fatal(err)
	}
	a, _, err = p.Build(t.Context(), pipeline.Request{Path: put(t, map[string]string{"f.jar": string(text), "function.yaml": "metadata: {name: x}\nspec: {runtime: java, handler: \"f.jar:a.Handler\"}\n"})}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	have(t, a.Dir, "lib/f.jar")
	a, _, err = p.Build(t.Context(), pipeline.Request{Path: put(t, map[string]string{"libs/f.jar": string(text), "Own.java": "public class Own extends a.Handler {}\n"})}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	have(t, a.Dir, "lib/f.jar", "classes/Own.class")
}

// pack makes a jar of a directory and more files.
func pack(t *testing.T, jar, dir string, more map[string]string) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	err := z.AddFS(os.DirFS(dir))
	for name, text := range more {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(err, z.Close(), os.WriteFile(jar, b.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestMistakes(t *testing.T) {
	p := newPipeline(t.TempDir())
	ok := map[string]string{"Handler.java": nuclio, "Words.java": words}
	for name, c := range map[string]struct {
		files map[string]string
		spec  function.Spec
		file  string
		line  int
		text  string
		want  string
	}{
		"syntax":         {files: map[string]string{"a/B.java": "class B {\n  int x = ;\n}\n", "Handler.java": nuclio}, file: "a/B.java", line: 2, text: "  int x = ;", want: "illegal start of expression"},
		"symbol":         {files: map[string]string{"Handler.java": nuclio}, file: "Handler.java", line: 3, want: "cannot find symbol"},
		"no class":       {files: ok, spec: function.Spec{Handler: "Nope"}, want: "spec.handler: there is no class Nope (handlers: Handler)"},
		"case":           {files: ok, spec: function.Spec{Handler: "x:handler"}, want: "spec.handler: there is no class handler"},
		"no handler":     {files: ok, spec: function.Spec{Handler: "Words"}, want: "class Words implements neither io.nuclio.EventHandler nor run.myelin.MyelinHandler"},
		"several":        {files: map[string]string{"Handler.java": nuclio, "Words.java": words, "B.java": "public class B extends Handler {}"}, want: "there are several: B, Handler"},
		"none":           {files: map[string]string{"Words.java": words}, want: "no class implements"},
		"no constructor": {files: map[string]string{"Words.java": words, "Handler.java": strings.Replace(nuclio, "{\n", "{\n  Handler(int x) {}\n", 1)}, want: "no constructor without parameters"},
		"empty":          {files: map[string]string{"x.txt": "", "function.yaml": "spec: {runtime: java}\n"}, want: "there is no *.java"},
		"dependency":     {files: ok, spec: function.Spec{Build: function.Build{Dependencies: []string{"gson"}}}, want: "is not group:artefact:version"},
		"injection":      {files: ok, spec: function.Spec{Build: function.Build{Dependencies: []string{"a:b:1</version>"}}}, want: "is not group:artefact:version"},
		"command":        {files: ok, spec: function.Spec{Build: function.Build{Commands: []string{"apt install x"}}}, want: "a Java build runs no commands"},
		"version":        {files: ok, spec: function.Spec{Runtime: "java:99"}, want: "java 99 not found"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := p.Build(t.Context(), pipeline.Request{Path: put(t, c.files), Overrides: function.Config{Spec: c.spec}}, io.Discard)
			var mistake *build.Error
			if !errors.As(err, &mistake) || !strings.Contains(mistake.Msg, c.want) || mistake.File != c.file || mistake.Line != c.line || c.text != "" && mistake.Text != c.text {
				t.Errorf("got %+v (%v)", mistake, err)
			}
		})
	}
}

// needMaven leaves a test out where Maven is not there or cannot fetch.
func needMaven(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("mvn"); err != nil {
		t.Skip("there is no mvn")
	}
}

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>g</groupId><artifactId>f</artifactId><version>1</version>
  <properties>
    <maven.compiler.source>17</maven.compiler.source><maven.compiler.target>17</maven.compiler.target>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
  <dependencies>
    <dependency><groupId>io.nuclio</groupId><artifactId>nuclio-sdk-java</artifactId><version>1.1.0</version></dependency>
    <dependency><groupId>com.google.code.gson</groupId><artifactId>gson</artifactId><version>2.10.1</version></dependency>
  </dependencies>
</project>
`

func TestMaven(t *testing.T) {
	needMaven(t)
	p := newPipeline(t.TempDir())
	files := map[string]string{"pom.xml": pom, "src/main/java/Words.java": "class Words { static final String GREETING = new com.google.gson.Gson().toJson(\"hello\"); }\n",
		"src/main/java/Handler.java": nuclio, "src/main/resources/r.txt": "resource"}
	var log bytes.Buffer
	a, _, err := p.Build(t.Context(), pipeline.Request{Path: put(t, files)}, &log)
	unreachable(t, err)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	have(t, a.Dir, "function.jar", "lib/gson-2.10.1.jar", "src/pom.xml")
	if sdk, _ := filepath.Glob(filepath.Join(a.Dir, "lib", "*nuclio*")); len(sdk) > 0 {
		t.Errorf("the sdk is in the artefact: %v", sdk)
	}
	// Without a network it works by what was fetched, and a mistake has its place.
	files["src/main/java/Words.java"] = "class Words {\n  static final String GREETING = 1;\n}\n"
	_, _, err = p.Build(t.Context(), pipeline.Request{Path: put(t, files), Overrides: function.Config{Spec: function.Spec{Build: function.Build{Offline: true}}}}, io.Discard)
	var mistake *build.Error
	if !errors.As(err, &mistake) || mistake.File != "src/main/java/Words.java" || mistake.Line != 2 || !strings.Contains(mistake.Msg, "incompatible types") {
		t.Errorf("got %+v (%v)", mistake, err)
	}
}

func unreachable(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.Contains(err.Error(), "Could not transfer ") {
		t.Skipf("Maven Central cannot be reached: %v", err)
	}
}

func TestDependencies(t *testing.T) {
	needMaven(t)
	data := t.TempDir()
	p := newPipeline(data)
	spec := function.Spec{Build: function.Build{Dependencies: []string{"com.google.code.gson:gson:2.10.1"}}}
	files := map[string]string{"Handler.java": nuclio, "Words.java": "class Words { static final String GREETING = new com.google.gson.Gson().toJson(\"hello\"); }\n"}
	a, _, err := p.Build(t.Context(), pipeline.Request{Path: put(t, files), Overrides: function.Config{Spec: spec}}, t.Output())
	unreachable(t, err)
	if err != nil {
		t.Fatal(err)
	}
	have(t, a.Dir, "lib/gson-2.10.1.jar")
	files["more.txt"] = "" // the libraries are kept, and Maven is not asked
	var log bytes.Buffer
	if _, _, err := p.Build(t.Context(), pipeline.Request{Path: put(t, files), Overrides: function.Config{Spec: spec}}, &log); err != nil || !strings.Contains(log.String(), "dependencies are unchanged") {
		t.Errorf("%v\n%s", err, log.String())
	}
	spec.Build.Dependencies = []string{"com.google.code.gson:gson:0.0.0-none"}
	_, _, err = p.Build(t.Context(), pipeline.Request{Path: put(t, files), Overrides: function.Config{Spec: spec}}, io.Discard)
	var mistake *build.Error
	if !errors.As(err, &mistake) {
		t.Errorf("got %v", err)
	} else if unreachable(t, errors.New(mistake.Output)); !strings.Contains(mistake.Msg, "gson:jar:0.0.0-none") {
		t.Errorf("got %v\n%s", err, mistake.Output)
	}
	if left, _ := os.ReadDir(filepath.Join(data, "cache", "java")); slices.ContainsFunc(left, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), ".tmp") }) {
		t.Errorf("left %v", left)
	}
}
