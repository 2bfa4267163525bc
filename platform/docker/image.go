package docker

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/platform"
)

// made is an image that the engine was given.
type made struct {
	tag      string
	program  string
	artefact build.Artefact
}

// Labels of images; see package build/image.
const imageFunction = "run.myelin.function"

// repository is what the images of a deployment are called, but for the tag.
func (e *engine) repository(name string) string { return "myelin-" + e.id + "/" + name }

// imageOf sees to it that the engine has the image of a deployment's artefact.
func (e *engine) imageOf(ctx context.Context, d platform.Deployment) (*made, error) {
	a := d.Artefact
	if len(a.Command) > 0 && filepath.IsAbs(a.Command[0]) { // in the image it is below another directory
		rel, err := filepath.Rel(a.Dir, a.Command[0])
		if err != nil || !filepath.IsLocal(rel) {
			return nil, fmt.Errorf("make image: %s is not in the artefact", a.Command[0])
		}
		a.Command = append([]string{rel}, a.Command[1:]...)
	}
	key := e.repository(d.Name) + "@" + a.Digest
	e.mu.Lock()
	m := e.images[key]
	e.mu.Unlock()
	if m != nil {
		_, err := e.haveImage(ctx, m.tag)
		return m, err
	}
	m = &made{artefact: a}
	if err := e.load(ctx, e.repository(d.Name), m); err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.images[key], e.images[m.tag] = m, m
	e.mu.Unlock()
	e.tidyImages(ctx, d.Name, m.tag)
	return m, nil
}

// haveImage loads an image again that the engine no longer has, and says whether it
// did.
func (e *engine) haveImage(ctx context.Context, tag string) (made bool, err error) {
	_, err = e.client.ImageInspect(ctx, tag)
	if err == nil || !cerrdefs.IsNotFound(err) {
		return false, e.problem("look for image", err)
	}
	e.mu.Lock()
	m := e.images[tag]
	e.mu.Unlock()
	if m == nil {
		return false, errNoImage
	}
	repository, _, _ := strings.Cut(tag, ":")
	again := *m
	return true, e.load(ctx, repository, &again)
}

// load makes an image and gives it to the engine, unless that has it.
func (e *engine) load(ctx context.Context, repository string, m *made) error {
	img, release, err := e.image(ctx, m.artefact)
	if err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	defer release()
	c, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	if len(c.Config.Entrypoint) == 0 {
		return errors.New("make image: it has no program")
	}
	name, err := img.ConfigName()
	if err != nil {
		return fmt.Errorf("make image: %w", err)
	}
	m.tag, m.program = repository+":"+name.Hex[:24], c.Config.Entrypoint[0]
	e.loading.Lock()
	defer e.loading.Unlock()
	_, err = e.client.ImageInspect(ctx, m.tag)
	if err == nil || !cerrdefs.IsNotFound(err) {
		return e.problem("look for image", err)
	}
	if known := e.known(ctx, c); known > 0 && e.give(ctx, img, m.tag, known) == nil {
		if _, err := e.client.ImageInspect(ctx, m.tag); err == nil {
			return nil
		}
	}
	return e.give(ctx, img, m.tag, 0)
}

// known is how many of an image's lowest layers the engine has already.
func (e *engine) known(ctx context.Context, c *v1.ConfigFile) (n int) {
	all, err := e.client.ImageList(ctx, client.ImageListOptions{Filters: make(client.Filters).Add("label", imageFunction)})
	if err != nil {
		return 0
	}
	const looked = 50 // at most; the newest come first
	for _, i := range all.Items[:min(looked, len(all.Items))] {
		other, err := e.client.ImageInspect(ctx, i.ID)
		if err != nil {
			continue
		}
		same := 0
		for same < min(len(c.RootFS.DiffIDs), len(other.RootFS.Layers)) && c.RootFS.DiffIDs[same].String() == other.RootFS.Layers[same] {
			same++
		}
		n = max(n, same)
	}
	return n
}

// give loads an image into the engine, without its lowest layers that the engine
// has. An engine that keeps images in another way refuses that.
func (e *engine) give(ctx context.Context, img v1.Image, tag string, without int) error {
	r, w := io.Pipe()
	go func() { w.CloseWithError(archive(w, img, tag, without)) }()
	defer r.Close()
	resp, err := e.client.ImageLoad(ctx, r, client.ImageLoadWithQuiet(true))
	if err != nil {
		return e.problem("load image", err)
	}
	defer resp.Close()
	for said := json.NewDecoder(resp); ; {
		var line struct{ Error string }
		err := said.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return e.problem("load image", err)
		case line.Error != "":
			return fmt.Errorf("load image: %s", line.Error)
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
	files := make([]string, len(layers))
	t := tar.NewWriter(w)
	for i, l := range layers {
		diff, err := l.DiffID()
		if err != nil {
			return err
		}
		files[i] = path.Join(diff.Hex, "layer.tar")
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

// kept is how many images of a deployment stay that no container has, for who goes
// back.
const kept = 3

// tidyImages removes the images of a deployment but for those that are used, that
// which is said, and a few. Which ones nobody can tell: all are of one time. Of a
// deployment that is no more, all go.
func (e *engine) tidyImages(ctx context.Context, name, tag string) {
	all, err := e.client.ImageList(ctx, client.ImageListOptions{Filters: make(client.Filters).Add("reference", e.repository(name))})
	if err != nil {
		return
	}
	stay := 0
	if tag != "" {
		stay = kept
	}
	for _, i := range all.Items[min(stay, len(all.Items)):] {
		for _, t := range i.RepoTags {
			if t == tag {
				continue
			}
			if _, err := e.client.ImageRemove(ctx, t, client.ImageRemoveOptions{}); err != nil { // a container has it
				continue
			}
			e.mu.Lock()
			for key, m := range e.images {
				if m.tag == t {
					delete(e.images, key)
				}
			}
			e.mu.Unlock()
		}
	}
}
