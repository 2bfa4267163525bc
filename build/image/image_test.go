package image

import (
	"archive/tar"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/function"
)

// parts are of a Python function with a package, in a directory of its own.
func parts(t *testing.T, code string) Parts {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"src/hello.py": code, "src/__pycache__/hello.pyc": t.Name() + dir, "site-packages/tea/__init__.py": "# tea", "interpreter": "/usr/bin/python3"}
	for name, text := range files {
		write(t, filepath.Join(dir, name), text, 0o600)
	}
	a := build.Artefact{Dir: dir, Digest: "abc", Runtime: "python"}
	a.Config.Metadata.Name = "hello"
	a.Config.Spec.Triggers = map[string]function.Trigger{"q": {Kind: "rabbitmq", Password: "secret"}}
	base, err := Base(t.Context(), Scratch, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "processor")
	write(t, program, "program", 0o700)
	return Parts{Base: base, Artefact: a, Processor: Processor{Program: program}}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode)); err != nil {
		t.Fatal(err)
	}
	when := time.Now().Add(-time.Duration(len(path)) * time.Hour)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}

func made(t *testing.T, p Parts) v1.Image {
	t.Helper()
	img, err := Make(p)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func digest(t *testing.T, img v1.Image) string {
	t.Helper()
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

func layers(t *testing.T, img v1.Image) (digests []string) {
	t.Helper()
	all, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		d, err := l.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, d.String())
	}
	return digests
}

// TestSameAnywhere: an image has the same digest whenever and wherever it is made.
func TestSameAnywhere(t *testing.T) {
	if a, b := digest(t, made(t, parts(t, "x"))), digest(t, made(t, parts(t, "x"))); a != b {
		t.Errorf("%s, then %s", a, b)
	}
}

// TestChangeIsSmall: a change of the code is a layer of its own, small one; on a
// base that has the processor nothing else is added.
func TestChangeIsSmall(t *testing.T) {
	was, is := parts(t, "x"), parts(t, strings.Repeat("y", 1000))
	a, b := layers(t, made(t, was)), layers(t, made(t, is))
	if n := len(a); n != 4 || !slices.Equal(a[:n-1], b[:n-1]) || a[n-1] == b[n-1] {
		t.Errorf("layers\n%q\n%q", a, b)
	}
	on, err := is.Processor.On(is.Base, nil)
	if err != nil {
		t.Fatal(err)
	}
	is.Base = on
	img := made(t, is)
	if n := len(layers(t, img)) - len(layers(t, on)); n != 2 {
		t.Errorf("%d layers on a base with the processor", n)
	}
	own, err := Own(img, on)
	if err != nil || own > 10_000 {
		t.Errorf("%d bytes of its own, %v", own, err)
	}
}

// TestGround: what functions stand on is without them, and the same whatever their code is.
func TestGround(t *testing.T) {
	ground := func(code string) v1.Image {
		p := parts(t, code)
		p.Artefact.Digest = code
		img, err := Ground(p)
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	img := ground("x")
	if a, b := digest(t, img), digest(t, ground("y")); a != b {
		t.Errorf("%s, of other code %s", a, b)
	}
	files := content(t, img)
	for name := range files {
		if strings.HasPrefix(name, "myelin/function") {
			t.Errorf("%s is in it", name)
		}
	}
	c, err := img.ConfigFile()
	if err != nil || files["myelin/bin/processor"] != "program" || c.Config.Entrypoint[0] != "/myelin/bin/processor" || c.Config.Labels["run.myelin.function"] != "hello" {
		t.Errorf("%+v, %v", c, err)
	}
}

// content reads the files of an image.
func content(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	r := mutate.Extract(img)
	defer r.Close()
	files := map[string]string{}
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil || h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 0 {
			t.Errorf("%+v, %v", h, err)
		}
		files[h.Name] = string(text)
	}
}

func TestContent(t *testing.T) {
	img := made(t, parts(t, "code"))
	files := content(t, img)
	for name, want := range map[string]string{"myelin/function/src/hello.py": "code", "myelin/bin/processor": "program", "myelin/function/site-packages/tea/__init__.py": "# tea"} {
		if files[name] != want {
			t.Errorf("%s: %q", name, files[name])
		}
	}
	for name, text := range files {
		if strings.Contains(name, "pycache") || strings.Contains(text, "secret") {
			t.Errorf("%s is in the image: %s", name, text)
		}
	}
	c, err := img.ConfigFile()
	if err != nil || c.Config.User != user || strings.Join(c.Config.Entrypoint, " ") != "/myelin/bin/processor -config /myelin/processor.yaml" || c.Config.Labels["run.myelin.function"] != "hello" {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestPlaces: an image that was written is the same when it is a base.
func TestPlaces(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	img := made(t, parts(t, "x"))
	dir := t.TempDir()
	for _, place := range []string{"oci:" + dir + "/a/layout", "tar:" + dir + "/b/image.tar", "image:" + strings.TrimPrefix(server.URL, "http://") + "/some/hello:1"} {
		hash, err := Write(t.Context(), img, place, "hello:1")
		if err != nil {
			t.Fatal(err)
		}
		back, err := Base(t.Context(), place, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		if got := content(t, back); len(got) != len(content(t, img)) || got["myelin/function/src/hello.py"] != "x" {
			t.Errorf("%s: %d files", place, len(got))
		}
		if !strings.HasPrefix(place, "tar:") && digest(t, back) != hash.String() { // which has no compressed layers
			t.Errorf("%s: %s, want %s", place, digest(t, back), hash)
		}
	}
	left, err := filepath.Glob(dir + "/*/.myelin*")
	if err != nil || left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func TestProblems(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/garbage.tar", "garbage", 0o600)
	write(t, dir+"/layout/index.json", "{", 0o600)
	for ref, want := range map[string]string{
		"oci:" + dir + "/none": "no such file", "oci:" + dir + "/layout": "layout", "tar:" + dir + "/garbage.tar": "garbage.tar",
		"tar:" + dir + "/none": "no such file", "127.0.0.1:1/x": "refused", "No Such Name": "image name",
	} {
		if _, err := Base(t.Context(), ref, "amd64"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	other, err := Base(t.Context(), Scratch, "arm64")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(t.Context(), other, "oci:"+dir+"/arm", "x:1"); err != nil {
		t.Fatal(err)
	}
	if _, err := Base(t.Context(), "oci:"+dir+"/arm", "amd64"); err == nil || !strings.Contains(err.Error(), "arm64") {
		t.Errorf("another architecture: %v", err)
	}
	if _, err := Write(t.Context(), other, "oci:"+dir+"/arm", "x:1"); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("over another: %v", err)
	}
	if _, err := Write(t.Context(), other, "tar:/proc/none/x.tar", "x:1"); err == nil {
		t.Error("written to where nothing can be")
	}
	p := parts(t, "x")
	p.Artefact.Dir = dir + "/none"
	if _, err := Make(p); err == nil {
		t.Error("an artefact that is not there")
	}
}
