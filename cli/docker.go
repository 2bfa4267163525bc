package cli

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/image"
	"github.com/myelin-run/myelin/control"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/platform/docker/relay"
)

// dockerFlags say whether functions run as containers, and on what.
type dockerFlags struct {
	platform, network string
	host              relay.Host
	publish, gateway  string
	bases             map[string]string
	// steps runs those of an artefact's image; nil on the local platform.
	steps stepRunner
}

func (d *dockerFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&d.platform, "platform", "local", "what functions run as: `local` for processes of this machine, docker for containers of a Docker engine")
	engineFlags(fs, &d.host, "the Docker engine")
	fs.StringVar(&d.publish, "docker-publish", "", "IP `address` of the engine's machine at which it publishes ports of containers, 0.0.0.0 for all (default that of --docker-host); for engines of other machines, those among them whose socket is forwarded here")
	fs.StringVar(&d.gateway, "docker-gateway", "", "`URL` of the gateway for functions on another machine, such as http://10.0.0.1:8080, so that they can call each other")
	fs.StringVar(&d.network, "docker-network", "", "`network` that all containers are attached to, host and none among them (default: a network for each project)")
	fs.StringToStringVar(&d.bases, "docker-base", nil, "`runtime=image` that functions of a runtime stand on: a name in a registry, oci:DIR or tar:FILE; see myelin base (repeat)")
}

// options are those of a control plane, nil for the local platform.
func (d *dockerFlags) options(a *app) (*control.Docker, error) {
	switch {
	case d.platform == "local" && (d.host != relay.Host{} || d.network+d.publish+d.gateway != "" || len(d.bases) > 0):
		return nil, usage("--docker-host and what else begins with --docker go with --platform docker")
	case d.platform == "local":
		return nil, nil
	case d.platform != "docker":
		return nil, usage("--platform %s: want local or docker", d.platform)
	}
	if err := d.whereabouts(); err != nil {
		return nil, err
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
	return &control.Docker{Host: d.host, Publish: d.publish, Gateway: d.gateway, Network: d.network, Image: func(ctx context.Context, art build.Artefact) (v1.Image, func(), error) {
		return a.imageFor(ctx, imageRequest{art: art, base: d.bases[runtimeName(art.Runtime)], runner: runner, log: io.Discard})
	}}, nil
}

// whereabouts completes where the engine is.
func (d *dockerFlags) whereabouts() (err error) {
	if d.host, err = engineAt(d.host); err != nil {
		return err
	}
	d.host.Forwarded = d.host.Socket() && d.publish != ""
	if !d.host.Remote() && d.gateway != "" {
		return usage("--docker-gateway is for engines of other machines: tcp://host:port, or a socket that is forwarded, with --docker-publish")
	}
	if u, err := url.Parse(d.gateway); d.gateway != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return usage("--docker-gateway %s: want a URL such as http://10.0.0.1:8080", d.gateway)
	}
	return nil
}

// relayCommand is the process that stands in for a container of another machine.
func (a *app) relayCommand() *cobra.Command {
	var settings string
	c := &cobra.Command{
		Use:    "relay",
		Short:  "What stands in for a container of another machine; the control plane starts it",
		Hidden: true,
		Args:   none,
		RunE: func(*cobra.Command, []string) error {
			var s relay.Settings
			if err := document.DecodeJSON([]byte(settings), &s); err != nil {
				return misused(fmt.Errorf("settings: %w", err))
			}
			return relay.Run(a.ctx, s)
		},
	}
	c.Flags().StringVar(&settings, "settings", "", "what it stands in for, as `JSON`")
	return c
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
