package dockerfile

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/moby/moby/client"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/transfer"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
)

var shared servers.Pool

func TestMain(m *testing.M) { os.Exit(shared.Run(m)) }

// tools are what the steps of the tests run.
var tools = []string{"/bin/sh", "/bin/cat", "/bin/sleep", "/bin/ls"}

// loaded finds the libraries that a program loads.
var loaded = regexp.MustCompile(`/\S+\.so\S*`)

// base is an image of this machine's shell and a few programs.
var base = sync.OnceValues(func() (v1.Image, error) {
	files := slices.Clone(tools)
	for _, tool := range tools {
		out, err := exec.Command("ldd", tool).CombinedOutput()
		if err != nil {
			return nil, err
		}
		files = append(files, loaded.FindAllString(string(out), -1)...)
	}
	slices.Sort(files)
	var archive bytes.Buffer
	t := tar.NewWriter(&archive)
	for _, path := range slices.Compact(files) {
		content, err := os.ReadFile(path)
		if err == nil {
			err = t.WriteHeader(&tar.Header{Name: path[1:], Mode: 0o755, Size: int64(len(content))})
		}
		if err == nil {
			_, err = t.Write(content)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil })
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	c, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	c = c.DeepCopy()
	c.OS, c.Architecture = "linux", "amd64"
	return mutate.ConfigFile(img, c)
})

// world is a builder with an engine.
type world struct {
	*Builder
	t    *testing.T
	base v1.Image
}

func newWorld(t *testing.T, engine *servers.Server) world {
	t.Helper()
	return worldIn(t, engine.Addr, t.TempDir())
}

func worldIn(t *testing.T, host, data string) world {
	t.Helper()
	b := New(Options{Data: data, Engine: func() (*client.Client, error) { return client.New(client.WithHost(host)) }})
	if err := b.reach(); err != nil {
		t.Fatal(err)
	}
	img, err := base()
	if err != nil {
		t.Fatal(err)
	}
	return world{b, t, img}
}

// request is what a function with these settings asks for.
func (w world) request(b function.Build) Request {
	w.t.Helper()
	p, err := Read(b, func([]string) bool { return false })
	if err != nil {
		w.t.Fatal(err)
	}
	return Request{Plan: p, Name: "shop." + w.t.Name(), Base: w.base, Values: b.Args}
}

func (w world) apply(r Request) (v1.Image, string) {
	w.t.Helper()
	var log bytes.Buffer
	img, err := w.Apply(w.t.Context(), r, &log)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, log.String())
	}
	return img, log.String()
}

// file is one of an image, "" if it has none of that name.
func file(t *testing.T, img v1.Image, name string) string {
	t.Helper()
	r := mutate.Extract(img)
	defer r.Close()
	for files := tar.NewReader(r); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return ""
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == name {
			text, err := io.ReadAll(files)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
	}
}

// left are containers of steps, and names of what they stand on.
func (w world) left() (all []string) {
	w.t.Helper()
	containers, err := w.client.ContainerList(context.Background(), client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", transfer.LabelSteps)})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range containers.Items {
		all = append(all, c.Command)
	}
	images, err := w.client.ImageList(context.Background(), client.ImageListOptions{Filters: make(client.Filters).Add("reference", bases)})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, i := range images.Items {
		all = append(all, i.RepoTags...)
	}
	return all
}

func (w world) until(what string, done func() bool) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("no %s within a minute", what)
		}
	}
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

func directives(part string, pairs ...string) map[string][]function.Directive {
	var all []function.Directive
	for n := 0; n < len(pairs); n += 2 {
		all = append(all, function.Directive{Kind: pairs[n], Value: pairs[n+1]})
	}
	return map[string][]function.Directive{part: all}
}

