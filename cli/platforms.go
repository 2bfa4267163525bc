package cli

import (
	"fmt"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/build/pipeline"
)

// buildFor builds a function for machines of other architectures than this one's,
// and writes one image, or one name for several.
func (a *app) buildFor(r pipeline.Request, o output, asJSON bool) error {
	if !o.isImage() {
		return usage("--architecture is of images: say -o oci:DIR, -o tar:FILE or -o image:NAME with it")
	}
	if o.sbom != "" {
		return usage("--sbom is of an image for this machine: say `myelin image sbom --architecture` of what was built")
	}
	depot, err := a.depot()
	if err != nil {
		return err
	}
	images := map[string]v1.Image{}
	var b built
	for _, architecture := range slices.Compact(slices.Sorted(slices.Values(o.architectures))) {
		r.Architecture = architecture
		art, cached, err := a.makeArtefact(r, o)
		if err != nil {
			return err
		}
		made, err := a.imageForMachines(art, architecture, o)
		if err != nil {
			return err
		}
		defer made.release()
		images[architecture] = made.img
		b = built{Name: art.Config.Metadata.Name, Runtime: art.Runtime, Digest: art.Digest, Dir: art.Dir, Command: art.Command, Cached: cached, tag: tagOf(art)}
	}
	digest, err := a.writeAll(depot, images, o.place, b.tag)
	if err != nil {
		return err
	}
	if b.Image = digest.String(); asJSON {
		return a.writeJSON(b)
	}
	fmt.Fprintln(a.term.Out, b.Image)
	return nil
}

// imageForMachines is the image of an artefact for machines of one architecture.
func (a *app) imageForMachines(art build.Artefact, architecture string, o output) (madeImage, error) {
	p := a.term.Progress()
	defer p.Close()
	p.Step("image for " + architecture)
	art.Config.Spec.Build.NoCache = false // as in makeImage
	return a.imageOf(a.ctx, imageRequest{art: art, base: o.base, forced: true, runner: o.runner, log: io.Discard, p: p, architecture: architecture})
}

func (a *app) writeAll(depot image.Depot, images map[string]v1.Image, place, tag string) (v1.Hash, error) {
	if len(images) > 1 {
		return depot.WriteAll(a.ctx, images, place)
	}
	for _, img := range images {
		return depot.Write(a.ctx, img, place, tag)
	}
	return v1.Hash{}, usage("--architecture names none")
}
