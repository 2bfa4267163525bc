// Package signature signs what was built and checks who signed it. A signature is
// of a statement: which digest it is, of what kind, and under which name. It knows
// neither registries nor platforms.
//
// The statement is the "simple signing" payload that Cosign signs, too, so that a
// signature of an image is one that Cosign takes, with the same keys (ECDSA over
// SHA-256, or Ed25519; public keys in PEM).
package signature

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Kinds of what is signed.
const (
	Image    = "cosign container image signature"
	Artefact = "myelin artefact signature"
)

// Annotation is where a function carries the signatures of its artefact.
const Annotation = "myelin.run/signature"

// Statement is what is signed.
type Statement struct {
	Kind   string
	Name   string // of the image's repository, or of the function
	Digest string // sha256:... of the image, or of an artefact's content
}

// Signed is a statement and who vouches for it.
type Signed struct {
	Payload   []byte
	Signature []byte
}

type payload struct {
	Critical critical       `json:"critical"`
	Optional map[string]any `json:"optional"`
}

type critical struct {
	Identity struct {
		Name string `json:"docker-reference"`
	} `json:"identity"`
	Image struct {
		Digest string `json:"docker-manifest-digest"`
	} `json:"image"`
	Kind string `json:"type"`
}

// Sign signs a statement.
func Sign(key crypto.Signer, s Statement) (Signed, error) {
	var p payload
	p.Critical.Identity.Name, p.Critical.Image.Digest, p.Critical.Kind = s.Name, s.Digest, s.Kind
	text, err := json.Marshal(p)
	if err != nil {
		return Signed{}, fmt.Errorf("sign %s: %w", s.Name, err)
	}
	sig, err := sign(key, text)
	if err != nil {
		return Signed{}, fmt.Errorf("sign %s: %w", s.Name, err)
	}
	return Signed{text, sig}, nil
}

// maxSigned bounds how many signatures are looked at.
const maxSigned = 100

// Check returns nil if one of all is by one of the keys, and says want; an empty
// name says nothing. Its error says what is wrong with the rest.
func Check(keys []Key, all []Signed, want Statement) error {
	if len(all) == 0 {
		return errors.New("it is not signed")
	}
	var other error
	for _, s := range all[:min(len(all), maxSigned)] {
		for _, k := range keys {
			if !k.made(s.Payload, s.Signature) {
				continue
			}
			err := s.says(want)
			if err == nil {
				return nil
			}
			other = fmt.Errorf("the signature by %s is of something else: %w", k.name, err)
		}
	}
	if other != nil {
		return other
	}
	return fmt.Errorf("it is signed, but by none of the keys %s", names(keys))
}

func names(keys []Key) string {
	var all []string
	for _, k := range keys {
		all = append(all, k.name)
	}
	return strings.Join(all, ", ")
}

func (s Signed) says(want Statement) error {
	var p payload
	if err := json.Unmarshal(s.Payload, &p); err != nil {
		return err
	}
	got := Statement{p.Critical.Kind, p.Critical.Identity.Name, p.Critical.Image.Digest}
	switch {
	case got.Kind != want.Kind:
		return fmt.Errorf("it is a %q", got.Kind)
	case got.Digest != want.Digest:
		return fmt.Errorf("it is of %s, and this is %s", got.Digest, want.Digest)
	case want.Name != "" && got.Name != want.Name:
		return fmt.Errorf("it is of %s, and this is %s", got.Name, want.Name)
	}
	return nil
}

// Text writes signatures for an annotation.
func Text(all []Signed) string {
	var parts []string
	for _, s := range all {
		parts = append(parts, base64.RawURLEncoding.EncodeToString(s.Payload)+"."+base64.RawURLEncoding.EncodeToString(s.Signature))
	}
	return strings.Join(parts, ",")
}

// maxAnnotation is how long an annotation of signatures may be.
const maxAnnotation = 64 << 10

// Parse reads what [Text] writes; "" is none.
func Parse(text string) (all []Signed, err error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxAnnotation {
		return nil, errors.New("read signature: it is too long")
	}
	for part := range strings.SplitSeq(text, ",") {
		first, second, _ := strings.Cut(part, ".")
		statement, err := base64.RawURLEncoding.DecodeString(first)
		if err != nil {
			return nil, fmt.Errorf("read signature: %w", err)
		}
		sig, err := base64.RawURLEncoding.DecodeString(second)
		if err != nil {
			return nil, fmt.Errorf("read signature: %w", err)
		}
		all = append(all, Signed{statement, sig})
	}
	return all, nil
}
