package control

import (
	"context"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/platform/docker"
	"github.com/myelin-run/myelin/platform/docker/relay"
	"github.com/myelin-run/myelin/platform/local"
)

// Docker has functions run as containers; see package platform/docker.
type Docker struct {
	Host    relay.Host // default docker.DefaultHost
	Network string     // default: one for each project
	// Publish, Gateway and Relay are of engines on other machines; see [docker.Options].
	Publish, Gateway string
	Relay            []string
	// Image makes the image of an artefact, and Ground what it stands on; see
	// [docker.Options].
	Image, Ground func(ctx context.Context, a build.Artefact) (img v1.Image, release func(), err error)
}

func (c *Control) docker(o local.Options) (place, error) {
	p, err := docker.New(docker.Options{Local: o, Host: c.o.Docker.Host, Publish: c.o.Docker.Publish, Gateway: c.o.Docker.Gateway, Relay: c.o.Docker.Relay, Network: c.o.Docker.Network, Door: c.door(), Beats: filepath.Join(c.o.DataDir, beatsDir), Image: c.o.Docker.Image, Ground: c.o.Docker.Ground})
	if err != nil {
		return nil, err
	}
	return p.Platform, nil
}

// door is the directory in which the gateway has a socket for containers.
func (c *Control) door() string { return filepath.Join(c.o.DataDir, "door") }
