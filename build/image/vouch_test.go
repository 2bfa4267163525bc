package image

import (
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// TestSignatures: signatures are kept beside the image as Cosign does, each once,
// and one whose content was changed is an error.
func TestSignatures(t *testing.T) {
	d := depot(t)
	_, digest, places := beside(t, d)
	one, two := Signature{[]byte(`{"a":1}`), []byte("first")}, Signature{[]byte(`{"a":1}`), []byte("second")}
	for _, place := range places {
		if all, err := d.Signatures(t.Context(), place, digest); err != nil || len(all) != 0 {
			t.Errorf("%s: at first %v, %v", place, all, err)
		}
		for _, s := range []Signature{one, two, one} {
			if err := d.AddSignature(t.Context(), place, digest, s); err != nil {
				t.Fatal(err)
			}
		}
		all, err := d.Signatures(t.Context(), place, digest)
		if err != nil || len(all) != 2 || string(all[0].Signature) != "first" || string(all[1].Payload) != string(two.Payload) {
			t.Errorf("%s: %v, %v", place, all, err)
		}
		back, err := d.Base(t.Context(), place, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		if now, err := back.Digest(); err != nil || now != digest {
			t.Errorf("%s: the image is %s, %v", place, now, err)
		}
	}
	// The layer of a layout is on the disk, where it can be changed.
	dir := strings.TrimPrefix(places[0], "oci:")
	blob, _, err := v1.SHA256(strings.NewReader(string(one.Payload)))
	if err != nil {
		t.Fatal(err)
	}
	write(t, blobOf(dir, blob), `{"a":2}`, 0o600)
	if _, err := d.Signatures(t.Context(), places[0], digest); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("changed: %v", err)
	}
	if _, err := layout.FromPath(dir); err != nil {
		t.Error(err)
	}
	// A registry has them under the tag that Cosign looks for.
	name := strings.TrimSuffix(places[1], ":1") + ":" + digest.Algorithm + "-" + digest.Hex + ".sig"
	found, err := d.pull(t.Context(), strings.TrimPrefix(name, "image:"), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	m, err := found.Manifest()
	if err != nil || len(m.Layers) != 2 || m.Layers[0].MediaType != "application/vnd.dev.cosign.simplesigning.v1+json" || m.Layers[0].Annotations["dev.cosignproject.cosign/signature"] != "Zmlyc3Q=" {
		t.Errorf("%+v, %v", m, err)
	}
	if err := d.AddSignature(t.Context(), "tar:"+filepath.Join(t.TempDir(), "x.tar"), digest, one); err == nil || !strings.Contains(err.Error(), "oci:DIR") {
		t.Errorf("of an archive: %v", err)
	}
}
