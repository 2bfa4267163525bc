package image

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// maxBeside is how much may be beside an image; more is somebody's mistake.
const maxBeside = 1000

// thing is an image or, if image is nil, an index of images.
type thing struct {
	image v1.Image
	index v1.ImageIndex
}

// described is the part that both have.
func (t thing) described() Described {
	if t.image != nil {
		return t.image
	}
	return t.index
}

// companion is what is kept beside an image: it has a tag that is made of the
// image's digest, as signatures have, or refers to the image, with none.
type companion struct {
	thing
	tag string
}

// origin is where a copy comes from.
type origin interface {
	// root is what has the name.
	root() (thing, error)
	// beside is what is kept beside what has a digest.
	beside(v1.Hash) ([]companion, error)
}

// Copy puts an image at another place, as it is, with what is kept beside it:
// signatures, attestations and documents, and what is beside these. Of an index
// all images are copied, or if architecture is not "" the one for it. It returns the digest
// of what was copied. An archive has room for one image, and nothing beside it.
func (d Depot) Copy(ctx context.Context, from, to, architecture string) (digest v1.Hash, err error) {
	what, at, err := d.find(ctx, from, architecture)
	if err != nil {
		return digest, err
	}
	if digest, err = what.described().Digest(); err != nil {
		return digest, err
	}
	kind, _ := Split(to)
	if kind == Tar {
		if what.image == nil {
			return digest, fmt.Errorf("copy to %s: an archive of `docker load` has room for one image, and %s has several: say --architecture, or use an image layout, oci:DIR", to, from)
		}
		return d.Write(ctx, what.image, to, "myelin-copy:latest")
	}
	beside, err := around(what, at)
	if err != nil {
		return digest, fmt.Errorf("read what is beside %s: %w", from, err)
	}
	if err := d.put(ctx, what, beside, to); err != nil {
		return digest, fmt.Errorf("copy to %s: %w", to, err)
	}
	return digest, nil
}

// Digests are those of what is at a place: of the index and of all its images, or
// of the only image. The first is that of the name.
func (d Depot) Digests(ctx context.Context, place, architecture string) ([]v1.Hash, error) {
	what, _, err := d.find(ctx, place, architecture)
	if err != nil {
		return nil, err
	}
	return digests(what)
}

// find opens what is at a place, or of it the image for an architecture.
func (d Depot) find(ctx context.Context, place, architecture string) (thing, origin, error) {
	at, err := d.origin(ctx, place)
	if err != nil {
		return thing{}, nil, err
	}
	what, err := at.root()
	if architecture != "" {
		what = thing{}
		what.image, err = d.Base(ctx, place, architecture)
		return what, at, err
	}
	if err != nil {
		return what, nil, fmt.Errorf("open image %s: %w", place, err)
	}
	return what, at, nil
}

