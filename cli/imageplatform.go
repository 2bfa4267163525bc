package cli

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/build/machine"
	"github.com/myelin-run/myelin/cli/terminal"
)

// toolchains are what building functions of a runtime needs of Debian besides what
// running them does. Those that begin with ? are taken if they are installed: the
// runtime's package may bring the same.
var toolchains = map[string][]string{
	"java":   {"openjdk-17-jdk-headless"},
	"nodejs": {"?npm"},
	"python": {"python3-pip"},
	"shell":  nil,
}

// platformImage is what an image of Myelin shall be.
type platformImage struct {
	out            string
	runtimes, more []string
	architectures  []string
	asIs           bool
}

func (a *app) imagePlatformCommand() *cobra.Command {
	var o platformImage
	known := slices.Sorted(maps.Keys(toolchains))
	c := &cobra.Command{
		Use:   "platform",
		Short: "Make the image of Myelin itself, without a registry or an engine",
		Long: "Makes an image with this program and the processor, which runs the control plane and the gateway as any user but\n" +
			"root, and with all but /tmp and /var/lib/myelin read-only. It has what functions of the runtimes are built with,\n" +
			"of the packages that are installed on this machine; Go and C functions are not built in it. For machines of\n" +
			"another architecture this program has to be there for them, as myelin-arm64 beside this one.",
		Example: "  myelin image platform -o image:registry.example.com/myelin:1\n  myelin image platform --runtime python --package git -o oci:myelin",
		Args:    none,
		RunE: func(*cobra.Command, []string) error {
			if !image.IsPlace(o.out) {
				return usage("say where the image goes: -o oci:DIR, -o tar:FILE or -o image:NAME")
			}
			for _, r := range o.runtimes {
				if _, ok := toolchains[r]; !ok {
					return usage("--runtime %s: want some of %s", r, strings.Join(known, ", "))
				}
			}
			for _, architecture := range o.architectures {
				if !machine.Known(architecture) {
					return usage("--architecture %s: want amd64 or arm64", architecture)
				}
			}
			return a.platformImage(o)
		},
	}
	fs := c.Flags()
	fs.StringVarP(&o.out, "output", "o", "", "`place` of the image: oci:DIR, tar:FILE or image:NAME")
	fs.StringSliceVar(&o.runtimes, "runtime", []string{"python", "nodejs", "shell"}, "`runtimes` whose functions it can build: java, nodejs, python, shell")
	fs.StringSliceVar(&o.more, "package", nil, "further installed `packages` that it shall have, such as git")
	fs.StringSliceVar(&o.architectures, "architecture", []string{image.Architecture()}, "`kinds` of machines that it is for: amd64, arm64")
	fs.Lookup("architecture").DefValue = "this machine's"
	fs.BoolVar(&o.asIs, "as-is", false, "take files also if they are not as their packages brought them")
	return c
}

func (a *app) platformImage(o platformImage) error {
	p := a.term.Progress()
	defer p.Close()
	p.Step("image of myelin")
	depot, err := a.depot()
	if err != nil {
		return err
	}
	images := map[string]v1.Image{}
	for _, architecture := range o.architectures {
		img, release, err := a.platformFor(o, architecture, depot, p)
		if err != nil {
			return err
		}
		defer release()
		images[architecture] = img
	}
	digest, err := a.writeAll(depot, images, o.out, "myelin:latest")
	if err != nil {
		return err
	}
	p.Done("wrote %s", o.out)
	fmt.Fprintln(a.term.Out, digest)
	return nil
}

// platformFor makes the image for machines of one architecture. What it is made of
// can be had until release.
func (a *app) platformFor(o platformImage, architecture string, depot image.Depot, p *terminal.Progress) (img v1.Image, release func(), err error) {
	parts := image.Platform{}
	if parts.Program, err = selfFor(architecture); err != nil {
		return nil, nil, err
	}
	if parts.Processor, err = a.processorFor(architecture); err != nil {
		return nil, nil, err
	}
	var releases []func()
	release = func() {
		for _, r := range releases {
			r()
		}
	}
	packages := append([]string{"base-files", "ca-certificates", "coreutils"}, o.more...)
	for _, r := range o.runtimes {
		f := foundations(architecture)[r]
		packages = append(append(packages, f.packages...), tools(r, architecture)...)
		worker, done, err := a.processorOf(r, f.interpreter, architecture, p)
		if err != nil {
			release()
			return nil, nil, err
		}
		releases = append(releases, done)
		if worker.Cache != "" {
			parts.Caches = append(parts.Caches, worker.Cache)
		}
	}
	img, err = a.debian(packages, architecture, o.asIs, depot, p)
	if err == nil {
		img, err = parts.On(img, depot.Layers)
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	return img, release, nil
}

// tools are the packages that build functions of a runtime.
func tools(runtime, architecture string) (packages []string) {
	for _, name := range toolchains[runtime] {
		name, optional := strings.CutPrefix(name, "?")
		if !optional || architecture != image.Architecture() || exec.Command("dpkg-query", "-L", name).Run() == nil {
			packages = append(packages, name)
		}
	}
	return packages
}

// selfFor is this program for machines of an architecture.
func selfFor(architecture string) (string, error) {
	own, err := os.Executable()
	if err != nil || architecture == image.Architecture() {
		return own, err
	}
	other := filepath.Join(filepath.Dir(own), "myelin-"+architecture)
	if !exists(other) {
		return "", fail(exitUsage, fmt.Errorf("an image for %[1]s needs this program for %[1]s, as %[2]s", architecture, other),
			"GOARCH="+architecture+" CGO_ENABLED=0 go build -o "+other+" ./cmd/myelin")
	}
	return other, nil
}
