package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/build/image"
)

func (a *app) imageCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "image",
		Short: "Copy images, sign them, say what is in them, and make that of Myelin",
		Long: "What is done with images without a container engine. An image is oci:DIR, an image layout, tar:FILE, an\n" +
			"archive as of `docker save`, or a name in a registry. How registries are reached (certificates, mirrors) is in\n" +
			"registries.yaml of the data directory; passwords are those of `docker login`.",
	}
	c.AddCommand(a.imageCopyCommand(), a.imageSBOMCommand(), a.imageSignCommand(), a.imageVerifyCommand(), a.imagePlatformCommand())
	return c
}

func (a *app) imageCopyCommand() *cobra.Command {
	var architecture string
	c := &cobra.Command{
		Use:   "copy FROM TO",
		Short: "Copy an image to another place",
		Long: "Copies an image, as it is, and prints its digest: all images of a name that has several, with signatures,\n" +
			"attestations and bills of materials that are beside them. What a registry has already is not sent again.\n" +
			"An archive, tar:FILE, has room for one image and nothing beside it.",
		Example: "  myelin image copy debian:12 oci:debian              # to be carried to where no network is\n  myelin image copy oci:hello image:registry.example.com/hello:1",
		Args:    cobra.ExactArgs(2),
	}
	c.Flags().StringVar(&architecture, "architecture", "", "`kind` of machine whose image alone is copied if there are several: amd64, arm64")
	c.RunE = func(_ *cobra.Command, args []string) error {
		depot, err := a.depot()
		if err != nil {
			return err
		}
		p := a.term.Progress()
		defer p.Close()
		p.Step("copy " + args[0])
		digest, err := depot.Copy(a.ctx, args[0], args[1], architecture)
		if err != nil {
			return err
		}
		p.Done("wrote %s", args[1])
		fmt.Fprintln(a.term.Out, digest)
		return nil
	}
	return c
}

// depot is what opens and writes images on this machine.
func (a *app) depot() (d image.Depot, err error) {
	data, err := a.dataDir()
	if err != nil {
		return d, err
	}
	layers, _ := a.layers.LoadOrStore(data, image.NewLayers(data))
	d.Layers = layers.(*image.Layers)
	d.Registries, err = image.ReadRegistries(data)
	return d, err
}
