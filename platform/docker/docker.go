// Package docker runs functions as containers of a Docker engine: one container for
// each replica, from an image of the function. What supervises, replaces, drains and
// adopts them is the local platform's; this package starts containers instead of
// processes. It knows nothing of how images are made.
//
// On this machine, a container's listening socket is opened outside and passed to it over
// a unix socket. So no port is published, there is nothing between a function and
// who asks it, and an old container cannot keep what belongs to a new one. Containers are
// found again by their labels, which are all that is kept about them. On another machine
// each container has a stand-in here, a process of package relay, and that is
// what is supervised.
package docker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/platform/docker/relay"
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
	// Host is the engine. Default [DefaultHost]. One at a unix socket has to be on this
	// machine and see its files, because it mounts them.
	Host relay.Host
	// Publish is the IP address of an engine's machine, if that is another one, at which
	// ports are published; default: that by which the engine is reached.
	Publish string
	// Gateway is the URL of the gateway for containers of another machine, where functions
	// reach each other. "": they do not.
	Gateway string
	// Relay is the command, absolute, of a process that runs [relay.Run] with the settings
	// that follow --settings; for engines on other machines.
	Relay []string
	// Patience is how long an engine of another machine may take to say that it is there.
	// Default 5s.
	Patience time.Duration
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
	// Ground makes what that image stands on, nil if the function cannot be had apart from
	// it. An engine of this machine is given that, and containers the artefact's directory, so
	// that a change of code is no image. Nil: each artefact has its image.
	Ground func(ctx context.Context, a build.Artefact) (img v1.Image, release func(), err error)
}

// Platform runs functions on a Docker engine. It implements what [local.Platform]
// does, except that nothing is parked.
type Platform struct {
	*local.Platform
	engine *engine
}

// New returns a platform; it opens nothing.
func New(o Options) (*Platform, error) {
	if o.Host.Address == "" {
		o.Host.Address = DefaultHost
	}
	c, err := o.Host.Connect()
	if err != nil {
		return nil, err
	}
	if o.Local.Log == nil {
		o.Local.Log = slog.New(slog.DiscardHandler)
	}
	sum := sha256.Sum256([]byte(o.Local.DataDir))
	e := &engine{client: c, at: o.Host, host: o.Host.Address, network: o.Network, image: o.Image, ground: o.Ground, log: o.Local.Log, id: fmt.Sprintf("%x", sum[:4]), images: map[string]*made{}}
	e.door, e.beats = o.Door, o.Beats
	if e.at.Remote() {
		e.ground = nil
		e.gateway, e.relay, e.patience = o.Gateway, o.Relay, cmp.Or(o.Patience, defaultPatience)
		if e.publish, err = publishAt(o.Host, o.Publish); err != nil {
			return nil, err
		}
		if len(e.relay) == 0 {
			return nil, errors.New("docker: the program that stands in for containers of other machines is not said")
		}
	}
	o.Local.Engine, o.Local.Warm = e, nil
	return &Platform{local.New(o.Local), e}, nil
}

// maker makes an image of an artefact, which can be read until release.
type maker = func(context.Context, build.Artefact) (img v1.Image, release func(), err error)

// engine implements [local.Engine].
type engine struct {
	client   *client.Client
	at       relay.Host
	host     string     // at's address
	publish  netip.Addr // of an engine on another machine, as are the next three; see Options
	gateway  string
	relay    []string
	patience time.Duration
	network  string
	door     string // see Options
	beats    string // see Options
	image    maker
	ground   maker // nil if each artefact has its image
	log      *slog.Logger
	id       string // tells the containers of one data directory from those of another
	loading  sync.Mutex

	mu      sync.Mutex
	changed func()
	trouble string
	doomed  []string         // containers to be removed when the engine is back
	images  map[string]*made // by what they are called
	// Of engines on other machines: which containers there are to be, by deployment
	// and replica, and whether others have not been looked for.
	expected map[string]bool
	unswept  bool
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
	limit := answerLimit
	if e.at.Remote() {
		go e.heart(ctx)
		limit = e.patience
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	info, err := e.client.Info(ctx, client.InfoOptions{})
	if err != nil && e.away(err) { // what stands in for containers is here, and is adopted
		_ = e.problem("reach the Docker engine", err)
		return nil
	}
	if err != nil {
		return e.problem("reach the Docker engine at "+e.host, err)
	}
	if info.Info.OSType != "linux" {
		return fmt.Errorf("the Docker engine at %s runs containers of %s: want linux", e.host, info.Info.OSType)
	}
	if e.at.Remote() && !sameKind(info.Info.Architecture, runtime.GOARCH) {
		return fmt.Errorf("the Docker engine at %s is of a machine of the kind %s, and functions are built here for %s: run the control plane on a machine of that kind", e.host, info.Info.Architecture, runtime.GOARCH)
	}
	return nil
}

// sameKind compares what an engine calls its machine's processor, as uname does, with
// what Go calls it. What is not known here is taken for the same.
func sameKind(engines, ours string) bool {
	known := map[string]string{"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
	is, ok := known[engines]
	return !ok || is == ours
}

// problem says what an engine could not do, and notes whether it can be reached.
func (e *engine) problem(what string, err error) error {
	if err == nil {
		e.note("")
		return nil
	}
	if client.IsErrConnectionFailed(err) || e.away(err) {
		e.note(fmt.Sprintf("the Docker engine at %s cannot be reached: functions go on, and nothing is started, until it is back", e.host))
	}
	return fmt.Errorf("%s: %w", what, err)
}

// away says of an error that an engine of another machine cannot be reached now.
func (e *engine) away(err error) bool {
	return e.at.Remote() && !relay.Refused(err) && (client.IsErrConnectionFailed(err) || errors.Is(err, context.DeadlineExceeded))
}

func (e *engine) note(trouble string) {
	e.mu.Lock()
	was, tell := e.trouble, e.changed
	e.trouble = trouble
	var doomed []string
	if trouble == "" {
		doomed, e.doomed = e.doomed, nil
		if e.unswept {
			e.unswept = false
			go e.sweep(context.Background(), "")
		}
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
	if e.at.Remote() && e.Trouble() != "" {
		e.sweepLater()
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	all, err := e.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: e.ours("")})
	if err != nil && e.away(err) {
		e.sweepLater()
		return nil, nil
	}
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
