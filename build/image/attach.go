package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxAttached is how long a document about an image may be.
const maxAttached = 64 << 20

// emptyConfig is the configuration of what is no image.
const emptyConfig = "application/vnd.oci.empty.v1+json"

// refName is the annotation by which a layout knows what registries have as a tag.
const refName = "org.opencontainers.image.ref.name"

// Described is an image, or an index of images.
type Described interface {
	partial.Describable
	RawManifest() ([]byte, error)
}

// Attach puts a document about an image beside it, in its registry or layout, where
// it refers to the image: the same document twice is one.
func (d Depot) Attach(ctx context.Context, place string, about Described, mediaType string, data []byte) error {
	doc, err := newDocument(about, mediaType, data)
	if err != nil {
		return fmt.Errorf("attach %s: %w", mediaType, err)
	}
	kind, rest := Split(place)
	switch kind {
	case Tar:
		return fmt.Errorf("attach %s: an archive of `docker load` has no place for it: use an image layout, oci:DIR, or a registry", mediaType)
	case OCI:
		err = addToLayout(rest, thing{image: doc}, "")
	default:
		var ref name.Reference
		if ref, err = d.registries().reference(rest); err == nil {
			var digest v1.Hash
			if digest, err = doc.Digest(); err == nil {
				err = hint(ref, remote.Write(ref.Context().Digest(digest.String()), doc, d.options(ctx)...))
			}
		}
	}
	if err != nil {
		return fmt.Errorf("attach %s to %s: %w", mediaType, place, err)
	}
	return nil
}

