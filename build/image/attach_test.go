package image

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/myelin-run/myelin/test/servers"
)

// beside are a layout and a registry with the same image.
func beside(t *testing.T, d Depot) (img v1.Image, digest v1.Hash, places []string) {
	t.Helper()
	home(t, `{}`)
	server := servers.Registry(t)
	img = made(t, parts(t, "x"))
	for _, place := range []string{"oci:" + filepath.Join(t.TempDir(), "layout"), "image:" + server.Addr + "/team/hello:1"} {
		var err error
		if digest, err = d.Write(t.Context(), img, place, "x:1"); err != nil {
			t.Fatal(err)
		}
		places = append(places, place)
	}
	return img, digest, places
}

// TestAttach: documents about an image are beside it, each once, and the image is
// what it was.
func TestAttach(t *testing.T) {
	d := depot(t)
	img, digest, places := beside(t, d)
	for _, place := range places {
		for _, text := range []string{"one", "two", "one"} {
			if err := d.Attach(t.Context(), place, img, "application/vnd.test+json", []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Attach(t.Context(), place, img, "application/vnd.other+json", []byte("three")); err != nil {
			t.Fatal(err)
		}
		all, err := d.Attached(t.Context(), place, digest, "application/vnd.test+json")
		slices.SortFunc(all, func(a, b []byte) int { return strings.Compare(string(a), string(b)) })
		if err != nil || fmt.Sprintf("%s", all) != "[one two]" {
			t.Errorf("%s: %s, %v", place, all, err)
		}
		back, err := d.Base(t.Context(), place, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		if now, err := back.Digest(); err != nil || now != digest {
			t.Errorf("%s: the image is %s, %v", place, now, err)
		}
		none, err := d.Attached(t.Context(), place, v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}, "application/vnd.test+json")
		if err != nil || len(none) != 0 {
			t.Errorf("%s: of another image: %s, %v", place, none, err)
		}
	}
	if err := d.Attach(t.Context(), "tar:x.tar", img, "a/b", nil); err == nil || !strings.Contains(err.Error(), "oci:DIR") {
		t.Errorf("to an archive: %v", err)
	}
}

// TestAttachAtOnce: many attach to one layout, and none is lost.
func TestAttachAtOnce(t *testing.T) {
	d := Depot{}
	img := made(t, parts(t, "x"))
	dir := filepath.Join(t.TempDir(), "layout")
	if _, err := d.Write(t.Context(), img, "oci:"+dir, "x:1"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := d.Attach(t.Context(), "oci:"+dir, img, "application/vnd.test+json", fmt.Append(nil, i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if docs, err := d.Attached(t.Context(), "oci:"+dir, digest, "application/vnd.test+json"); err != nil || len(docs) != 20 {
		t.Errorf("%d documents, %v", len(docs), err)
	}
}

// FuzzLayout: whatever a layout's index and manifest say, reading it comes to an
// end, and an image that was damaged is an error.
func FuzzLayout(f *testing.F) {
	dir := f.TempDir()
	img, err := scratch(nil, "amd64")
	if err != nil {
		f.Fatal(err)
	}
	if err := writeLayout(img, dir+"/seed"); err != nil {
		f.Fatal(err)
	}
	index, err := os.ReadFile(dir + "/seed/index.json")
	if err != nil {
		f.Fatal(err)
	}
	manifest, err := img.RawManifest()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(index, manifest)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:x","size":1}]}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, index, manifest []byte) {
		dir := t.TempDir()
		_, err := layout.Write(dir, empty.Index)
		if err != nil {
			t.Fatal(err)
		}
		digest, _, err := v1.SHA256(strings.NewReader(string(manifest)))
		if err != nil {
			t.Fatal(err)
		}
		write(t, blobOf(dir, digest), string(manifest), 0o600)
		write(t, filepath.Join(dir, "index.json"), string(index), 0o600)
		if base, err := Base(t.Context(), "oci:"+dir, "amd64"); err == nil {
			_ = validate.Image(base) // an error, and no panic
		}
		_, _ = Depot{}.Attached(t.Context(), "oci:"+dir, digest, "a/b")
	})
}
