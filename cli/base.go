package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/build/image"
)

// foundation is what functions of a runtime need of Debian.
type foundation struct {
	packages    []string
	interpreter string // that of the packages
}

func foundations() map[string]foundation {
	return map[string]foundation{
		"java":   {[]string{"base-files", "openjdk-17-jre-headless"}, "/usr/lib/jvm/java-17-openjdk-" + image.Architecture()},
		"nodejs": {[]string{"base-files", "nodejs"}, "/usr/bin/node"},
		"python": {[]string{"base-files", "python3"}, "/usr/bin/python3"},
		"shell":  {[]string{"base-files", "dash", "coreutils", "sed", "grep", "mawk"}, ""},
	}
}

func (a *app) baseCommand() *cobra.Command {
	var out string
	var more []string
	var asIs bool
	known := foundations()
	c := &cobra.Command{
		Use:   "base RUNTIME",
		Short: "Make a base image of this machine's Debian packages, without a registry",
		Long: "Makes an image that functions of a runtime can stand on (build --base), of the packages that are\n" +
			"installed on this machine: their files as they brought them, and what they need; with the processor and\n" +
			"its worker. Functions in Go and C need none.",
		Example:   "  myelin base python -o oci:python\n  myelin base shell --package curl,jq -o image:registry.example.com/shell:1",
		ValidArgs: slices.Sorted(maps.Keys(known)),
	}
	c.Flags().StringVarP(&out, "output", "o", "", "`place` of the image: oci:DIR, tar:FILE or image:NAME")
	c.Flags().StringSliceVar(&more, "package", nil, "further installed `packages` that it shall have")
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
		f := known[args[0]]
		f.packages = append(f.packages, more...)
		return a.base(args[0], f, asIs, out)
	}
	return c
}

func (a *app) base(runtime string, f foundation, asIs bool, out string) error {
	p := a.term.Progress()
	defer p.Close()
	p.Step("base " + runtime)
	depot, err := a.depot()
	if err != nil {
		return err
	}
	img, changed, err := image.Debian(a.ctx, f.packages, image.DebianOptions{Architecture: image.Architecture(), AsIs: asIs, Layers: depot.Layers})
	if err != nil {
		return err
	}
	for _, path := range changed[:min(3, len(changed))] {
		p.Note("left out: %s was changed or removed on this machine", path)
	}
	if n := len(changed) - 3; n > 0 {
		p.Note("left out: %d more files", n)
	}
	processor, release, err := a.processorOf(runtime, f.interpreter, p)
	if err != nil {
		return err
	}
	defer release()
	if img, err = processor.On(img, depot.Layers); err != nil {
		return err
	}
	digest, err := depot.Write(a.ctx, img, out, "myelin-base-"+runtime+":latest")
	if err != nil {
		return err
	}
	p.Done("wrote %s", out)
	fmt.Fprintln(a.term.Out, digest)
	return nil
}
