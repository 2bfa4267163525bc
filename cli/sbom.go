package cli

import (
	"fmt"
	"os"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/spf13/cobra"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/build/sbom"
)

// billOf is the bill of materials of an image.
func (a *app) billOf(img v1.Image, name string) ([]byte, error) {
	digest, err := img.Digest()
	if err != nil {
		return nil, err
	}
	files := mutate.Extract(img)
	defer files.Close()
	found, err := sbom.Scan(files)
	if err != nil {
		return nil, err
	}
	return sbom.Document(sbom.Subject{Kind: "container", Name: name, Digest: digest.String(), Maker: a.ownVersion().Client}, found)
}

// listMaterials writes the bill of materials of an image to a file, and beside the
// image where it has room for it.
func (a *app) listMaterials(depot image.Depot, img v1.Image, name, place, file string) error {
	bill, err := a.billOf(img, name)
	if err != nil {
		return err
	}
	if kind, _ := image.Split(place); kind != image.Tar {
		if err := depot.Attach(a.ctx, place, img, sbom.MediaType, bill); err != nil {
			return err
		}
	}
	if err := os.WriteFile(file, bill, 0o644); err != nil {
		return fmt.Errorf("write bill of materials: %w", err)
	}
	return nil
}

func (a *app) imageSBOMCommand() *cobra.Command {
	var architecture string
	var attached bool
	c := &cobra.Command{
		Use:   "sbom IMAGE",
		Short: "Print what is in an image, as a bill of materials (CycloneDX)",
		Long: "Looks into an image for packages of Debian, Python, Node.js, Java and Go, and prints them as CycloneDX 1.6.\n" +
			"With --attached it looks at nothing, and prints what was attached to the image when it was built.",
		Example: "  myelin image sbom oci:hello\n  myelin image sbom --attached registry.example.com/hello:1",
		Args:    cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&architecture, "architecture", image.Architecture(), "`name` of the machine's kind if there are images for several: amd64, arm64")
	c.Flags().BoolVar(&attached, "attached", false, "print what is attached to the image")
	c.RunE = func(_ *cobra.Command, args []string) error {
		depot, err := a.depot()
		if err != nil {
			return err
		}
		img, err := depot.Base(a.ctx, args[0], architecture)
		if err != nil {
			return err
		}
		if !attached {
			bill, err := a.billOf(img, nameOf(img, args[0]))
			if err == nil {
				_, err = a.term.Out.Write(bill)
			}
			return err
		}
		digest, err := img.Digest()
		if err != nil {
			return err
		}
		all, err := depot.Attached(a.ctx, args[0], digest, sbom.MediaType)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return fail(exitNotFound, fmt.Errorf("nothing is attached to %s", args[0]), "build it with --sbom, or leave --attached out")
		}
		_, err = a.term.Out.Write(all[0])
		return err
	}
	return c
}

// nameOf is the function's name if an image has one.
func nameOf(img v1.Image, place string) string {
	if c, err := img.ConfigFile(); err == nil && c.Config.Labels["run.myelin.function"] != "" {
		return c.Config.Labels["run.myelin.function"]
	}
	return place
}