// Steps make an image on their base; what they made is there for the next one, who
// needs no engine, and a further step goes on from it.
func TestSteps(t *testing.T) {
	engine := shared.Docker(t)
	w := newWorld(t, engine)
	b := function.Build{NuclioBuild: function.NuclioBuild{Args: map[string]string{"WHO": `"$(exit 7)" \`}}}
	b.Directives = directives("preCopy", "ARG", "MORE=1", "ENV", `GREETING="hello $WHO"`, "COPY", "words/one.txt /words/", "RUN", `cat /words/one.txt > /said; echo "$GREETING" >> /said`)
	r := w.request(b)
	r.Context = put(t, map[string]string{"words/one.txt": "one\n", "other": "x"})
	img, log := w.apply(r)
	if got, want := file(t, img, "said"), "one\nhello \"$(exit 7)\" \\\n"; got != want {
		t.Errorf("steps wrote %q, want %q: %s", got, want, log)
	}
	if !strings.Contains(log, "step 3 of 4, COPY words/one.txt /words/\n") {
		t.Errorf("log: %s", log)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	below, err := w.base.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if layers[0] != below[0] || len(layers) != len(below)+2 {
		t.Errorf("%d layers on %d", len(layers), len(below))
	}
	again, log := worldIn(t, "unix:///nowhere", w.o.Data).apply(r)
	same(t, img, again)
	if log != "the steps of the image are unchanged\n" {
		t.Errorf("log: %s", log)
	}
	b.Directives["preCopy"] = append(b.Directives["preCopy"], function.Directive{Kind: "RUN", Value: "echo two >> /said"})
	more := w.request(b)
	more.Context = r.Context
	_, log = w.apply(more)
	if strings.Count(log, " was done before\n") != 4 || !strings.Contains(log, "step 5 of 5, RUN echo two >> /said\n") {
		t.Errorf("log of one step more: %s", log)
	}
	// Elsewhere the engine's memory counts, and a file that no step takes changes nothing.
	if err := os.WriteFile(filepath.Join(r.Context, "other"), []byte("y"), 0o644); err != nil {
		t.Fatal(err)
	}
	again, log = newWorld(t, engine).apply(r)
	same(t, img, again)
	if strings.Count(log, " was done before\n") != 4 {
		t.Errorf("log: %s", log)
	}
	r.NoCache = true
	if _, log = w.apply(r); strings.Contains(log, "before") {
		t.Errorf("log of a build that forgets: %s", log)
	}
	if left := w.left(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func same(t *testing.T, a, b v1.Image) {
	t.Helper()
	x, err := a.Digest()
	y, err2 := b.Digest()
	if err = errors.Join(err, err2); err != nil || x != y {
		t.Errorf("image %s, and %s: %v", x, y, err)
	}
}

// A step that fails is told with its command, its exit code and what it printed.
func TestStepFails(t *testing.T) {
	w := newWorld(t, shared.Docker(t))
	for name, c := range map[string]struct {
		build        function.Build
		says, output string
	}{
		"command": {build: function.Build{Commands: []string{"echo first", "(echo some; echo words) >&2; \\", "exit 7"}},
			says: "step 2 of 2, RUN (echo some; echo words) >&2; exit 7, ended with exit code 7", output: "some\nwords"},
		"several lines":  {build: function.Build{Commands: []string{"set -e\nnosuch\necho no"}}, says: "step 1 of 1, RUN set -e ..., ended with exit code 127", output: "nosuch: not found"},
		"file":           {build: function.Build{NuclioBuild: function.NuclioBuild{Directives: directives("preCopy", "COPY", "nosuch /")}}, says: "step 1 of 1, COPY nosuch / failed: "},
		"no instruction": {build: function.Build{NuclioBuild: function.NuclioBuild{Directives: directives("preCopy", "EXPOSE", "many")}}, says: "step 1 of 1, EXPOSE many failed: "},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.request(c.build)
			r.Context = t.TempDir()
			_, err := w.Apply(t.Context(), r, io.Discard)
			var wrong *build.Error
			if !errors.As(err, &wrong) || !strings.Contains(wrong.Msg, c.says) || !strings.Contains(wrong.Output, c.output) {
				t.Errorf("%v, %+v", err, wrong)
			}
		})
	}
	if left := w.left(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
