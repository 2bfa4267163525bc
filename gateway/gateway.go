// Package gateway takes requests on one address and passes them to functions.
// It is a process of its own, which the control plane starts and tells its
// routes, and which goes on when the control plane ends. It knows nothing of
// stores, builds and deployments.
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/myelin-run/myelin/gateway/access"
	"github.com/myelin-run/myelin/gateway/front"
	"github.com/myelin-run/myelin/gateway/later"
	"github.com/myelin-run/myelin/gateway/once"
	"github.com/myelin-run/myelin/processor/handoff"
)

const (
	// AdminFile is the unix socket that takes the routes, beside the handoff.
	AdminFile = "admin.sock"
	// patience is how long a gateway that just started waits for its routes
	// before it answers without; meanwhile connections wait too.
	patience = 3 * time.Second
	// linger is how long an ending gateway answers on idle connections.
	linger = time.Second
)

// Options of a gateway.
type Options struct {
	Sockets []handoff.Socket // all are served
	Dir     string           // where it says that it is ready
	Scratch string           // where its own sockets are made
	Drain   time.Duration    // time for requests under way at the end
	Log     *slog.Logger
	Settings
}

// Inherited returns the options of a gateway that was started by a control
// plane: sockets passed by descriptor, its directory the working directory,
// its scratch directory TMPDIR.
func Inherited(log *slog.Logger) (Options, error) {
	sockets, err := handoff.Inherited(os.Getenv)
	if err != nil {
		return Options{}, fmt.Errorf("start gateway: %w", err)
	}
	if len(sockets) == 0 {
		return Options{}, errors.New("start gateway: no listening socket was passed; it is started by myelin up")
	}
	return Options{Sockets: sockets, Dir: ".", Scratch: os.Getenv("TMPDIR"), Drain: 25 * time.Second, Log: log}, nil
}

// Run serves until ctx is done, then drains.
func Run(ctx context.Context, o Options) error {
	g := newRouter(o.Log)
	conf, err := g.prepare(&o)
	if err != nil {
		return fmt.Errorf("start gateway: %w", err)
	}
	ls, err := listeners(o.Sockets, conf)
	defer closeAll(ls)
	if err != nil {
		return fmt.Errorf("start gateway: %w", err)
	}
	admin, err := listenUnix(filepath.Join(o.Scratch, AdminFile))
	if err != nil {
		return fmt.Errorf("start gateway: %w", err)
	}
	way, err := openDoor(o)
	if err != nil {
		return errors.Join(fmt.Errorf("start gateway: %w", err), admin.Close())
	}
	own, err := handoff.OfferAt(filepath.Join(o.Scratch, handoff.File))
	if err != nil {
		return errors.Join(fmt.Errorf("start gateway: %w", err), admin.Close())
	}
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 6)
	background := g.background(inner, ended)
	if way != nil {
		background++
		go func() { ended <- way.serve(inner) }()
	}
	tell := &http.Server{Handler: g.admin(), ReadHeaderTimeout: 5 * time.Second}
	go func() { ended <- tell.Serve(admin) }()
	go func() { ended <- handoff.Serve(inner, own, o.Sockets) }()
	err = g.serve(ctx, ls, o)
	tell.Close()
	stop()
	for range 2 + background {
		if e := <-ended; e != nil && !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// prepare makes what the settings ask for; nothing of it runs yet.
func (g *router) prepare(o *Options) (*tls.Config, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	conf, err := o.secured()
	if err != nil {
		return nil, err
	}
	g.secure = conf != nil
	if o.AccessLog != nil {
		g.access = access.New(*o.AccessLog)
	}
	if o.Store != "" {
		if g.later, err = later.New(filepath.Join(o.Store, "later"), g.attempt, o.Log); err != nil {
			return nil, err
		}
		if g.answers, err = once.NewLog(filepath.Join(o.Store, "once"), mostKeptBytes); err != nil {
			return nil, err
		}
		g.recall()
	}
	return conf, nil
}

// background runs what is beside the serving, until ctx is done, and says how
// many errors will come.
func (g *router) background(ctx context.Context, ended chan<- error) (n int) {
	if g.access != nil {
		n++
		go func() { ended <- g.access.Run(ctx) }()
	}
	if g.later != nil {
		n++
		go func() { ended <- g.later.Run(ctx) }()
	}
	if g.answers != nil {
		n++
		go func() { ended <- g.forget(ctx) }()
	}
	return n
}

// listeners are those of all sockets. On error those that were made are
// returned as well.
func listeners(sockets []handoff.Socket, conf *tls.Config) (ls []front.Listener, err error) {
	for _, s := range sockets {
		l, err := s.Listener()
		if err != nil {
			return ls, err
		}
		ls = append(ls, front.Listener{Listener: l, TLS: conf})
	}
	return ls, nil
}

func closeAll(ls []front.Listener) {
	for _, l := range ls {
		_ = l.Close() // it may be closed already
	}
}

func listenUnix(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(path, 0o600)
}

// serve says that the gateway is ready for its routes, and serves once it has
// them.
func (g *router) serve(ctx context.Context, ls []front.Listener, o Options) error {
	if err := announce(o); err != nil {
		return fmt.Errorf("start gateway: %w", err)
	}
	wait := time.NewTimer(patience)
	defer wait.Stop()
	select {
	case <-g.told:
	case <-wait.C:
	case <-ctx.Done():
		return nil
	}
	s := front.New(g)
	s.Log = g.log
	if err := s.Serve(ctx, ls, linger, o.Drain); err != nil {
		return fmt.Errorf("serve gateway: %w", err)
	}
	return nil
}

// announce writes ready.json; the other sockets are there by now.
func announce(o Options) error {
	temp := filepath.Join(o.Dir, ".ready")
	if err := os.WriteFile(temp, fmt.Appendf(nil, `{"pid":%d}`, os.Getpid()), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(o.Dir, "ready.json"))
}
