// Package main of this module signs images and verifies their signatures by the packages that the command
// line of Cosign calls for it, for tests. Of its keys, certificates and logs it has none: a key
// is a file. It is a module of its own so that Myelin does not depend on Cosign.
package main

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/cosign/v2/pkg/oci/mutate"
	"github.com/sigstore/cosign/v2/pkg/oci/remote"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cosign:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want: sign|verify KEY IMAGE@DIGEST")
	}
	key, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	image, err := name.NewDigest(args[2])
	if err != nil {
		return err
	}
	switch args[0] {
	case "sign":
		return sign(key, image)
	case "verify":
		return verify(ctx, key, image)
	}
	return fmt.Errorf("%q: want sign or verify", args[0])
}

func verify(ctx context.Context, key []byte, image name.Digest) error {
	public, err := cryptoutils.UnmarshalPEMToPublicKey(key)
	if err != nil {
		return err
	}
	verifier, err := signature.LoadVerifier(public, crypto.SHA256)
	if err != nil {
		return err
	}
	_, _, err = cosign.VerifyImageSignatures(ctx, image, &cosign.CheckOpts{SigVerifier: verifier, ClaimVerifier: cosign.SimpleClaimVerifier, IgnoreTlog: true, IgnoreSCT: true})
	return err
}

func sign(key []byte, image name.Digest) error {
	private, err := cryptoutils.UnmarshalPEMToPrivateKey(key, cryptoutils.SkipPassword)
	if err != nil {
		return err
	}
	signer, err := signature.LoadSigner(private, crypto.SHA256)
	if err != nil {
		return err
	}
	says, err := (&payload.Cosign{Image: image}).MarshalJSON()
	if err != nil {
		return err
	}
	raw, err := signer.SignMessage(bytes.NewReader(says))
	if err != nil {
		return err
	}
	signed, err := static.NewSignature(says, base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		return err
	}
	entity, err := remote.SignedEntity(image)
	if err != nil {
		return err
	}
	with, err := mutate.AttachSignatureToEntity(entity, signed)
	if err != nil {
		return err
	}
	return remote.WriteSignatures(image.Repository, with)
}
