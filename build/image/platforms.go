package image

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// WriteAll puts images of the same function for several architectures at a place,
// under one index, and returns its digest. An archive has room for one image only.
func (d Depot) WriteAll(ctx context.Context, images map[string]v1.Image, place string) (digest v1.Hash, err error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, architecture := range slices.Sorted(maps.Keys(images)) {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: images[architecture],
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}}})
	}
	if digest, err = index.Digest(); err != nil {
		return digest, err
	}
	kind, rest := Split(place)
	switch kind {
	case Tar:
		err = errors.New("an archive of `docker load` has one image: use an image layout, oci:DIR, or a registry for several")
	case OCI:
		err = layoutOf(rest, func(path layout.Path, tmp string) error {
			for _, img := range images {
				if err := linkLayers(img, tmp); err != nil {
					return err
				}
			}
			return path.AppendIndex(index)
		})
	default:
		err = d.pushAll(ctx, index, rest)
	}
	if err != nil {
		return digest, fmt.Errorf("write images to %s: %w", place, err)
	}
	return digest, nil
}

func (d Depot) pushAll(ctx context.Context, index v1.ImageIndex, to string) error {
	ref, err := d.registries().reference(to)
	if err != nil {
		return err
	}
	return hint(ref, remote.WriteIndex(ref, index, d.options(ctx)...))
}

// layoutOf makes a layout at dir, which is not there yet, of what fill puts into it.
func layoutOf(dir string, fill func(path layout.Path, tmp string) error) error {
	if exists(dir) {
		return errors.New("it is there already")
	}
	return aside(filepath.Clean(dir), func(tmp string) error {
		path, err := layout.Write(tmp, empty.Index)
		if err != nil {
			return err
		}
		return fill(path, tmp)
	})
}