// digests are those of a thing and of all that it lists.
func digests(t thing) ([]v1.Hash, error) {
	own, err := t.described().Digest()
	if err != nil || t.image != nil {
		return []v1.Hash{own}, err
	}
	list, err := t.index.IndexManifest()
	if err != nil {
		return nil, err
	}
	all := []v1.Hash{own}
	for _, desc := range list.Manifests {
		if !desc.MediaType.IsIndex() {
			all = append(all, desc.Digest)
			continue
		}
		inner, err := t.index.ImageIndex(desc.Digest)
		if err != nil {
			return nil, err
		}
		more, err := digests(thing{index: inner})
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// around gathers what is beside a thing, its images, and what was found.
func around(what thing, at origin) (all []companion, err error) {
	ask, err := digests(what)
	if err != nil {
		return nil, err
	}
	known := map[v1.Hash]bool{}
	for ; len(ask) > 0; ask = ask[1:] {
		if known[ask[0]] {
			continue
		}
		known[ask[0]] = true
		found, err := at.beside(ask[0])
		if err != nil {
			return nil, err
		}
		for _, c := range found {
			own, err := digests(c.thing)
			if err != nil {
				return nil, err
			}
			ask = append(ask, own...)
			all = append(all, c)
		}
		if len(all) > maxBeside {
			return nil, fmt.Errorf("there is more than %d", maxBeside)
		}
	}
	return all, nil
}

// put writes all to a layout, which appears whole, or to a registry: what refers
// comes after what it refers to, and the name last, so that who finds it finds all.
func (d Depot) put(ctx context.Context, what thing, beside []companion, to string) error {
	kind, rest := Split(to)
	if kind == OCI {
		return layoutOf(rest, func(_ layout.Path, tmp string) error {
			for _, c := range append([]companion{{thing: what}}, beside...) {
				if err := c.link(tmp); err != nil {
					return err
				}
				if err := addToLayout(tmp, c.thing, c.tag); err != nil {
					return err
				}
			}
			return nil
		})
	}
	ref, err := d.registries().reference(rest)
	if err != nil {
		return err
	}
	digest, err := what.described().Digest()
	if err != nil {
		return err
	}
	write := func(t thing, suffix string) error {
		to, err := d.registries().reference(ref.Context().Name() + suffix)
		if err == nil && t.image != nil {
			err = remote.Write(to, t.image, d.options(ctx)...)
		} else if err == nil {
			err = remote.WriteIndex(to, t.index, d.options(ctx)...)
		}
		return hint(ref, err)
	}
	if err := write(what, "@"+digest.String()); err != nil {
		return err
	}
	for _, c := range beside {
		suffix := ":" + c.tag
		if c.tag == "" {
			own, err := c.described().Digest()
			if err != nil {
				return err
			}
			suffix = "@" + own.String()
		}
		if err := write(c.thing, suffix); err != nil {
			return err
		}
	}
	return write(what, separator(ref)+ref.Identifier())
}

// link puts layers that are files of this machine into a layout by links.
func (t thing) link(tmp string) error {
	if t.image != nil {
		return linkLayers(t.image, tmp)
	}
	list, err := t.index.IndexManifest()
	if err != nil {
		return err
	}
	for _, desc := range list.Manifests {
		if inner, err := inside(t.index, desc); err == nil {
			if err := inner.link(tmp); err != nil {
				return err
			}
		}
	}
	return nil
}

// inside is what an index lists.
func inside(index v1.ImageIndex, desc v1.Descriptor) (t thing, err error) {
	switch {
	case desc.MediaType.IsImage():
		t.image, err = index.Image(desc.Digest)
	case desc.MediaType.IsIndex():
		t.index, err = index.ImageIndex(desc.Digest)
	default:
		err = fmt.Errorf("%s is a %s, neither an image nor an index", desc.Digest, desc.MediaType)
	}
	return t, err
}

// origin says how a place is read.
func (d Depot) origin(ctx context.Context, place string) (origin, error) {
	kind, rest := Split(place)
	switch kind {
	case Tar:
		return inArchive{func() (v1.Image, error) { return d.Base(ctx, place, "") }}, nil
	case OCI:
		return inDir{rest}, nil
	}
	ref, err := d.registries().reference(rest)
	return &inRegistry{d: d, ctx: ctx, ref: ref}, err
}

// inArchive reads an archive.
type inArchive struct{ open func() (v1.Image, error) }

func (a inArchive) root() (thing, error) {
	img, err := a.open()
	return thing{image: img}, err
}

func (inArchive) beside(v1.Hash) ([]companion, error) { return nil, nil }

// inDir reads a layout.
type inDir struct{ dir string }

func (l inDir) root() (thing, error) {
	index, err := layout.ImageIndexFromPath(l.dir)
	if err != nil {
		return thing{}, err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return thing{}, err
	}
	var found []v1.Descriptor
	for _, desc := range list.Manifests {
		if isRunnable(desc) {
			found = append(found, desc)
		}
	}
	if len(found) != 1 {
		return thing{}, fmt.Errorf("the layout has %d images, which no index lists: say --architecture for one of them", len(found))
	}
	return l.open(index, found[0])
}

// open takes layers as files of the layout.
func (l inDir) open(index v1.ImageIndex, desc v1.Descriptor) (thing, error) {
	t, err := inside(index, desc)
	if err == nil && t.image != nil {
		t.image = located{t.image, l.dir}
	} else if err == nil {
		t.index = locatedIndex{t.index, l.dir}
	}
	return t, err
}

func (l inDir) beside(of v1.Hash) (all []companion, err error) {
	index, err := layout.ImageIndexFromPath(l.dir)
	if err != nil {
		return nil, err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, desc := range list.Manifests {
		if !desc.MediaType.IsImage() && !desc.MediaType.IsIndex() {
			continue
		}
		tag := desc.Annotations[refName]
		if !slices.Contains(tagsBeside(of), tag) {
			tag = ""
		}
		t, err := l.open(index, desc)
		if err != nil {
			return nil, err
		}
		subject, err := subjectOf(t)
		if err != nil {
			return nil, err
		}
		if tag != "" || subject == of {
			all = append(all, companion{t, tag})
		}
	}
	return all, nil
}

// subjectOf is what a thing refers to.
func subjectOf(t thing) (v1.Hash, error) {
	var to *v1.Descriptor
	if t.image != nil {
		m, err := t.image.Manifest()
		if err != nil {
			return v1.Hash{}, err
		}
		to = m.Subject
	} else {
		m, err := t.index.IndexManifest()
		if err != nil {
			return v1.Hash{}, err
		}
		to = m.Subject
	}
	if to == nil {
		return v1.Hash{}, nil
	}
	return to.Digest, nil
}

// locatedIndex is an index of a layout, whose images' layers are files of this machine.
type locatedIndex struct {
	indexOf
	dir string
}

// indexOf is an index under a name that its own method leaves free.
type indexOf = interface{ v1.ImageIndex }

func (l locatedIndex) Image(h v1.Hash) (v1.Image, error) {
	img, err := l.indexOf.Image(h)
	if err != nil {
		return nil, err
	}
	return located{img, l.dir}, nil
}

// inRegistry reads a registry, or that of its mirrors which has the image.
type inRegistry struct {
	d   Depot
	ctx context.Context
	ref name.Reference
}

func (r *inRegistry) root() (thing, error) {
	type answer struct {
		thing
		from name.Reference
	}
	found, err := tryEach(r.d.registries(), r.ref, func(source name.Reference) (answer, error) {
		t, err := r.get(source)
		return answer{t, source}, err
	})
	if err == nil {
		r.ref = found.from
	}
	return found.thing, err
}

func (r *inRegistry) get(ref name.Reference) (t thing, err error) {
	got, err := remote.Get(ref, r.d.options(r.ctx)...)
	switch {
	case err != nil:
	case got.MediaType.IsIndex():
		t.index, err = got.ImageIndex()
	case got.MediaType.IsImage():
		t.image, err = got.Image()
	default:
		err = fmt.Errorf("%s is a %s, neither an image nor an index", ref, got.MediaType)
	}
	return t, err
}

func (r *inRegistry) beside(of v1.Hash) (all []companion, err error) {
	repository := r.ref.Context()
	for _, tag := range tagsBeside(of) {
		t, err := r.get(repository.Tag(tag))
		switch {
		case isMissing(err):
			continue
		case err != nil:
			return nil, hint(r.ref, err)
		}
		all = append(all, companion{t, tag})
	}
	index, err := remote.Referrers(repository.Digest(of.String()), r.d.options(r.ctx)...)
	if err != nil {
		return nil, hint(r.ref, err)
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, desc := range list.Manifests {
		t, err := r.get(repository.Digest(desc.Digest.String()))
		if err != nil {
			return nil, hint(r.ref, err)
		}
		all = append(all, companion{t, ""})
	}
	return all, nil
}

// descriptor is what the list of a layout says of a thing.
func (t thing) descriptor() (*v1.Descriptor, error) {
	desc, err := partial.Descriptor(t.described())
	if err != nil {
		return nil, err
	}
	own := desc.DeepCopy()
	own.Annotations = nil
	if t.image == nil {
		return own, nil
	}
	m, err := t.image.Manifest()
	if err != nil {
		return nil, err
	}
	own.ArtifactType = m.ArtifactType
	if own.ArtifactType == "" {
		own.ArtifactType = string(m.Config.MediaType)
	}
	return own, nil
}
