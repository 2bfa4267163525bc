// Package docker runs functions as containers of a Docker engine on this machine: one
// container for each replica, from an image of the function. What supervises,
// replaces, drains and adopts them is the local platform's; this package starts
// containers instead of processes, and finds them again by their labels, which
// are all that is kept about them. It knows nothing of how images are made.
//
// A container's listening socket is opened on this machine and passed to it over
// a unix socket. So no port is published, there is nothing between a function and
// who asks it, and an old container cannot keep what belongs to a new one.
package docker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/platform/local"
)

// DefaultHost is where engines listen.
const DefaultHost = "unix:///var/run/docker.sock"

// DoorFile is the name of the gateway's socket in its directory.
const DoorFile = "gateway.sock"

// BeatsFile is the name of the dealer's socket in its directory.
const BeatsFile = "dealer.sock"

// Options say where and how functions run.
type Options struct {
	// Local is what the local platform needs; its Engine is set here.
	Local local.Options
	// Host is the engine: unix:///path. Default [DefaultHost]. It has to be on this
	// machine and see its files, because it mounts them.
	Host string
	// Network is what containers are attached to: a network's name, "host" or "none".
	// "": a network for each project, which is made when it is needed.
	Network string
	// Door is a directory with a socket [DoorFile], at which the gateway serves, so that
	// functions reach each other by name whatever network they are on. "": they do not.
	Door string
	// Beats is a directory with a socket [BeatsFile], at which the dealer of shards
	// takes beats. "": shards are not dealt.
	Beats string
	// Image makes the image of an artefact. What it is made of can be had until release.
	Image func(ctx context.Context, a build.Artefact) (img v1.Image, release func(), err error)
}

// Platform runs functions on a Docker engine. It implements what [local.Platform]
// does, except that nothing is parked.
type Platform struct {
	*local.Platform
	engine *engine
}

// New returns a platform; it opens nothing.
func New(o Options) (*Platform, error) {
	if o.Host == "" {
		o.Host = DefaultHost
	}
	if !strings.HasPrefix(o.Host, "unix://") {
		return nil, fmt.Errorf("docker host %q: want unix:///path: the engine has to be on this machine", o.Host)
	}
	c, err := client.New(client.WithHost(o.Host), client.WithUserAgent("myelin"))
	if err != nil {
		return nil, fmt.Errorf("docker host %q: %w", o.Host, err)
	}
	if o.Local.Log == nil {
		o.Local.Log = slog.New(slog.DiscardHandler)
	}
	sum := sha256.Sum256([]byte(o.Local.DataDir))
	e := &engine{client: c, host: o.Host, network: o.Network, image: o.Image, log: o.Local.Log, id: fmt.Sprintf("%x", sum[:4]), images: map[string]*made{}}
	e.door, e.beats = o.Door, o.Beats
	o.Local.Engine, o.Local.Warm = e, nil
	return &Platform{local.New(o.Local), e}, nil
}

// engine implements [local.Engine].
type engine struct {
	client  *client.Client
	host    string
	network string
	door    string // see Options
	beats   string // see Options
	image   func(context.Context, build.Artefact) (v1.Image, func(), error)
	log     *slog.Logger
	id      string // tells the containers of one data directory from those of another
	loading sync.Mutex

	mu      sync.Mutex
	changed func()
	trouble string
	doomed  []string         // containers to be removed when the engine is back
	images  map[string]*made // by what they are called
}

// Labels of what this platform makes.
const (
	labelPlatform   = "run.myelin.platform"
	labelDeployment = "run.myelin.deployment"
	labelReplica    = "run.myelin.replica"
	labelRecord     = "run.myelin.record"
)

// answerLimit bounds what an engine is asked that takes it no time.
const answerLimit = time.Minute

// Begin implements [local.Engine].
func (e *engine) Begin(ctx context.Context, changed func()) error {
	e.mu.Lock()
	e.changed = changed
	e.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	info, err := e.client.Info(ctx, client.InfoOptions{})
	if err != nil {
		return e.problem("reach the Docker engine", err)
	}
	if info.Info.OSType != "linux" {
		return fmt.Errorf("the Docker engine at %s runs containers of %s: want linux", e.host, info.Info.OSType)
	}
	return nil
}

// problem says what an engine could not do, and notes whether it can be reached.
func (e *engine) problem(what string, err error) error {
	if err == nil {
		e.note("")
		return nil
	}
	if client.IsErrConnectionFailed(err) {
		e.note(fmt.Sprintf("the Docker engine at %s cannot be reached: functions go on, and nothing is started, until it is back", e.host))
	}
	return fmt.Errorf("%s: %w", what, err)
}

func (e *engine) note(trouble string) {
	e.mu.Lock()
	was, tell := e.trouble, e.changed
	e.trouble = trouble
	var doomed []string
	if trouble == "" {
		doomed, e.doomed = e.doomed, nil
	}
	e.mu.Unlock()
	for _, name := range doomed {
		go e.discard(name)
	}
	if was != trouble && tell != nil {
		tell()
	}
}

// Trouble implements [local.Engine].
func (e *engine) Trouble() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.trouble
}

// ours filters what belongs to this platform, or to one deployment.
func (e *engine) ours(name string) client.Filters {
	f := make(client.Filters).Add("label", labelPlatform+"="+e.id)
	if name != "" {
		f.Add("label", labelDeployment+"="+name)
	}
	return f
}

// Names implements [local.Engine].
func (e *engine) Names(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	all, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: e.ours("")})
	if err != nil {
		return nil, e.problem("list containers", err)
	}
	var names []string
	for _, c := range all.Items {
		names = append(names, c.Labels[labelDeployment])
	}
	return names, nil
}

var errNoImage = errors.New("the image of the function is gone from the engine, and it is made again when the function is applied")
