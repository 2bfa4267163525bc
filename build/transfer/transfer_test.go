package transfer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
)

// unread is an image whose lowest layer must not be read.
type unread struct {
	v1.Image
	layers int
	t      *testing.T
}

func (u unread) Layers() ([]v1.Layer, error) {
	all, err := u.Image.Layers()
	if err == nil {
		all[0] = never{all[0], u.t}
	}
	return all[:u.layers], err
}

type never struct {
	v1.Layer
	t *testing.T
}

var errRead = errors.New("read")

func (n never) DiffID() (v1.Hash, error) {
	n.t.Error("the engine has a layer, and it was read for its DiffID")
	return v1.Hash{}, errRead
}

func (n never) Uncompressed() (io.ReadCloser, error) {
	n.t.Error("the engine has a layer, and it was read")
	return nil, errRead
}

func TestLayersThatTheEngineHasAreNotRead(t *testing.T) {
	img, err := random.Image(1024, 3)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := archive(&out, unread{img, 3, t}, "name:tag", 1); err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(&out); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	ids := config.RootFS.DiffIDs
	if want := []string{ids[1].Hex + "/layer.tar", ids[2].Hex + "/layer.tar"}; len(names) != 4 || names[0] != want[0] || names[1] != want[1] {
		t.Errorf("the archive has %q, want %q, configuration and manifest", names, want)
	}
}

func TestImageWithoutALayerOfItsConfiguration(t *testing.T) {
	img, err := random.Image(1024, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := archive(io.Discard, unread{img, 2, t}, "name:tag", 1); err == nil || !strings.Contains(err.Error(), "2 layers") {
		t.Errorf("archive of an image that lacks a layer: %v", err)
	}
}
