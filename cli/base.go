package cli

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/build/machine"
	"github.com/myelin-run/myelin/cli/terminal"
)

// foundation is what functions of a runtime need of Debian.
type foundation struct {
	packages    []string
	interpreter string // that of the packages
}

func foundations(architecture string) map[string]foundation {
	return map[string]foundation{
		"java":   {[]string{"base-files", "openjdk-17-jre-headless"}, "/usr/lib/jvm/java-17-openjdk-" + architecture},
		"nodejs": {[]string{"base-files", "nodejs"}, "/usr/bin/node"},
		"python": {[]string{"base-files", "python3", "libstdc++6"}, "/usr/bin/python3"},
		"shell":  {[]string{"base-files", "dash", "coreutils", "sed", "grep", "mawk"}, ""},
	}
}

func (a *app) baseCommand() *cobra.Command {
	var out string
	var more []string
	var architectures []string
	var asIs bool
	known := foundations(image.Architecture())
	c := &cobra.Command{
		Use:   "base RUNTIME",
		Short: "Make a base image of Debian packages, without a registry",
		Long: "Makes an image that functions of a runtime can stand on (build --base), of the packages that are\n" +
			"installed on this machine: their files as they brought them, and what they need; with the processor and\n" +
			"its worker. For another architecture the packages are fetched from where this machine's apt gets them, and\n" +
			"nothing is installed. Functions in Go and C need no base.",
		Example:   "  myelin base python -o oci:python\n  myelin base python --architecture amd64,arm64 -o oci:python\n  myelin base shell --package curl,jq -o image:registry.example.com/shell:1",
		ValidArgs: slices.Sorted(maps.Keys(known)),
	}
	c.Flags().StringVarP(&out, "output", "o", "", "`place` of the image: oci:DIR, tar:FILE or image:NAME")
	c.Flags().StringSliceVar(&more, "package", nil, "further `packages` that it shall have")
	c.Flags().StringSliceVar(&architectures, "architecture", nil, "`kinds` of machines that it is for: amd64, arm64 (default this machine's)")
	c.Flags().BoolVar(&asIs, "as-is", false, "take files also if they are not as their packages brought them")
	c.Args = cobra.MatchAll(cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
		if _, ok := known[args[0]]; !ok {
			return usage("no base is known for %q (known: %s)", args[0], strings.Join(c.ValidArgs, ", "))
		}
		return nil
	})
	c.RunE = func(_ *cobra.Command, args []string) error {
		if !image.IsPlace(out) {
			return usage("say where the image goes: -o oci:DIR, -o tar:FILE or -o image:NAME")
		}
		if len(architectures) == 0 {
			architectures = []string{image.Architecture()}
		}
		for _, architecture := range architectures {
			if !machine.Known(architecture) {
				return usage("--architecture %s: want amd64 or arm64", architecture)
			}
		}
		return a.base(args[0], more, architectures, asIs, out)
	}
	return c
}

func (a *app) base(runtime string, more, architectures []string, asIs bool, out string) error {
	p := a.term.Progress()
	defer p.Close()
	p.Step("base " + runtime)
	depot, err := a.depot()
	if err != nil {
		return err
	}
	images := map[string]v1.Image{}
	for _, architecture := range architectures {
		f := foundations(architecture)[runtime]
		f.packages = append(f.packages, more...)
		img, release, err := a.baseFor(runtime, architecture, f, asIs, depot, p)
		if err != nil {
			return err
		}
		defer release()
		images[architecture] = img
	}
	digest, err := a.writeAll(depot, images, out, "myelin-base-"+runtime+":latest")
	if err != nil {
		return err
	}
	p.Done("wrote %s", out)
	fmt.Fprintln(a.term.Out, digest)
	return nil
}

// baseFor makes the base for machines of one architecture. What it is made of can
// be had until release.
func (a *app) baseFor(runtime, architecture string, f foundation, asIs bool, depot image.Depot, p *terminal.Progress) (img v1.Image, release func(), err error) {
	if img, err = a.debian(f.packages, architecture, asIs, depot, p); err != nil {
		return nil, nil, err
	}
	processor, release, err := a.processorOf(runtime, f.interpreter, architecture, p)
	if err != nil {
		return nil, nil, err
	}
	if img, err = processor.On(img, depot.Layers); err != nil {
		release()
	}
	return img, release, err
}

// debian is an image of packages for machines of an architecture, without what was
// changed on this machine, which is told.
func (a *app) debian(packages []string, architecture string, asIs bool, depot image.Depot, p *terminal.Progress) (v1.Image, error) {
	data, err := a.dataDir()
	if err != nil {
		return nil, err
	}
	img, changed, err := image.Debian(a.ctx, packages, image.DebianOptions{Architecture: architecture, Cache: filepath.Join(data, "cache", "debian"), AsIs: asIs, Layers: depot.Layers})
	if err != nil {
		return nil, err
	}
	for _, path := range changed[:min(3, len(changed))] {
		p.Note("left out: %s was changed or removed on this machine", path)
	}
	if n := len(changed) - 3; n > 0 {
		p.Note("left out: %d more files", n)
	}
	return img, nil
}
