package image

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/myelin-run/myelin/test/servers"
)

// several makes images for two architectures, and puts them at a place.
func several(t *testing.T, d Depot, place string) map[string]v1.Image {
	t.Helper()
	images := map[string]v1.Image{}
	for _, architecture := range []string{"amd64", "arm64"} {
		p := parts(t, architecture)
		var err error
		if p.Base, err = d.Base(t.Context(), Scratch, architecture); err != nil {
			t.Fatal(err)
		}
		images[architecture] = made(t, p)
	}
	if _, err := d.WriteAll(t.Context(), images, place); err != nil {
		t.Fatal(err)
	}
	return images
}

const billType = "application/vnd.cyclonedx+json"

// dressed gives the images at a place all that can be beside them: signatures of
// the index and of each image, a bill of materials of each with a note of its own,
// and a signature as Cosign writes it, which has the configuration of an image.
func dressed(t *testing.T, d Depot, place string, images map[string]v1.Image) []v1.Hash {
	t.Helper()
	digests, err := d.Digests(t.Context(), place, "")
	if err != nil || len(digests) != 3 {
		t.Fatalf("%v, %v", digests, err)
	}
	for _, digest := range digests[:2] {
		if err := d.AddSignature(t.Context(), place, digest, Signature{[]byte("payload of " + digest.Hex), []byte("signature")}); err != nil {
			t.Fatal(err)
		}
	}
	for architecture, img := range images {
		if err := d.Attach(t.Context(), place, img, billType, []byte("bill for "+architecture)); err != nil {
			t.Fatal(err)
		}
		bill, err := newDocument(img, billType, []byte("bill for "+architecture))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Attach(t.Context(), place, bill, "text/plain", []byte("checked")); err != nil {
			t.Fatal(err)
		}
	}
	return digests
}

// TestCopyAll: a name is copied with the images for all machines and all that is
// beside them, from registry to registry, to a layout, from there to another, and back.
func TestCopyAll(t *testing.T) {
	home(t, `{}`)
	one, two := servers.Registry(t), servers.Registry(t)
	d := depot(t)
	first := "image:" + one.Addr + "/team/hello:1"
	images := several(t, d, first)
	digests := dressed(t, d, first, images)
	cosigned := cosignSigned(t, d, one.Addr+"/team/hello", digests[2])

	dir := t.TempDir()
	path := []string{"image:" + two.Addr + "/other/hello:2", "oci:" + filepath.Join(dir, "a"), "oci:" + filepath.Join(dir, "b"), "image:" + two.Addr + "/back:1"}
	from := first
	for _, to := range path {
		digest, err := d.Copy(t.Context(), from, to, "")
		if err != nil || digest != digests[0] {
			t.Fatalf("from %s to %s: %s instead of %s, %v", from, to, digest, digests[0], err)
		}
		from = to
		whole(t, d, to, digests, images, cosigned)
	}
	// What is there is not sent again, and is no error.
	if _, err := d.Copy(t.Context(), first, path[0], ""); err != nil {
		t.Error(err)
	}
	alone(t, d, first, images)
}

// whole checks what was copied.
func whole(t *testing.T, d Depot, place string, digests []v1.Hash, images map[string]v1.Image, cosigned v1.Hash) {
	t.Helper()
	now, err := d.Digests(t.Context(), place, "")
	if err != nil || !slices.Equal(now, digests) {
		t.Errorf("%s: %v instead of %v, %v", place, now, digests, err)
	}
	for architecture, img := range images {
		back, err := d.Base(t.Context(), place, architecture)
		if err != nil {
			t.Fatal(err)
		}
		if contentOf(t, back) != contentOf(t, img) {
			t.Errorf("%s: the image for %s is another", place, architecture)
		}
		attached(t, d, place, img, billType, "bill for "+architecture)
		bill, err := newDocument(img, billType, []byte("bill for "+architecture))
		if err != nil {
			t.Fatal(err)
		}
		attached(t, d, place, bill, "text/plain", "checked")
	}
	for _, digest := range digests {
		all, err := d.Signatures(t.Context(), place, digest)
		if err != nil || len(all) != 1 || string(all[0].Payload) != "payload of "+digest.Hex {
			t.Errorf("%s: signatures of %s: %q, %v", place, digest, all, err)
		}
	}
	if img, err := d.signatureImage(t.Context(), place, digests[2]); err != nil || digest(t, img) != cosigned.String() {
		t.Errorf("%s: Cosign's signature is another, %v", place, err)
	}
}

