package image

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// located is an image of a layout, whose layers are files of this machine.
type located struct {
	v1.Image
	dir string
}

// locatedLayer is one of its layers.
type locatedLayer struct {
	v1.Layer
	path string
}

func (l locatedLayer) place() string { return l.path }

func (l located) locate(layer v1.Layer, err error) (v1.Layer, error) {
	if err != nil {
		return nil, err
	}
	digest, err := layer.Digest()
	if err != nil {
		return nil, err
	}
	return locatedLayer{layer, blobOf(l.dir, digest)}, nil
}

func (l located) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	return l.locate(l.Image.LayerByDigest(h))
}
func (l located) LayerByDiffID(h v1.Hash) (v1.Layer, error) {
	return l.locate(l.Image.LayerByDiffID(h))
}

func (l located) Layers() ([]v1.Layer, error) {
	all, err := l.Image.Layers()
	for i := range all {
		if all[i], err = l.locate(all[i], err); err != nil {
			return nil, err
		}
	}
	return all, err
}

func blobOf(dir string, h v1.Hash) string { return filepath.Join(dir, "blobs", h.Algorithm, h.Hex) }

// linkLayers puts into the layout at dir, by links, those layers of img that are
// files of this machine. Where that is not possible they are copied later.
func linkLayers(img v1.Image, dir string) error {
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		from, ok := l.(interface{ place() string })
		if !ok || from.place() == "" {
			continue
		}
		digest, err := l.Digest()
		if err != nil {
			return err
		}
		to := blobOf(dir, digest)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Link(from.place(), to); err != nil && !errors.Is(err, fs.ErrExist) {
			continue
		}
	}
	return nil
}
