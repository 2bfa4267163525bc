package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Kinds of places where images are.
const (
	OCI      = "oci"   // oci:DIR, an image layout
	Tar      = "tar"   // tar:FILE, for `docker load` and `ctr images import`
	Registry = "image" // image:NAME, in a registry
)

// Split tells the kind of a place from its name. What has no kind is a name in a
// registry.
func Split(place string) (kind, rest string) {
	kind, rest, found := strings.Cut(place, ":")
	if found && (kind == OCI || kind == Tar || kind == Registry) {
		return kind, rest
	}
	return Registry, place
}

// IsPlace tells a place of images from a directory's name.
func IsPlace(s string) bool {
	kind, rest := Split(s)
	return rest != s && kind != ""
}

// Write puts img at a place, all or nothing, and returns its digest. tag is what
// an engine that loads it calls it.
func (d Depot) Write(ctx context.Context, img v1.Image, place, tag string) (v1.Hash, error) {
	digest, err := img.Digest()
	if err != nil {
		return digest, err
	}
	kind, rest := Split(place)
	switch kind {
	case OCI:
		err = writeLayout(img, rest)
	case Tar:
		err = writeTarball(img, rest, tag)
	default:
		err = d.push(ctx, img, rest)
	}
	if err != nil {
		return digest, fmt.Errorf("write image to %s: %w", place, err)
	}
	return digest, nil
}

// aside has write make something beside path, and puts it in its place.
func aside(path string, write func(tmp string) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".myelin-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	tmp := filepath.Join(dir, filepath.Base(path))
	if err := write(tmp); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func writeLayout(img v1.Image, dir string) error {
	return layoutOf(dir, func(path layout.Path, tmp string) error {
		if err := linkLayers(img, tmp); err != nil {
			return err
		}
		return path.AppendImage(img)
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func writeTarball(img v1.Image, file, tag string) error {
	ref, err := (&Registries{}).reference(tag)
	if err != nil {
		return err
	}
	return aside(filepath.Clean(file), func(tmp string) error { return tarball.WriteToFile(tmp, ref, img) })
}

// options are those of every talk with a registry: the credentials that
// `docker login` and its helpers keep.
func (d Depot) options(ctx context.Context, more ...remote.Option) []remote.Option {
	return append([]remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("myelin"),
		remote.WithTransport(d.registries().client)}, more...)
}

// registries are those that were given, or none that needs more than its name.
func (d Depot) registries() *Registries {
	if d.Registries != nil {
		return d.Registries
	}
	none, _ := NewRegistries(nil) // fails for what is in the list only
	return none
}

func (d Depot) push(ctx context.Context, img v1.Image, to string) error {
	ref, err := d.registries().reference(to)
	if err != nil {
		return err
	}
	return hint(ref, remote.Write(ref, img, d.options(ctx)...))
}

func (d Depot) pull(ctx context.Context, from, architecture string) (v1.Image, error) {
	ref, err := d.registries().reference(from)
	if err != nil {
		return nil, err
	}
	return tryEach(d.registries(), ref, func(source name.Reference) (v1.Image, error) {
		return remote.Image(source, d.options(ctx, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: architecture}))...)
	})
}
