package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Scratch is the base of programs that need nothing: a directory for temporary
// files, a name for their user, and the certificates that this machine trusts.
const Scratch = "scratch"

// certificates are where Debian, Red Hat and Alpine keep those that they trust.
var certificates = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}

// Depot opens bases and writes images. The zero Depot keeps nothing.
type Depot struct {
	// Layers keeps what was compressed; nil for nothing.
	Layers *Layers
	// Registries are how registries are talked with; nil for those that need no more
	// than their names.
	Registries *Registries
}

// Base is that of the zero [Depot].
func Base(ctx context.Context, ref, architecture string) (v1.Image, error) {
	return Depot{}.Base(ctx, ref, architecture)
}

// Write is that of the zero [Depot].
func Write(ctx context.Context, img v1.Image, place, tag string) (v1.Hash, error) {
	return Depot{}.Write(ctx, img, place, tag)
}

// Base opens the image that others stand on: [Scratch], "oci:DIR" (an image
// layout), "tar:FILE" (from `docker save`), or a name in a registry, with a
// digest ("debian@sha256:...") to be sure of it. An image for several machines is
// that for architecture, "amd64" or "arm64"; an archive may be asked for any, "".
func (d Depot) Base(ctx context.Context, ref, architecture string) (img v1.Image, err error) {
	kind, rest := Split(ref)
	switch {
	case ref == Scratch || ref == "":
		return scratch(d.Layers, architecture)
	case kind == OCI:
		img, err = fromLayout(rest, architecture)
	case kind == Tar:
		img, err = tarball.ImageFromPath(rest, nil)
	default:
		img, err = d.pull(ctx, rest, architecture)
	}
	if err != nil {
		return nil, fmt.Errorf("open base image %s: %w", ref, err)
	}
	return img, fits(img, ref, architecture)
}

// fits refuses a base of another architecture, on which nothing would run.
func fits(img v1.Image, ref, architecture string) error {
	c, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("open base image %s: %w", ref, err)
	}
	if architecture != "" && c.Architecture != "" && c.Architecture != architecture {
		return fmt.Errorf("base image %s is for %s, not for %s", ref, c.Architecture, architecture)
	}
	return nil
}

func scratch(layers *Layers, architecture string) (v1.Image, error) {
	files := []file{
		{path: "/tmp", mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{path: "/etc/passwd", data: []byte("root:x:0:0:root:/:/sbin/nologin\nfunction:x:65532:65532:function:/tmp:/sbin/nologin\n"), mode: 0o644},
		{path: "/etc/group", data: []byte("root:x:0:\nfunction:x:65532:\n"), mode: 0o644},
	}
	for _, from := range certificates {
		if _, err := os.Stat(from); err == nil {
			files = append(files, file{path: certificates[0], from: from, mode: 0o644})
			break
		}
	}
	layer, err := layers.of(files)
	if err != nil {
		return nil, fmt.Errorf("make base image: %w", err)
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if img, err = mutate.AppendLayers(img, layer); err != nil {
		return nil, fmt.Errorf("make base image: %w", err)
	}
	c, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("make base image: %w", err)
	}
	c = c.DeepCopy()
	c.OS, c.Architecture = "linux", architecture
	return mutate.ConfigFile(img, c)
}

// fromLayout opens the only image of a layout, or the only one for architecture.
func fromLayout(dir, architecture string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	if index, err = within(index); err != nil {
		return nil, err
	}
	found, err := partial.FindImages(index, func(d v1.Descriptor) bool {
		return d.MediaType.IsImage() && isRunnable(d) && (d.Platform == nil || d.Platform.Architecture == architecture)
	})
	if err != nil {
		return nil, err
	}
	switch len(found) {
	case 1:
		return located{found[0], dir}, nil
	case 0:
		return nil, errors.New("the layout has no image for " + architecture)
	}
	return nil, fmt.Errorf("the layout has %d images for %s", len(found), architecture)
}

// within is the index of a layout that has nothing else to run.
func within(index v1.ImageIndex) (v1.ImageIndex, error) {
	list, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var inner []v1.Descriptor
	for _, d := range list.Manifests {
		if isRunnable(d) {
			inner = append(inner, d)
		}
	}
	if len(inner) == 1 && inner[0].MediaType.IsIndex() {
		return index.ImageIndex(inner[0].Digest)
	}
	return index, nil
}

// Architecture is this machine's.
func Architecture() string { return runtime.GOARCH }
