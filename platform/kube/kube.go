// Package kube runs functions on a Kubernetes cluster: a Deployment for each, with
// a Service that is its address, a Secret that configures its processors, and a
// disruption budget. The cluster replaces, restarts and drains; this package says
// what there shall be, and reads what there is from watches. All that it knows
// about a function is kept in labels and annotations of these objects, and so a
// successor goes on with them. It knows nothing of how images are made.
package kube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
)

// DefaultLeave is how long a replica that is told to stop still takes requests.
const DefaultLeave = 8 * time.Second

// minKey is the least number of bytes of a key.
const minKey = 16

// Options say where functions run.
type Options struct {
	// Config is a kubeconfig file; "": what KUBECONFIG says, then ~/.kube/config,
	// then, in a pod, its service account.
	Config string
	// Context is one of the file's contexts; "": its current one.
	Context string
	// Namespace is where all objects are; "": the context's. It has to be there.
	Namespace string
	// Key tells this platform's objects from those of others in the namespace, and
	// is what its talks with processors are proven by. A successor has the same.
	Key []byte
	// Image makes the image of an artefact available to the cluster, and says what
	// it is called there, best by its digest.
	Image func(ctx context.Context, name string, a build.Artefact) (reference string, err error)
	// Functions is the URL at which functions reach the gateway, and so each other;
	// "": they do not.
	Functions string
	// Leave is how long a replica that is told to stop still takes requests, until
	// no node sends it any; at least a second. Default [DefaultLeave].
	Leave time.Duration
	// Dial connects to addresses of pods and services; nil: as this machine does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Moved is called when other replicas than before are behind the address of
	// name. Those that leave still take requests for a while. May be nil.
	Moved func(name string)
	Log   *slog.Logger // default: none

	// startLimit is how long a pod may at least take until its container runs: it is
	// scheduled, and its image is pulled. Default 2 minutes.
	startLimit time.Duration
	// wrap sees what the API server is asked; of tests.
	wrap func(http.RoundTripper) http.RoundTripper
}

// Platform implements [platform.Platform].
type Platform struct {
	o       Options
	owner   string
	cluster *cluster
	seen    *seen
	changes chan string
	begun   chan struct{} // closed when Run has seen all there is
	failed  chan struct{} // closed when Run could not

	sharing sharing
	applied sync.Map // *sync.Mutex by name: one Apply or Remove at a time
	writing sync.Map // *sync.Mutex by name: what replicas are configured by
}

var _ interface {
	platform.Platform
	platform.Runner
	platform.Notifier
	platform.Logs
	platform.Processors
	platform.Sharer
	platform.Autoscaler
} = (*Platform)(nil)

// New returns a platform. It reads the configuration and asks nobody.
func New(o Options) (*Platform, error) {
	if len(o.Key) < minKey {
		return nil, fmt.Errorf("kubernetes: a key of %d bytes, want %d", len(o.Key), minKey)
	}
	if o.Image == nil {
		return nil, errors.New("kubernetes: nobody makes images")
	}
	if o.Leave == 0 {
		o.Leave = DefaultLeave
	}
	if o.startLimit == 0 {
		o.startLimit = 2 * time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	config, namespace, err := configOf(o)
	if err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	if o.wrap != nil {
		config.Wrap(o.wrap)
	}
	sum := sha256.Sum256(o.Key)
	p := &Platform{o: o, owner: hex.EncodeToString(sum[:8]), changes: make(chan string, 256),
		begun: make(chan struct{}), failed: make(chan struct{}),
		sharing: sharing{said: map[string]function.Shares{}, told: map[string]map[string]string{}}}
	if p.cluster, err = connect(config, namespace, "myelin-"+p.owner); err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	p.seen, err = newSeen(p.cluster, labelOwner+"="+p.owner)
	return p, err
}

// configOf finds the cluster and the namespace.
func configOf(o Options) (*rest.Config, string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Config
	c := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.Context})
	config, err := c.ClientConfig()
	if err != nil {
		return nil, "", err
	}
	namespace := o.Namespace
	if namespace == "" {
		if namespace, _, err = c.Namespace(); err != nil {
			return nil, "", err
		}
	}
	return config, namespace, nil
}

// Run watches what there is until ctx is done; functions go on without it. It is
// called once.
func (p *Platform) Run(ctx context.Context) error {
	if err := p.cluster.check(ctx); err != nil {
		close(p.failed)
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("start kubernetes platform: %w", err)
	}
	ctx = klog.NewContext(ctx, logr.FromSlogHandler(p.o.Log.Handler())) // of the watches
	return p.seen.run(ctx, func() { close(p.begun) }, p.tell)
}

// tell tells whoever wants to know that a deployment changed, and whether others
// than before are behind its address.
func (p *Platform) tell(name string, moved bool) {
	if moved && p.o.Moved != nil {
		p.o.Moved(name)
	}
	select {
	case p.changes <- name:
	default:
	}
}

// Changes implements [platform.Notifier].
func (p *Platform) Changes() <-chan string { return p.changes }

// ready waits until Run has seen all there is.
func (p *Platform) ready(ctx context.Context) error {
	select {
	case <-p.begun:
		return nil
	case <-p.failed:
		return errors.New("the platform did not start")
	case <-ctx.Done():
		return fmt.Errorf("wait for the cluster at %s: %w", p.cluster.host, ctx.Err())
	}
}

// lock has one at a time do something about a name.
func lock(of *sync.Map, name string) (release func()) {
	m, _ := of.LoadOrStore(name, &sync.Mutex{})
	l := m.(*sync.Mutex)
	l.Lock()
	return l.Unlock
}
