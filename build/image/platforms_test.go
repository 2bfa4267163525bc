package image

import (
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/myelin-run/myelin/test/servers"
)

// TestSeveralArchitectures: images for several machines are one name, of which
// each machine gets its own.
func TestSeveralArchitectures(t *testing.T) {
	home(t, `{}`)
	server := servers.Registry(t)
	d := depot(t)
	images := map[string]v1.Image{}
	for _, architecture := range []string{"amd64", "arm64"} {
		p := parts(t, architecture)
		var err error
		if p.Base, err = d.Base(t.Context(), Scratch, architecture); err != nil {
			t.Fatal(err)
		}
		images[architecture] = made(t, p)
	}
	var digests []string
	for _, place := range []string{"oci:" + filepath.Join(t.TempDir(), "layout"), "image:" + server.Addr + "/hello:1"} {
		digest, err := d.WriteAll(t.Context(), images, place)
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest.String())
		for architecture, img := range images {
			back, err := d.Base(t.Context(), place, architecture)
			if err != nil {
				t.Fatal(err)
			}
			c, err := back.ConfigFile()
			if err != nil || c.Architecture != architecture || contentOf(t, back) != contentOf(t, img) {
				t.Errorf("%s: for %s: %+v, %v", place, architecture, c, err)
			}
		}
		if _, err := d.Base(t.Context(), place, "riscv64"); err == nil || !strings.Contains(err.Error(), "riscv64") {
			t.Errorf("%s: for another: %v", place, err)
		}
	}
	if digests[0] != digests[1] {
		t.Errorf("%q", digests)
	}
	if _, err := d.WriteAll(t.Context(), images, "tar:"+filepath.Join(t.TempDir(), "x.tar")); err == nil || !strings.Contains(err.Error(), "oci:DIR") {
		t.Errorf("to an archive: %v", err)
	}
}

func contentOf(t *testing.T, img v1.Image) string {
	t.Helper()
	return content(t, img)["myelin/function/src/hello.py"] + digest(t, img)
}