func attached(t *testing.T, d Depot, place string, about Described, mediaType, want string) {
	t.Helper()
	digest, err := about.(interface{ Digest() (v1.Hash, error) }).Digest()
	if err != nil {
		t.Fatal(err)
	}
	all, err := d.Attached(t.Context(), place, digest, mediaType)
	if err != nil || len(all) != 1 || string(all[0]) != want {
		t.Errorf("%s: %s of %s: %q, %v", place, mediaType, digest, all, err)
	}
}

// alone checks the copy of one image of several, and what an archive has room for.
func alone(t *testing.T, d Depot, from string, images map[string]v1.Image) {
	t.Helper()
	to := "oci:" + filepath.Join(t.TempDir(), "arm")
	got, err := d.Copy(t.Context(), from, to, "arm64")
	if err != nil || got.String() != digest(t, images["arm64"]) {
		t.Fatalf("%s, %v", got, err)
	}
	attached(t, d, to, images["arm64"], billType, "bill for arm64")
	if all, err := d.Signatures(t.Context(), to, got); err != nil || len(all) != 1 {
		t.Errorf("%q, %v", all, err)
	}
	if now, err := d.Digests(t.Context(), to, ""); err != nil || !slices.Equal(now, []v1.Hash{got}) {
		t.Errorf("%v, %v", now, err)
	}
	archive := "tar:" + filepath.Join(t.TempDir(), "x.tar")
	if _, err := d.Copy(t.Context(), from, archive, ""); err == nil || !strings.Contains(err.Error(), "--architecture") {
		t.Errorf("all to an archive: %v", err)
	}
	if _, err := d.Copy(t.Context(), from, archive, "arm64"); err != nil {
		t.Error(err)
	}
	if _, err := d.Copy(t.Context(), archive, "oci:"+filepath.Join(t.TempDir(), "y"), ""); err != nil {
		t.Error(err)
	}
}

// cosignSigned adds a signature in the form of Cosign, which is an image without
// anything to run.
func cosignSigned(t *testing.T, d Depot, repository string, of v1.Hash) v1.Hash {
	t.Helper()
	base, err := Base(t.Context(), Scratch, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.Append(mutate.MediaType(base, types.OCIManifestSchema1), mutate.Addendum{
		Layer: static.NewLayer([]byte("payload of "+of.Hex), signedPayload), Annotations: map[string]string{signatureNote: "c2lnbmF0dXJl"}})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := d.registries().reference(repository + ":" + signatureTag(of))
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img, d.options(t.Context())...); err != nil {
		t.Fatal(err)
	}
	hash, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// TestCopyMirror: what is beside an image comes from the mirror that has the image.
func TestCopyMirror(t *testing.T) {
	home(t, `{}`)
	mirror := servers.Registry(t)
	plain := depot(t)
	place := "image:" + mirror.Addr + "/team/hello:1"
	images := several(t, plain, place)
	dressed(t, plain, place, images)
	d := depot(t, RegistryEntry{Host: "registry.example.invalid", Mirrors: []string{mirror.Addr}})
	for _, architecture := range []string{"", "arm64"} {
		to := "oci:" + filepath.Join(t.TempDir(), "layout")
		if _, err := d.Copy(t.Context(), "registry.example.invalid/team/hello:1", to, architecture); err != nil {
			t.Fatal(err)
		}
		attached(t, d, to, images["arm64"], billType, "bill for arm64")
	}
}
