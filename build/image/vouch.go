package image

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
)

// How Cosign keeps signatures: as layers of an artefact with the tag
// sha256-DIGEST.sig, each with the signature of its content as an annotation.
const (
	signedPayload  = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureNote  = "dev.cosignproject.cosign/signature"
	signatureType  = "application/vnd.dev.cosign.artifact.sig.v1+json"
	maxSignatures  = 100
	archiveNoPlace = "an archive of `docker load` has no place for signatures: use an image layout, oci:DIR, or a registry"
)

// Signature is one of an image, with what was signed.
type Signature struct{ Payload, Signature []byte }

func signatureTag(digest v1.Hash) string { return digest.Algorithm + "-" + digest.Hex + ".sig" }

// AddSignature keeps a signature beside those that an image has.
func (d Depot) AddSignature(ctx context.Context, place string, digest v1.Hash, s Signature) error {
	if err := d.addSignature(ctx, place, digest, s); err != nil {
		return fmt.Errorf("keep signature of %s: %w", place, err)
	}
	return nil
}

func (d Depot) addSignature(ctx context.Context, place string, digest v1.Hash, s Signature) error {
	was, err := d.signatureImage(ctx, place, digest)
	if err != nil {
		return err
	}
	all, err := signatureLayers(was)
	if err != nil {
		return err
	}
	note := base64.StdEncoding.EncodeToString(s.Signature)
	for _, l := range all {
		if l.notes[signatureNote] == note {
			return nil // it is there
		}
	}
	all = append(all, annotated{static.NewLayer(s.Payload, signedPayload), map[string]string{signatureNote: note}})
	now, err := newArtefact(signatureType, nil, all)
	if err != nil {
		return err
	}
	kind, rest := Split(place)
	if kind == OCI {
		return addToLayout(rest, thing{image: now}, signatureTag(digest))
	}
	ref, err := d.registries().reference(rest)
	if err != nil {
		return err
	}
	return hint(ref, remote.Write(ref.Context().Tag(signatureTag(digest)), now, d.options(ctx)...))
}

// Signatures are those that an image has, whoever made them.
func (d Depot) Signatures(ctx context.Context, place string, digest v1.Hash) (all []Signature, err error) {
	img, err := d.signatureImage(ctx, place, digest)
	var layers []annotated
	if err == nil {
		layers, err = signatureLayers(img)
	}
	for _, l := range layers {
		if err != nil {
			break
		}
		var s Signature
		if s.Signature, err = base64.StdEncoding.DecodeString(l.notes[signatureNote]); err == nil {
			s.Payload, err = blobContent(l)
		}
		all = append(all, s)
	}
	if err != nil {
		return nil, fmt.Errorf("read signatures of %s: %w", place, err)
	}
	return all, nil
}

// signatureImage is what has the signatures of an image, nil if there is none.
func (d Depot) signatureImage(ctx context.Context, place string, digest v1.Hash) (v1.Image, error) {
	kind, rest := Split(place)
	switch kind {
	case Tar:
		return nil, errors.New(archiveNoPlace)
	case OCI:
		found, err := inLayout(rest, func(desc v1.Descriptor, _ v1.Image) bool { return desc.Annotations[refName] == signatureTag(digest) })
		if err != nil || len(found) == 0 {
			return nil, err
		}
		return found[0], nil
	}
	ref, err := d.registries().reference(rest)
	if err != nil {
		return nil, err
	}
	found, err := tryEach(d.registries(), ref, func(source name.Reference) (v1.Image, error) {
		return remote.Image(source.Context().Tag(signatureTag(digest)), d.options(ctx)...)
	})
	if isMissing(err) {
		return nil, nil
	}
	return found, err
}

// signatureLayers are the layers with signatures.
func signatureLayers(img v1.Image) (all []annotated, err error) {
	if img == nil {
		return nil, nil
	}
	m, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	if len(m.Layers) > maxSignatures {
		return nil, fmt.Errorf("there are %d, more than %d", len(m.Layers), maxSignatures)
	}
	for _, desc := range m.Layers {
		if desc.Annotations[signatureNote] == "" {
			continue
		}
		l, err := img.LayerByDigest(desc.Digest)
		if err != nil {
			return nil, err
		}
		all = append(all, annotated{l, maps.Clone(desc.Annotations)})
	}
	return all, nil
}

// Repository is the name of an image without tag or digest, as a signature has it;
// that of a layout is its own.
func (d Depot) Repository(place string) (string, error) {
	kind, rest := Split(place)
	if kind != Registry {
		return strings.TrimPrefix(place, kind+":"), nil
	}
	ref, err := d.registries().reference(rest)
	if err != nil {
		return "", err
	}
	return ref.Context().Name(), nil
}

// isMissing tells whether a registry has no such thing.
func isMissing(err error) bool {
	var told *transport.Error
	return errors.As(err, &told) && told.StatusCode == http.StatusNotFound
}
