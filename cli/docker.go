package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/control"
	"github.com/myelin-run/myelin/platform/docker"
)

// dockerFlags say whether functions run as containers, and on what.
type dockerFlags struct {
	platform, host, network string
	bases                   map[string]string
	// steps runs those of an artefact's image; nil on the local platform.
	steps stepRunner
}

func (d *dockerFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&d.platform, "platform", "local", "what functions run as: `local` for processes of this machine, docker for containers of a Docker engine")
	fs.StringVar(&d.host, "docker-host", "", "the Docker engine, `unix:///path` (default "+docker.DefaultHost+", or what DOCKER_HOST says)")
	fs.StringVar(&d.network, "docker-network", "", "`network` that all containers are attached to, host and none among them (default: a network for each project)")
	fs.StringToStringVar(&d.bases, "docker-base", nil, "`runtime=image` that functions of a runtime stand on: a name in a registry, oci:DIR or tar:FILE; see myelin base (repeat)")
}

// options are those of a control plane, nil for the local platform.
func (d *dockerFlags) options(a *app) (*control.Docker, error) {
	switch {
	case d.platform == "local" && (d.host != "" || d.network != "" || len(d.bases) > 0):
		return nil, usage("--docker-host, --docker-network and --docker-base go with --platform docker")
	case d.platform == "local":
		return nil, nil
	case d.platform != "docker":
		return nil, usage("--platform %s: want local or docker", d.platform)
	}
	if d.host == "" {
		d.host = os.Getenv("DOCKER_HOST")
	}
	for place, base := range d.bases {
		if kind, rest := image.Split(base); kind != image.Registry && !filepath.IsAbs(rest) {
			abs, err := filepath.Abs(rest)
			if err != nil {
				return nil, err
			}
			d.bases[place] = kind + ":" + abs
		}
	}
	runner, err := a.stepsOn(d.host)
	if err != nil {
		return nil, err
	}
	d.steps = func(ctx context.Context, art build.Artefact, log io.Writer) error {
		return a.runSteps(ctx, imageRequest{art: art, base: d.bases[runtimeName(art.Runtime)], runner: runner, log: log})
	}
	return &control.Docker{Host: d.host, Network: d.network, Image: func(ctx context.Context, art build.Artefact) (v1.Image, func(), error) {
		return a.imageFor(ctx, imageRequest{art: art, base: d.bases[runtimeName(art.Runtime)], runner: runner, log: io.Discard})
	}}, nil
}

// imageFor is the image of an artefact on the base that the platform has for its
// runtime, or that it names.
func (a *app) imageFor(ctx context.Context, r imageRequest) (v1.Image, func(), error) {
	made, err := a.imageOf(ctx, r)
	if err != nil {
		return nil, nil, err
	}
	return made.img, made.release, nil
}