// Attached are the documents of a media type about an image.
func (d Depot) Attached(ctx context.Context, place string, digest v1.Hash, mediaType string) (all [][]byte, err error) {
	docs, err := d.referrers(ctx, place, digest, mediaType)
	for _, doc := range docs {
		if err != nil {
			break
		}
		var text []byte
		if text, err = documentOf(doc); err == nil {
			all = append(all, text)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", mediaType, place, err)
	}
	return all, nil
}

func (d Depot) referrers(ctx context.Context, place string, digest v1.Hash, mediaType string) ([]v1.Image, error) {
	kind, rest := Split(place)
	switch kind {
	case Tar:
		return nil, errors.New("an archive of `docker load` has none")
	case OCI:
		return inLayout(rest, func(desc v1.Descriptor, doc v1.Image) bool {
			m, err := doc.Manifest()
			return err == nil && desc.ArtifactType == mediaType && m.Subject != nil && m.Subject.Digest == digest
		})
	}
	ref, err := d.registries().reference(rest)
	if err != nil {
		return nil, err
	}
	index, err := remote.Referrers(ref.Context().Digest(digest.String()), d.options(ctx, remote.WithFilter("artifactType", mediaType))...)
	if err != nil {
		return nil, hint(ref, err)
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var docs []v1.Image
	for _, desc := range list.Manifests {
		if desc.ArtifactType != mediaType {
			continue
		}
		doc, err := remote.Image(ref.Context().Digest(desc.Digest.String()), d.options(ctx)...)
		if err != nil {
			return nil, hint(ref, err)
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

// documentOf is the only layer of a document, as it was given.
func documentOf(doc v1.Image) ([]byte, error) {
	layers, err := doc.Layers()
	if err != nil {
		return nil, err
	}
	if len(layers) != 1 {
		return nil, fmt.Errorf("it has %d layers instead of one", len(layers))
	}
	return blobContent(layers[0])
}

// blobContent is a small layer, which is what its digest says.
func blobContent(l v1.Layer) ([]byte, error) {
	want, err := l.Digest()
	if err != nil {
		return nil, err
	}
	r, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxAttached+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxAttached {
		return nil, fmt.Errorf("it is longer than %d MiB", maxAttached>>20)
	}
	if got, _, err := v1.SHA256(bytes.NewReader(text)); err != nil || got != want {
		return nil, fmt.Errorf("it is damaged: not what its digest %s says", want)
	}
	return text, nil
}

// newDocument makes what refers to an image.
func newDocument(about Described, mediaType string, data []byte) (v1.Image, error) {
	subject, err := partial.Descriptor(about)
	if err != nil {
		return nil, err
	}
	blob := static.NewLayer(data, types.MediaType(mediaType))
	return newArtefact(mediaType, &v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest}, []annotated{{blob, nil}})
}

// annotated is a layer with what its manifest says of it.
type annotated struct {
	v1.Layer
	notes map[string]string
}

// artefactImage is what registries and layouts keep that is no image of a machine.
type artefactImage struct {
	manifest []byte
	config   []byte
	layers   []annotated
}

func newArtefact(artifactType string, subject *v1.Descriptor, layers []annotated) (v1.Image, error) {
	a := &artefactImage{config: []byte("{}"), layers: layers}
	hash, size, err := v1.SHA256(bytes.NewReader(a.config))
	if err != nil {
		return nil, err
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: artifactType, Subject: subject,
		Config: v1.Descriptor{MediaType: emptyConfig, Size: size, Digest: hash}}
	for _, l := range layers {
		desc, err := partial.Descriptor(l.Layer)
		if err != nil {
			return nil, err
		}
		desc.Annotations = l.notes
		m.Layers = append(m.Layers, *desc)
	}
	if a.manifest, err = json.Marshal(m); err != nil {
		return nil, err
	}
	return partial.CompressedToImage(a)
}

func (a *artefactImage) RawConfigFile() ([]byte, error)      { return a.config, nil }
func (a *artefactImage) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (a *artefactImage) RawManifest() ([]byte, error)        { return a.manifest, nil }
func (a *artefactImage) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	for _, l := range a.layers {
		if d, err := l.Digest(); err == nil && d == h {
			return l.Layer, nil
		}
	}
	return nil, fmt.Errorf("no layer %s", h)
}

// inLayout are the artefacts of a layout that pick takes.
func inLayout(dir string, pick func(v1.Descriptor, v1.Image) bool) (found []v1.Image, err error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, desc := range list.Manifests {
		if !desc.MediaType.IsImage() || isRunnable(desc) {
			continue
		}
		doc, err := index.Image(desc.Digest)
		if err != nil {
			return nil, err
		}
		if pick(desc, doc) {
			found = append(found, doc)
		}
	}
	return found, nil
}

// isRunnable tells images, and indexes of them, from what is beside them.
func isRunnable(desc v1.Descriptor) bool {
	if companions.MatchString(desc.Annotations[refName]) {
		return false // Cosign's signatures have the configuration of an image
	}
	return desc.MediaType.IsIndex() ||
		desc.MediaType.IsImage() && slices.Contains([]string{"", string(types.OCIConfigJSON), string(types.DockerConfigJSON)}, desc.ArtifactType)
}

// Tags that Cosign makes of an image's digest for signatures, attestations and
// bills of materials.
var (
	suffixes   = []string{".sig", ".att", ".sbom"}
	companions = regexp.MustCompile(`^sha256-[0-9a-f]{64}\.(sig|att|sbom)$`)
)

func tagsBeside(digest v1.Hash) (tags []string) {
	for _, suffix := range suffixes {
		tags = append(tags, digest.Algorithm+"-"+digest.Hex+suffix)
	}
	return tags
}

// addToLayout adds what is in no list yet to the layout at dir, with a tag instead of what has
// it, if it is not "". Others may add at the same time, and who reads sees all or nothing of it.
func addToLayout(dir string, what thing, tag string) error {
	lock, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return err
	}
	desc, err := what.descriptor()
	if err != nil {
		return err
	}
	if tag != "" {
		desc.Annotations = map[string]string{refName: tag}
	}
	kept := list.DeepCopy()
	kept.Manifests = nil
	for _, m := range list.Manifests {
		if m.Digest != desc.Digest && (tag == "" || m.Annotations[refName] != tag) {
			kept.Manifests = append(kept.Manifests, m)
		}
	}
	kept.Manifests = append(kept.Manifests, *desc)
	path, err := layout.FromPath(dir)
	if err == nil && what.image != nil {
		err = path.WriteImage(what.image)
	} else if err == nil {
		err = path.WriteIndex(what.index)
	}
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(kept, "", "   ")
	if err != nil {
		return err
	}
	return aside(filepath.Join(filepath.Clean(dir), "index.json"), func(tmp string) error { return os.WriteFile(tmp, text, 0o644) })
}
