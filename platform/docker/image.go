package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"

	cerrdefs "github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/transfer"
	"github.com/myelin-run/myelin/platform"
)

// made is an image that the engine was given.
type made struct {
	tag      string
	program  string
	artefact build.Artefact
	apart    bool // it is without the artefact, which containers see as it is here
}

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
	var tidies sync.WaitGroup // beside, and done before the engine is asked what it has
	tidies.Go(func() { e.tidyImages(ctx, d.Name, kept) })
	m = &made{artefact: a}
	if err := e.load(ctx, e.repository(d.Name), m, tidies.Wait); err != nil {
		return nil, err
	}
	e.mu.Lock()
	maps.DeleteFunc(e.images, func(_ string, old *made) bool { return old.tag == m.tag }) // of other code, on the same ground
	e.images[key], e.images[m.tag], e.images[e.repository(d.Name)] = m, m, m
	e.mu.Unlock()
	return m, nil
}

// make makes what a container of an artefact is made of: what the artefact stands on,
// if it can be had apart from that, else the image of all.
func (e *engine) make(ctx context.Context, m *made) (v1.Image, func(), error) {
	if e.ground != nil {
		img, release, err := e.ground(ctx, m.artefact)
		if m.apart = img != nil; m.apart || err != nil {
			return img, release, err
		}
	}
	return e.image(ctx, m.artefact)
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
	return true, e.load(ctx, repository, &again, func() {})
}

// load makes an image and gives it to the engine, unless that has it. before is called
// in any case, and the engine is asked only when it has returned.
func (e *engine) load(ctx context.Context, repository string, m *made, before func()) error {
	defer before()
	img, release, err := e.make(ctx, m)
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
	before()
	e.loading.Lock()
	defer e.loading.Unlock()
	_, err = e.client.ImageInspect(ctx, m.tag)
	if err == nil || !cerrdefs.IsNotFound(err) {
		return e.problem("look for image", err)
	}
	return e.problem("load image", transfer.Load(ctx, e.client, img, m.tag))
}

// kept is how many images of a deployment stay that no container has, for who goes
// back, beside the one that comes next.
const kept = 3

// tidyImages removes the images of a deployment but for those that are used, and a few
// that are to stay, the newest among them. Which others nobody can tell: all are of one
// time.
func (e *engine) tidyImages(ctx context.Context, name string, stay int) {
	e.mu.Lock()
	newest := e.images[e.repository(name)]
	e.mu.Unlock()
	all, err := e.client.ImageList(ctx, client.ImageListOptions{Filters: make(client.Filters).Add("reference", e.repository(name))})
	if err != nil {
		return
	}
	for _, i := range all.Items[min(stay, len(all.Items)):] {
		for _, t := range i.RepoTags {
			if stay > 0 && newest != nil && t == newest.tag {
				continue // its container may just be started anew
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
