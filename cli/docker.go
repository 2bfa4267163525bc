package cli

import (
	"context"
	"fmt"
	"net/url"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/control"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/platform/docker/relay"
)

// dockerFlags say which Docker engine runs functions.
type dockerFlags struct {
	network          string
	host             relay.Host
	publish, gateway string
}

func (d *dockerFlags) add(fs *pflag.FlagSet) {
	engineFlags(fs, &d.host, "the Docker engine; on Kubernetes, that which runs the steps of images, if there are any")
	fs.StringVar(&d.publish, "docker-publish", "", "IP `address` of the engine's machine at which it publishes ports of containers, 0.0.0.0 for all (default that of --docker-host); for engines of other machines, those among them whose socket is forwarded here")
	fs.StringVar(&d.gateway, "docker-gateway", "", "`URL` of the gateway for functions on another machine, such as http://10.0.0.1:8080, so that they can call each other")
	fs.StringVar(&d.network, "docker-network", "", "`network` that all containers are attached to, host and none among them (default: a network for each project)")
}

func (d *dockerFlags) given() bool { return d.host != relay.Host{} || d.ofContainers() }

// ofContainers says that something was given which is of containers alone, and not of
// an engine that only runs steps.
func (d *dockerFlags) ofContainers() bool { return d.network+d.publish+d.gateway != "" }

// options are those of a control plane whose functions' images are made by makes, and
// what those stand on by grounds. The engine's whereabouts are complete.
func (d *dockerFlags) options(makes, grounds func(context.Context, build.Artefact) (v1.Image, func(), error)) *control.Docker {
	return &control.Docker{Host: d.host, Publish: d.publish, Gateway: d.gateway, Network: d.network, Image: makes, Ground: grounds}
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

// groundFor is what an artefact's image stands on, nil if the function has steps or a base of
// its own: what those put where the function is would not be seen below it.
func (a *app) groundFor(ctx context.Context, r imageRequest) (v1.Image, func(), error) {
	plan, err := r.plan()
	if err != nil {
		return nil, nil, err
	}
	_, own, err := r.place()
	if err != nil || own || plan.Needs() {
		return nil, nil, err
	}
	r.ground = true
	return a.imageFor(ctx, r)
}
