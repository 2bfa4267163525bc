package sbom

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/myelin-run/myelin/test/servers"
)

type entry struct {
	name string
	data []byte
	mode int64
}

func archive(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if e.mode == 0 {
			e.mode = 0o644
		}
		if err := w.WriteHeader(&tar.Header{Name: e.name, Size: int64(len(e.data)), Mode: e.mode}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jar(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, text := range files {
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// everything has a package of each kind, and what looks like one and is none.
func everything(t testing.TB) []byte {
	t.Helper()
	self, err := os.ReadFile(os.Args[0]) // a program in Go
	if err != nil {
		t.Fatal(err)
	}
	return archive(t,
		entry{name: "etc/os-release", data: []byte("ID=debian\nVERSION_ID=\"12\"\n")},
		entry{name: "var/lib/dpkg/status.d/libc6_amd64", data: []byte("Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9+deb12u4\nDescription: x\n goes: on\n")},
		entry{name: "./var/lib/dpkg/status", data: []byte("Package: dash\nStatus: install ok installed\nVersion: 0.5\nArchitecture: arm64\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n")},
		entry{name: "myelin/function/site-packages/Tea_Pot-1.2.dist-info/METADATA", data: []byte("Metadata-Version: 2.1\nName: Tea_Pot\nVersion: 1.2\n\nName: other\n")},
		entry{name: "myelin/function/node_modules/@a/b/package.json", data: []byte(`{"name":"@a/b","version":"2.0.0"}`)},
		entry{name: "myelin/function/node_modules/c/package.json", data: []byte(`{"name":"c","version":"3.0.0","other":[1]}`)},
		entry{name: "myelin/function/node_modules/c/lib/package.json", data: []byte(`{"name":"no","version":"1"}`)},
		entry{name: "myelin/function/node_modules/d/package.json", data: []byte(`{"name":`)},
		entry{name: "myelin/function/lib/tea-4.5.jar", data: jar(t, map[string]string{"META-INF/maven/org.tea/tea/pom.properties": "#x\ngroupId=org.tea\nartifactId=tea\nversion=4.5\n", "A.class": "x"})},
		entry{name: "myelin/function/lib/plain-1.0.jar", data: jar(t, map[string]string{"A.class": "x"})},
		entry{name: "myelin/function/lib/broken.jar", data: []byte("PK no")},
		entry{name: "myelin/bin/processor", data: self, mode: 0o755},
		entry{name: "bin/sh", data: []byte("\x7fELF no Go"), mode: 0o755},
		entry{name: "bin/x", data: []byte("#!"), mode: 0o755},
	)
}

func TestScan(t *testing.T) {
	found, err := Scan(bytes.NewReader(everything(t)))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	modules := 0
	for _, p := range found {
		if p.Kind == "golang" {
			modules++
			continue
		}
		all = append(all, p.PURL())
	}
	slices.Sort(all)
	want := []string{"pkg:deb/debian/dash@0.5?arch=arm64&distro=debian-12", "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12", "pkg:generic/plain@1.0", "pkg:maven/org.tea/tea@4.5",
		"pkg:npm/%40a/b@2.0.0", "pkg:npm/c@3.0.0", "pkg:pypi/tea-pot@1.2"}
	if !slices.Equal(all, want) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(all, "\n"), strings.Join(want, "\n"))
	}
	if modules < 1 { // what go test builds names no others; test/e2e looks for those of the processor
		t.Errorf("no modules of Go")
	}
	if _, err := Scan(strings.NewReader("no archive at all, but long enough" + strings.Repeat("x", 600))); err == nil {
		t.Error("read what is no archive")
	}
}

// TestSchema: the documents are what CycloneDX's own schema takes, and the same
// when they are made again.
func TestSchema(t *testing.T) {
	found, err := Scan(bytes.NewReader(everything(t)))
	if err != nil {
		t.Fatal(err)
	}
	subject := Subject{Kind: "container", Name: "hello", Digest: "sha256:" + strings.Repeat("ab", 32), Maker: "v1"}
	text, err := Document(subject, found)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(found)
	again, err := Document(subject, append(found, found...))
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("another document, %v", err)
	}
	valid := schema(t)
	check := func(text []byte) error {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		return errors.Join(err, valid.Validate(v))
	}
	if err := check(text); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	if err := check(bytes.Replace(text, []byte(`"type": "container"`), []byte(`"type": "box"`), 1)); err == nil {
		t.Error("the schema takes anything")
	}
	none, err := Document(Subject{Kind: "application", Name: "x", Digest: "sha256:1"}, nil)
	if err != nil || check(none) != nil {
		t.Errorf("of nothing: %v, %v", err, check(none))
	}
}

func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir, err := servers.CycloneDXSchemas()
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	for name, file := range map[string]string{"bom-1.6": "bom-1.6", "spdx": "spdx", "jsf-0.82": "jsf-0.82"} {
		text, err := os.ReadFile(filepath.Join(dir, file+".SNAPSHOT.schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, url := range []string{"http://cyclonedx.org/schema/" + name + ".schema.json", "http://cyclonedx.org/schema/" + name + ".SNAPSHOT.schema.json"} {
			if err := c.AddResource(url, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// FuzzScan: whatever is in a file, it is read to an end, and what comes of it is
// JSON.
func FuzzScan(f *testing.F) {
	f.Add("etc/os-release", []byte("ID=x\nVERSION_ID=\"1\""))
	f.Add("a.jar", jar(f, map[string]string{"META-INF/maven/a/b/pom.properties": "groupId=a\nartifactId=b\nversion=1\n"}))
	f.Add("node_modules/c/package.json", []byte(`{"name":"@c/d","version":"3"}`))
	f.Add("x.dist-info/METADATA", []byte("Name: x\nVersion: 1\n"))
	f.Add("var/lib/dpkg/status", []byte("Package: dash\nVersion: 0.5\n\nPackage: x\n"))
	f.Add("p", []byte("\x7fELF\x02\x01\x01"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		var s scanner
		if err := s.file(name, &tar.Header{Mode: 0o755, Size: int64(len(data))}, bytes.NewReader(data)); err != nil {
			t.Error(err)
		}
		text, err := Document(Subject{Kind: "container", Name: "x", Digest: "sha256:1"}, s.packages())
		if err != nil || !json.Valid(text) {
			t.Errorf("%v: %s", err, text)
		}
	})
}
