package cli

import (
	"context"
	"io"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/dockerfile"
	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/control"
)

// platformFlags say what functions run on.
type platformFlags struct {
	platform string
	bases    map[string]string
	docker   dockerFlags
	cluster  clusterFlags
	// steps runs those of an artefact's image; nil where none is made.
	steps stepRunner

	runner *dockerfile.Builder
}

func (f *platformFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.platform, "platform", "local", "what functions run as: `local` for processes of this machine, docker for containers of a Docker engine, kubernetes for pods of a cluster")
	fs.StringToStringVar(&f.bases, "base", nil, "`runtime=image` that functions of a runtime stand on where they run as images: a name in a registry, oci:DIR or tar:FILE; see myelin base (repeat)")
	fs.StringToStringVar(&f.bases, "docker-base", nil, "what --base is")
	_ = fs.MarkDeprecated("docker-base", "say --base") // the flag is there
	f.docker.add(fs)
	f.cluster.add(fs)
}

// options has a control plane run functions there.
func (f *platformFlags) options(a *app, o *control.Options) (err error) {
	switch f.platform {
	case "local", "docker", "kubernetes":
	default:
		return usage("--platform %s: want local, docker or kubernetes", f.platform)
	}
	switch {
	case f.platform == "local" && len(f.bases) > 0:
		return usage("--base goes with --platform docker or kubernetes: on this machine functions run as processes")
	case f.platform == "local" && f.docker.given(), f.platform == "kubernetes" && f.docker.ofContainers():
		return usage("--docker-host and what else begins with --docker go with --platform docker")
	case f.platform != "kubernetes" && f.cluster.given():
		return usage("--registry, --kubeconfig and what begins with --kube go with --platform kubernetes")
	case f.platform == "local":
		return nil
	}
	if err := f.placeBases(); err != nil {
		return err
	}
	if f.platform == "docker" {
		if err := f.docker.whereabouts(); err != nil {
			return err
		}
	}
	if f.runner, err = a.stepsOn(f.docker.host); err != nil {
		return err
	}
	f.steps = func(ctx context.Context, art build.Artefact, log io.Writer) error {
		return a.runSteps(ctx, f.request(art, log))
	}
	make := func(ctx context.Context, art build.Artefact) (v1.Image, func(), error) {
		return a.imageFor(ctx, f.request(art, io.Discard))
	}
	if f.platform == "docker" {
		o.Docker = f.docker.options(make, func(ctx context.Context, art build.Artefact) (v1.Image, func(), error) {
			return a.groundFor(ctx, f.request(art, io.Discard))
		})
		return nil
	}
	o.Kubernetes, err = f.cluster.options(a, make)
	return err
}

// request is the image of an artefact on the base that the platform has for its
// runtime, or that it names.
func (f *platformFlags) request(art build.Artefact, log io.Writer) imageRequest {
	return imageRequest{art: art, base: f.bases[runtimeName(art.Runtime)], runner: f.runner, log: log}
}

// placeBases has bases on this machine be found wherever this program works.
func (f *platformFlags) placeBases() error {
	for runtime, base := range f.bases {
		if kind, rest := image.Split(base); kind != image.Registry && !filepath.IsAbs(rest) {
			abs, err := filepath.Abs(rest)
			if err != nil {
				return err
			}
			f.bases[runtime] = kind + ":" + abs
		}
	}
	return nil
}
