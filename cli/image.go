package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/cli/terminal"
)

// makeImage makes the image of an artefact, writes it to a place and returns its
// digest.
func (a *app) makeImage(art build.Artefact, o output) (digest string, err error) {
	p := a.term.Progress()
	defer p.Close()
	p.Step("image " + o.place)
	depot, err := a.depot()
	if err != nil {
		return "", err
	}
	art.Config.Spec.Build.NoCache = false // the steps were run a moment ago
	made, err := a.imageOf(a.ctx, imageRequest{art: art, base: o.base, forced: true, runner: o.runner, log: io.Discard, p: p})
	if err != nil {
		return "", err
	}
	defer made.release()
	hash, size, err := a.writeImage(depot, made, art, o)
	if err != nil {
		return "", err
	}
	p.Done("wrote %s, %s of its own", o.place, bytesOf(size))
	if err := depot.Layers.Collect(); err != nil {
		p.Note("%v", err)
	}
	return hash.String(), nil
}

func (a *app) writeImage(depot image.Depot, made madeImage, art build.Artefact, o output) (hash v1.Hash, own int64, err error) {
	if own, err = image.Own(made.img, made.base); err != nil {
		return hash, 0, err
	}
	if hash, err = depot.Write(a.ctx, made.img, o.place, tagOf(art)); err == nil && o.sbom != "" {
		err = a.listMaterials(depot, made.img, art.Config.Metadata.Name, o.place, o.sbom)
	}
	return hash, own, err
}

// tagOf is what an engine calls an image that it loads.
func tagOf(art build.Artefact) string {
	return strings.ToLower(art.Config.Metadata.Name) + ":" + short(art.Digest)
}

// processorOf is the processor for functions of a runtime, with a worker for an
// interpreter, "" being the default one, on machines of an architecture. It can be
// had until release.
func (a *app) processorOf(runtime, interpreter, architecture string, p *terminal.Progress) (it image.Processor, release func(), err error) {
	if it.Program, err = a.processorFor(architecture); err != nil {
		return it, nil, err
	}
	prepare, ok := a.parts.Workers[runtime]
	if !ok {
		return it, func() {}, nil
	}
	foreign := architecture != image.Architecture()
	if foreign && !exists(interpreter) {
		interpreter = "" // it is the other machine's, and this one's is as good
	}
	it.Cache, release, err = a.preparedWorker(runtime, interpreter, architecture, prepare)
	if foreign { // nothing could compile it where it runs
		return it, release, err
	}
	if err != nil && p == nil {
		return it, func() {}, nil
	} else if err != nil {
		p.Note("the image has no prepared worker, functions start slower: %v", err)
		return it, func() {}, nil
	}
	return it, release, nil
}

// preparedWorker is a directory with a worker for images. It is kept for the next
// image, unless it is unknown what it is made of.
func (a *app) preparedWorker(runtime, interpreter, architecture string, prepare func(ctx context.Context, interpreter, architecture, dir string) error) (dir string, release func(), err error) {
	data, err := a.dataDir()
	if err != nil {
		return "", nil, err
	}
	if stamp, ok := stampOf(runtime+" "+architecture, interpreter); ok {
		parent := filepath.Join(data, "image-workers")
		if err := os.MkdirAll(parent, 0o700); err != nil {
			return "", nil, err
		}
		dir, _, err := artefact.Place(parent, stamp, exists, func(tmp string) error { return prepare(a.ctx, interpreter, architecture, tmp) })
		return dir, func() { _ = artefact.Bound(parent, 1<<30, 30*24*time.Hour) }, err // another time, then
	}
	if dir, err = os.MkdirTemp("", "myelin-image-"); err != nil {
		return "", nil, err
	}
	release = func() { _ = os.RemoveAll(dir) }
	if err := prepare(a.ctx, interpreter, architecture, dir); err != nil {
		release()
		return "", nil, err
	}
	return dir, release, nil
}

// stampOf names what a worker is made of: this program, which has its source, and
// the interpreter.
func stampOf(runtime, interpreter string) (string, bool) {
	self, err := os.Executable()
	if err != nil || !filepath.IsAbs(interpreter) {
		return "", false
	}
	h := sha256.New()
	fmt.Fprintln(h, runtime, interpreter)
	for _, path := range []string{self, interpreter} {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return "", false
		}
		fi, err := os.Stat(real)
		if err != nil {
			return "", false
		}
		fmt.Fprintln(h, real, fi.Size(), fi.ModTime().UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil)), true
}

func runtimeName(runtime string) string {
	name, _, _ := strings.Cut(runtime, ":")
	return name
}

// bytesOf says a size as people read it.
func bytesOf(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
