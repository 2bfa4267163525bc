package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
	return &control.Docker{Host: d.host, Network: d.network, Image: func(ctx context.Context, art build.Artefact) (v1.Image, func(), error) {
		return a.imageOf(ctx, art, d.bases[runtimeName(art.Runtime)])
	}}, nil
}

// imageOf is the image of an artefact on a base, which can be read until release.
func (a *app) imageOf(ctx context.Context, art build.Artefact, base string) (img v1.Image, release func(), err error) {
	release = func() {}
	if base == "" && len(art.Command) == 0 {
		name := runtimeName(art.Runtime)
		return nil, nil, fmt.Errorf("no base image for %s is known: make one (myelin base %s -o oci:DIR) and start with --docker-base %s=oci:DIR", name, name, name)
	}
	depot, err := a.depot()
	if err != nil {
		return nil, nil, err
	}
	parts := image.Parts{Artefact: art, Layers: depot.Layers}
	if parts.Base, err = depot.Base(ctx, base, image.Architecture()); err != nil {
		return nil, nil, err
	}
	if len(art.Command) == 0 {
		interpreter, err := os.ReadFile(filepath.Join(art.Dir, "interpreter"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		if parts.Processor, release, err = a.processorOf(runtimeName(art.Runtime), strings.TrimSpace(string(interpreter)), nil); err != nil {
			return nil, nil, err
		}
	}
	if img, err = image.Make(parts); err != nil {
		release()
		return nil, nil, err
	}
	return img, release, nil
}
