package image

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/myelin-run/myelin/build/artefact"
)

// Layers keeps layers as they were compressed, each under the digest of what is
// in it, so that what has not changed is read and not compressed again. Any
// number of processes may use it, and be killed: a layer is there whole or not at
// all, and one that was damaged is made anew. Nil keeps nothing.
type Layers struct {
	dir  string
	most int64
	sums sums // of files outside of artefacts, in memory
}

// remembered is what is kept of sums; nil if nothing is.
func (l *Layers) remembered() *sums {
	if l == nil {
		return nil
	}
	return &l.sums
}

// Bounds of what is kept.
const (
	layersMost = 1 << 30
	layersAge  = 30 * 24 * time.Hour
)

// NewLayers names the layers that are kept in data, a directory that is made when
// it is needed.
func NewLayers(data string) *Layers {
	return &Layers{dir: filepath.Join(data, "layers"), most: layersMost}
}

// Collect removes what was not used for a month and, of the rest, what was not
// used for longest, until a gigabyte is left. It may be called while others build.
func (l *Layers) Collect() error {
	if err := artefact.Bound(l.dir, l.most, layersAge); err != nil {
		return fmt.Errorf("collect layers: %w", err)
	}
	return nil
}

// The files of a layer that is kept.
const (
	layerFile = "layer.tar.gz"
	layerMeta = "layer.json"
)

// squeezed says what a layer is when it is compressed.
type squeezed struct {
	Digest v1.Hash `json:"digest"`
	Size   int64   `json:"size"`
}

// of makes the layer of files: sorted, of root's, and of one time.
func (l *Layers) of(files []file) (v1.Layer, error) {
	files = withParents(files)
	diff := sha256.New()
	if err := writeTar(diff, files); err != nil {
		return nil, err
	}
	made := &layer{files: files, diffID: hashOf(diff)}
	if l == nil {
		var data bytes.Buffer
		err := made.squeeze(&data)
		made.data = data.Bytes()
		return made, err
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("create directory of layers: %w", err)
	}
	dir, _, err := artefact.Place(l.dir, compressor()+"-"+made.diffID.Hex, made.sound, made.keep)
	made.path = filepath.Join(dir, layerFile)
	return made, err
}

// compressor names how layers are compressed: another one makes other bytes, and
// so images of one Myelin are the same whatever another has kept.
func compressor() string { return "gzip1-" + runtime.Version() }

// layer is a layer whose compressed form is kept in a file, or in memory. The
// files that it was made of are there while it is used.
type layer struct {
	files  []file // sorted, with their directories
	diffID v1.Hash
	squeezed
	path string
	data []byte
}

func (l *layer) Digest() (v1.Hash, error)            { return l.squeezed.Digest, nil }
func (l *layer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *layer) Size() (int64, error)                { return l.squeezed.Size, nil }
func (l *layer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }

// Uncompressed reads what is kept: the files may be gone.
func (l *layer) Uncompressed() (io.ReadCloser, error) {
	in, err := os.Open(l.path)
	if err != nil {
		return piped(l.files, nopCloser), nil //nolint:nilerr // nothing is kept, or somebody has collected it
	}
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{z, in}, nil
}

// Compressed reads what is kept. If somebody has collected it meanwhile, it is
// compressed again, to the same bytes.
func (l *layer) Compressed() (io.ReadCloser, error) {
	if l.path == "" {
		return io.NopCloser(bytes.NewReader(l.data)), nil
	}
	in, err := os.Open(l.path)
	if errors.Is(err, os.ErrNotExist) {
		return piped(l.files, squeezer), nil
	}
	return in, err
}

// place is the file of the compressed layer, "" if there is none.
func (l *layer) place() string { return l.path }

// squeeze writes the compressed layer, and learns what it is.
func (l *layer) squeeze(w io.Writer) error {
	sum, diff, count := sha256.New(), sha256.New(), &counter{}
	z := squeezer(io.MultiWriter(w, sum, count))
	if err := errors.Join(writeTar(io.MultiWriter(z, diff), l.files), z.Close()); err != nil {
		return err
	}
	if hashOf(diff) != l.diffID {
		return errors.New("a file was changed while it was read")
	}
	l.squeezed = squeezed{hashOf(sum), count.n}
	return nil
}

// keep writes the layer into a directory of its own.
func (l *layer) keep(dir string) error {
	out, err := os.Create(filepath.Join(dir, layerFile))
	if err != nil {
		return err
	}
	if err := errors.Join(l.squeeze(out), out.Close()); err != nil {
		return err
	}
	meta, err := json.Marshal(l.squeezed)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, layerMeta), meta, 0o600)
}

// sound tells whether dir has the layer whole, and learns what it is.
func (l *layer) sound(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, layerMeta))
	if err != nil {
		return false
	}
	var s squeezed
	if json.Unmarshal(text, &s) != nil {
		return false
	}
	in, err := os.Open(filepath.Join(dir, layerFile))
	if err != nil {
		return false
	}
	defer in.Close()
	sum := sha256.New()
	if n, err := io.Copy(sum, in); err != nil || n != s.Size || hashOf(sum) != s.Digest {
		return false
	}
	l.squeezed = s
	return true
}

func squeezer(w io.Writer) io.WriteCloser {
	z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // fails for other levels only
	return z
}

// piped is files in a tar, as how makes it.
func piped(files []file, how func(io.Writer) io.WriteCloser) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		z := how(w)
		w.CloseWithError(errors.Join(writeTar(z, files), z.Close()))
	}()
	return r
}

func nopCloser(w io.Writer) io.WriteCloser { return writeOnly{w} }

type writeOnly struct{ io.Writer }

func (writeOnly) Close() error { return nil }

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

func hashOf(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}
