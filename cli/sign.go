package cli

import (
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/build/signature"
)

func (a *app) keysCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Make keys for signatures",
		Long: "Keys sign images (image sign) and the artefacts of functions (run --sign-key). Which signatures functions\n" +
			"need to run is said in signatures.yaml of the control plane's data directory.",
	}
	c.AddCommand(&cobra.Command{
		Use:     "new PATH",
		Short:   "Make a pair of keys: PATH.key to sign with, PATH.pub to check with",
		Long:    "Makes a pair of keys (ECDSA on P-256). PATH.key is readable for its owner only, and not encrypted.",
		Example: "  myelin keys new release",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := signature.NewKeys(args[0]); err != nil {
				return err
			}
			fmt.Fprintf(a.term.Out, "%s.key\n%s.pub\n", args[0], args[0])
			return nil
		},
	})
	return c
}

func (a *app) imageSignCommand() *cobra.Command {
	var key, architecture string
	c := &cobra.Command{
		Use:   "sign IMAGE",
		Short: "Sign an image's digest",
		Long: "Signs the digest of an image, and keeps the signature beside it in its registry or layout, as Cosign does.\n" +
			"Of a name that has images for several kinds of machines, the index and each image are signed. The images stay what they are.",
		Example: "  myelin keys new release\n  myelin image sign registry.example.com/hello:1 --key release.key",
		Args:    cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&key, "key", "", "`file` with the private key")
	c.Flags().StringVar(&architecture, "architecture", "", "`kind` of machine whose image alone is signed if there are several: amd64, arm64")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if key == "" {
			return usage("say --key with the file of a private key; `myelin keys new` makes one")
		}
		private, err := signature.ReadPrivate(key)
		if err != nil {
			return err
		}
		depot, digests, err := a.digestsOf(args[0], architecture)
		if err != nil {
			return err
		}
		name, err := depot.Repository(args[0])
		if err != nil {
			return err
		}
		for _, digest := range digests {
			signed, err := signature.Sign(private, signature.Statement{Kind: signature.Image, Name: name, Digest: digest.String()})
			if err != nil {
				return err
			}
			if err := depot.AddSignature(a.ctx, args[0], digest, image.Signature(signed)); err != nil {
				return err
			}
		}
		fmt.Fprintln(a.term.Out, digests[0])
		return nil
	}
	return c
}

func (a *app) imageVerifyCommand() *cobra.Command {
	var keys []string
	var architecture string
	c := &cobra.Command{
		Use:     "verify IMAGE",
		Short:   "Check that an image is signed",
		Long:    "Checks that the digest of an image is signed with one of the keys, and prints it; of a name that has several images,\nthat of their index. Where the image is said to be is not checked: an image that was copied stays signed.",
		Example: "  myelin image verify registry.example.com/hello:1 --key release.pub",
		Args:    cobra.ExactArgs(1),
	}
	c.Flags().StringSliceVar(&keys, "key", nil, "`files` with public keys, of which one has to have signed")
	c.Flags().StringVar(&architecture, "architecture", "", "`kind` of machine whose image is checked, instead of the index, if there are several: amd64, arm64")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if len(keys) == 0 {
			return usage("say --key with the file of a public key")
		}
		var public []signature.Key
		for _, file := range keys {
			some, err := signature.ReadPublic(file)
			if err != nil {
				return err
			}
			public = append(public, some...)
		}
		depot, digests, err := a.digestsOf(args[0], architecture)
		if err != nil {
			return err
		}
		digest := digests[0]
		found, err := depot.Signatures(a.ctx, args[0], digest)
		if err != nil {
			return err
		}
		var all []signature.Signed
		for _, s := range found {
			all = append(all, signature.Signed(s))
		}
		if err := signature.Check(public, all, signature.Statement{Kind: signature.Image, Digest: digest.String()}); err != nil {
			return fail(exitFailed, fmt.Errorf("%s: %w", args[0], err), "")
		}
		fmt.Fprintln(a.term.Out, digest)
		return nil
	}
	return c
}

// digestsOf are those of an image that is there, and of all that it lists.
func (a *app) digestsOf(place, architecture string) (depot image.Depot, digests []v1.Hash, err error) {
	if depot, err = a.depot(); err == nil {
		digests, err = depot.Digests(a.ctx, place, architecture)
	}
	return depot, digests, err
}

// signedBy is the annotation of a function whose artefact has such content.
func signedBy(keyFile, name, content string) (string, error) {
	if content == "" {
		return "", fmt.Errorf("the artefact has no name for its content, as one that an older control plane built: build it anew to sign it")
	}
	key, err := signature.ReadPrivate(keyFile)
	if err != nil {
		return "", err
	}
	signed, err := signature.Sign(key, signature.Statement{Kind: signature.Artefact, Name: name, Digest: content})
	if err != nil {
		return "", err
	}
	return signature.Text([]signature.Signed{signed}), nil
}
