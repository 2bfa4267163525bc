// Package transfer gives images to a Docker engine. What the engine has already of an
// image is not sent again. It knows neither what images are for nor who makes them.
package transfer

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"
)

// Labels by which images are found whose layers others share.
const (
	LabelFunction = "run.myelin.function" // images of functions
	LabelSteps    = "run.myelin.steps"    // what steps of a Dockerfile made
)

// Load gives an image to the engine under a tag, without its lowest layers that
// other images of functions have brought there. An engine that keeps images in a way
// in which that cannot be gets the whole.
func Load(ctx context.Context, c *client.Client, img v1.Image, tag string) error {
	config, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	if known := known(ctx, c, config); known > 0 && give(ctx, c, img, tag, known) == nil {
		if _, err := c.ImageInspect(ctx, tag); err == nil {
			return nil
		}
	}
	return give(ctx, c, img, tag, 0)
}

// looked is how many images at most are compared; the newest come first.
const looked = 50

// known is how many of an image's lowest layers the engine has already.
func known(ctx context.Context, c *client.Client, config *v1.ConfigFile) (n int) {
	for _, label := range []string{LabelFunction, LabelSteps} {
		all, err := c.ImageList(ctx, client.ImageListOptions{Filters: make(client.Filters).Add("label", label)})
		if err != nil {
			return 0
		}
		for _, i := range all.Items[:min(looked, len(all.Items))] {
			if other, err := c.ImageInspect(ctx, i.ID); err == nil {
				n = max(n, same(config.RootFS.DiffIDs, other.RootFS.Layers))
			}
		}
	}
	return n
}

// same is how many layers two images have in common, from below.
func same(ours []v1.Hash, others []string) (n int) {
	for n < min(len(ours), len(others)) && ours[n].String() == others[n] {
		n++
	}
	return n
}

// give loads an image into the engine, without some of its lowest layers.
func give(ctx context.Context, c *client.Client, img v1.Image, tag string, without int) error {
	r, w := io.Pipe()
	go func() { w.CloseWithError(archive(w, img, tag, without)) }()
	defer r.Close()
	resp, err := c.ImageLoad(ctx, r, client.ImageLoadWithQuiet(true))
	if err != nil {
		return err
	}
	defer resp.Close()
	for said := json.NewDecoder(resp); ; {
		var line struct{ Error string }
		err := said.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case line.Error != "":
			return errors.New(line.Error)
		}
	}
}

// archive writes what `docker load` reads.
func archive(w io.Writer, img v1.Image, tag string, without int) error {
	config, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	name, err := img.ConfigName()
	if err != nil {
		return err
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	read, err := img.ConfigFile() // a layer itself is read as a whole to know its DiffID
	if err != nil {
		return err
	}
	if len(read.RootFS.DiffIDs) != len(layers) {
		return fmt.Errorf("image has %d layers, and its configuration %d", len(layers), len(read.RootFS.DiffIDs))
	}
	files := make([]string, len(layers))
	t := tar.NewWriter(w)
	for i, l := range layers {
		files[i] = path.Join(read.RootFS.DiffIDs[i].Hex, "layer.tar")
		if i >= without && !slices.Contains(files[:i], files[i]) {
			if err := addLayer(t, files[i], l); err != nil {
				return err
			}
		}
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": name.Hex + ".json", "RepoTags": []string{tag}, "Layers": files}})
	if err != nil {
		return err
	}
	return errors.Join(addFile(t, name.Hex+".json", config), addFile(t, "manifest.json", manifest), t.Close())
}

func addFile(t *tar.Writer, name string, content []byte) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := t.Write(content)
	return err
}

// addLayer adds a layer as it is uncompressed, which is read twice: its size is
// nowhere.
func addLayer(t *tar.Writer, name string, l v1.Layer) error {
	read := func(w io.Writer) (int64, error) {
		in, err := l.Uncompressed()
		if err != nil {
			return 0, err
		}
		defer in.Close()
		return io.Copy(w, in)
	}
	size, err := read(io.Discard)
	if err == nil {
		err = t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size})
	}
	if err == nil {
		_, err = read(t)
	}
	return err
}
