package dockerfile

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/myelin-run/myelin/build/artefact"
)

// Bounds of what is kept of what steps made.
const (
	keptMost = 2 << 30
	keptAge  = 30 * 24 * time.Hour
)

// The files of an image that is kept, beside its layers.
const (
	configFile = "config.json"
	layersFile = "layers.json"
)

func (b *Builder) images() string { return filepath.Join(b.o.Data, "steps", "images") }

// memory is the file that names what the steps of a key made.
func (b *Builder) memory(key string) string { return filepath.Join(b.o.Data, "steps", "keys", key) }

// remembered is the image that the steps of a key made, "" if that is not known.
func (b *Builder) remembered(key string) string {
	text, err := os.ReadFile(b.memory(key))
	if err != nil {
		return ""
	}
	now := time.Now()
	_ = os.Chtimes(b.memory(key), now, now) // of use to forget only
	return strings.TrimSpace(string(text))
}

// remember notes what the steps of a key made, at once; the last one counts.
func (b *Builder) remember(key, id string) error {
	path := b.memory(key)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep what steps made: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return fmt.Errorf("keep what steps made: %w", err)
	}
	_, err = fmt.Fprintln(tmp, id)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("keep what steps made: %w", err)
	}
	return nil
}

// layer is one that steps made, compressed in a file.
type layer struct {
	Diff   v1.Hash `json:"diff"`
	Sum    v1.Hash `json:"sum"`
	Length int64   `json:"length"`

	path string
}

func (l layer) Digest() (v1.Hash, error)            { return l.Sum, nil }
func (l layer) DiffID() (v1.Hash, error)            { return l.Diff, nil }
func (l layer) Size() (int64, error)                { return l.Length, nil }
func (l layer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
func (l layer) Compressed() (io.ReadCloser, error)  { return os.Open(l.path) }
func (l layer) Uncompressed() (io.ReadCloser, error) {
	in, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return unzipped{z, in}, nil
}

type unzipped struct {
	*gzip.Reader
	file io.Closer
}

func (u unzipped) Close() error { return errors.Join(u.Reader.Close(), u.file.Close()) }

// kept is an image that was kept, on the base that its steps stood on; nil for none.
func (b *Builder) kept(id string, base v1.Image) (v1.Image, error) {
	dir := filepath.Join(b.images(), strings.TrimPrefix(id, "sha256:"))
	text, err := os.ReadFile(filepath.Join(dir, configFile))
	if err != nil {
		return nil, err
	}
	config, err := v1.ParseConfigFile(strings.NewReader(string(text)))
	if err != nil {
		return nil, fmt.Errorf("read what steps made: %w", err)
	}
	own, err := ownLayers(dir)
	if err != nil {
		return nil, err
	}
	if base == nil {
		base = mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	}
	below, err := base.ConfigFile()
	if err != nil {
		return nil, err
	}
	var adds []mutate.Addendum
	for n, diff := range config.RootFS.DiffIDs {
		if n < len(below.RootFS.DiffIDs) {
			if diff != below.RootFS.DiffIDs[n] {
				return nil, errors.New("what steps made stands on something else")
			}
			continue
		}
		var l v1.Layer
		if mine, ok := own[diff]; ok {
			l = mine
		} else if l, err = base.LayerByDiffID(diff); err != nil { // a layer may be there twice
			return nil, errors.New("what steps made is not kept whole")
		}
		adds = append(adds, mutate.Addendum{Layer: l})
	}
	img, err := mutate.Append(base, adds...)
	if err != nil {
		return nil, fmt.Errorf("read what steps made: %w", err)
	}
	now := time.Now()
	_ = os.Chtimes(dir, now, now) // of use to tidy only
	return mutate.ConfigFile(img, config)
}

func ownLayers(dir string) (map[v1.Hash]layer, error) {
	text, err := os.ReadFile(filepath.Join(dir, layersFile))
	if err != nil {
		return nil, err
	}
	var all []layer
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("read what steps made: %w", err)
	}
	own := map[v1.Hash]layer{}
	for _, l := range all {
		l.path = filepath.Join(dir, l.Diff.Hex)
		if fi, err := os.Stat(l.path); err != nil || fi.Size() != l.Length {
			return nil, errors.New("what steps made is damaged")
		}
		own[l.Diff] = l
	}
	return own, nil
}

// keep takes an image out of the engine, but for the layers of its base, unless it
// is kept already.
func (b *Builder) keep(ctx context.Context, id string, base v1.Image) error {
	if err := os.MkdirAll(b.images(), 0o700); err != nil {
		return err
	}
	sound := func(string) bool { _, err := b.kept(id, base); return err == nil }
	_, _, err := artefact.Place(b.images(), strings.TrimPrefix(id, "sha256:"), sound, func(dir string) error { return b.take(ctx, id, base, dir) })
	return err
}

// take writes an image into a directory. Engines call the files of an archive in
// several ways; what is in them tells what they are.
func (b *Builder) take(ctx context.Context, id string, base v1.Image, dir string) error {
	info, err := b.client.ImageInspect(ctx, id)
	if err != nil {
		return b.problem("look for image", err)
	}
	wanted := map[string]bool{}
	for _, l := range info.RootFS.Layers {
		wanted[l] = true
	}
	if base != nil {
		c, err := base.ConfigFile()
		if err != nil {
			return err
		}
		for _, diff := range c.RootFS.DiffIDs {
			delete(wanted, diff.String())
		}
	}
	from, err := b.client.ImageSave(ctx, []string{id})
	if err != nil {
		return b.problem("save image", err)
	}
	defer from.Close()
	all := []layer{}
	for t := tar.NewReader(from); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		sum, err := spool(t, filepath.Join(dir, "spool"))
		if err != nil {
			return err
		}
		switch {
		case sum == id:
			err = os.Rename(filepath.Join(dir, "spool"), filepath.Join(dir, configFile))
		case wanted[sum]:
			delete(wanted, sum)
			var l layer
			if l, err = squeeze(dir, sum); err == nil {
				all = append(all, l)
			}
		}
		if err != nil {
			return err
		}
	}
	_ = os.Remove(filepath.Join(dir, "spool"))
	if len(wanted) > 0 {
		return fmt.Errorf("the engine's archive lacks %d layers of the image", len(wanted))
	}
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, layersFile), text, 0o600)
}

// spool writes r to a file, and says what is in it.
func spool(r io.Reader, path string) (string, error) {
	out, err := os.Create(path)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, h), r)
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), errors.Join(err, out.Close())
}

// squeeze compresses the layer that was spooled.
func squeeze(dir, sum string) (l layer, err error) {
	if l.Diff, err = v1.NewHash(sum); err != nil {
		return l, err
	}
	in, err := os.Open(filepath.Join(dir, "spool"))
	if err != nil {
		return l, err
	}
	defer in.Close()
	out, err := os.Create(filepath.Join(dir, l.Diff.Hex))
	if err != nil {
		return l, err
	}
	h := sha256.New()
	z, _ := gzip.NewWriterLevel(io.MultiWriter(out, h), gzip.BestSpeed) // fails for other levels only
	_, err = io.Copy(z, in)
	if err = errors.Join(err, z.Close()); err != nil {
		return l, errors.Join(err, out.Close())
	}
	l.Sum = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
	fi, err := out.Stat()
	if err == nil {
		l.Length = fi.Size()
	}
	return l, errors.Join(err, out.Close())
}
