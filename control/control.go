// Package control assembles the control plane: store, dealer, platform, the loop
// that reconciles, gateway and API; started in this order and stopped in
// reverse. It knows the embedded store and the platforms; builders are
// given to it.
package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/myelin-run/myelin/build/files"
	"github.com/myelin-run/myelin/build/signature"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/capture"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/history"
	"github.com/myelin-run/myelin/control/job"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/reconcile"
	"github.com/myelin-run/myelin/control/rollout"
	"github.com/myelin-run/myelin/control/scaler"
	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/control/store/mirror"
	"github.com/myelin-run/myelin/control/store/sealed"
	"github.com/myelin-run/myelin/dashboard"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/gateway"
	"github.com/myelin-run/myelin/platform/local"
)

// Where the control plane listens unless it is told otherwise.
const (
	DefaultAPIAddr     = "127.0.0.1:8070"
	DefaultGatewayAddr = "127.0.0.1:8080"
)

// Options of a control plane.
type Options struct {
	DataDir     string // absolute, at most 70 bytes
	APIAddr     string // default DefaultAPIAddr
	GatewayAddr string // default DefaultGatewayAddr; an IP and a port
	// InsecureListen allows addresses that other machines can reach to be
	// served in clear.
	InsecureListen bool
	// Access says who may use the API.
	Access Access
	// ProcessorBinary runs functions that have no program of their own.
	ProcessorBinary string
	// GatewayCommand is the program, absolute, and arguments of a gateway
	// that calls gateway.Run.
	GatewayCommand []string
	// Gateway is how the gateway serves. Its Store is made in DataDir; a
	// certificate's files are read here, as the gateway is another user.
	Gateway gateway.Settings
	Builder api.Builder // nil: the API does not build
	// LeaveRunning leaves functions and gateway running at the end, for the
	// next control plane to adopt, as when the program is upgraded.
	LeaveRunning bool
	// StopTimeout bounds the draining at the end; default 30 s.
	StopTimeout time.Duration
	// KeyFile has the keys with which the store is sealed; default store.keys
	// in DataDir. It is made if there is none and nothing was sealed yet.
	KeyFile string
	// KeepVersions and KeepFor say which versions stay that nothing names: so
	// many of the newest, and those that are younger. Defaults 50 and 30 days;
	// negative: none.
	KeepVersions int
	KeepFor      time.Duration
	// Linger is how long a version runs on when nothing names it any more;
	// default 10 minutes, negative: not at all.
	Linger time.Duration
	// Dealer has the dealer of shards begin at once. It serves at DealerSocket
	// anyway, and begins when the first processor asks it for shards.
	Dealer bool
	// Warm is how many sleeping functions have a parked processor each, by kind of
	// runtime; nil: none.
	Warm map[string]int
	// Docker has functions run as containers; nil: as processes of this machine.
	Docker *Docker
	// Kubernetes has functions run on a cluster; it goes before Docker.
	Kubernetes *Kubernetes
	// CheckSource says what is wrong with the source of an event mapping, by its
	// kind. May be nil.
	CheckSource func(name string, t function.Trigger) error
	// Describer writes the AsyncAPI documents of functions and mappings. May be nil.
	Describer api.Describer
	// Watches knows which sources say by themselves when there is something to
	// do, so that the functions which they feed may sleep. nil: none.
	Watches scaler.Watches
	Version string
	Log     *slog.Logger // default: none
	// Ready is called once the API answers. May be nil.
	Ready func(Addresses)
}

// Addresses say where a control plane serves.
type Addresses struct {
	API     string // host:port
	Token   string // the file with the first admin's token, "" if nobody is asked
	TLS     bool   // the API is served by TLS
	Gateway string // host:port
	Adopted int    // functions found running
}

// Control is a control plane. Its life: New, Run once.
type Control struct{ o Options }

// New checks o and fills in defaults; it opens nothing.
func New(o Options) (*Control, error) {
	fill(&o.APIAddr, DefaultAPIAddr)
	fill(&o.GatewayAddr, DefaultGatewayAddr)
	fill(&o.StopTimeout, 30*time.Second)
	fill(&o.KeyFile, filepath.Join(o.DataDir, "store.keys"))
	fill(&o.Linger, DefaultLinger)
	fill(&o.KeepVersions, DefaultKeepVersions)
	fill(&o.KeepFor, DefaultKeepFor)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := local.DataDirFits(o.DataDir); err != nil {
		return nil, err
	}
	if err := checkAddress("API", o.APIAddr, o.InsecureListen || o.Access.Certificate != ""); err != nil {
		return nil, err
	}
	if err := checkAddress("gateway", o.GatewayAddr, o.InsecureListen || o.Gateway.Certificate != "" || o.Gateway.ACME != nil); err != nil {
		return nil, err
	}
	if err := o.Access.check(o.APIAddr); err != nil {
		return nil, err
	}
	if o.Kubernetes != nil {
		if err := o.Kubernetes.Metrics.check(); err != nil {
			return nil, err
		}
	}
	o.Gateway.Store = filepath.Join(o.DataDir, "kept")
	if o.Gateway.AccessLog != nil {
		o.Gateway.AccessLog.File = filepath.Join(o.Gateway.Store, "access.log")
	}
	if err := o.Gateway.Validate(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if len(o.GatewayCommand) == 0 || !filepath.IsAbs(o.GatewayCommand[0]) {
		return nil, errors.New("gateway command: want an absolute path")
	}
	return &Control{o}, nil
}

func fill[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Run runs the control plane until ctx is done, then drains and stops the
// functions and the gateway, or leaves them running: see Options.LeaveRunning.
func (c *Control) Run(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(c.o.DataDir, "tmp"), 0o711); err != nil {
		return fmt.Errorf("start control plane: %w", err)
	}
	disk, err := etcd.Open(ctx, etcd.Options{Dir: c.o.DataDir, Wrapping: sealed.Wrapping})
	if err != nil {
		return err
	}
	memory, err := mirror.Open(ctx, disk)
	if err == nil {
		var store *sealed.Store
		if store, err = c.seal(ctx, memory); err == nil {
			err = c.withStore(ctx, store)
		}
		memory.Close()
	}
	if cerr := disk.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("close store: %w", cerr))
	}
	return err
}

func (c *Control) withStore(ctx context.Context, store *sealed.Store) error {
	l, err := listen("API", c.o.APIAddr)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := c.clearUploads(); err != nil {
		return fmt.Errorf("start control plane: %w", err)
	}
	doors, err := c.doors(ctx, store)
	if err != nil {
		return err
	}
	defer doors.audit.Close()
	policy, err := signature.ReadPolicy(c.o.DataDir)
	if err != nil {
		return err
	}
	cat := catalog.New(store)
	table := newRoutes(cat, c.o.Log)
	gw := newGateway(c.o, table)
	var scales *scaler.Scaler
	plat, err := c.place(local.Options{DataDir: c.o.DataDir, Processor: c.o.ProcessorBinary, Warm: c.o.Warm, Log: c.o.Log, Gateway: fromHere(c.o.GatewayAddr), Dealer: filepath.Join(c.o.DataDir, DealerSocket), BeforeDrain: func(name string) {
		if d, ok := catalog.ParseDeployment(name); ok {
			gw.follow(context.WithoutCancel(ctx), d)
		}
	}, Wake: func(name string) { scales.Wake(name, "a connection came") }})
	if err != nil {
		return err
	}
	table.platform = plat
	var loop *reconcile.Reconciler
	scales = scaler.New(scaler.Options{Processors: plat, Changed: func(name string) { loop.Look(name) }, Watches: c.o.Watches, Log: c.o.Log})
	loop = reconcile.New(reconcile.Options{
		Catalog: cat, Platform: plat, Artefacts: artefacts{c.o.DataDir}, Log: c.o.Log, Scaler: scales,
		Route: gw.follow, URL: gw.url, Linger: c.o.Linger, Secrets: doors.secrets, Admit: policy.Admit,
	})
	seen := capture.New(plat)
	past := history.New(history.Options{Platform: plat, Processors: plat})
	// Sinks first: what is started later ends earlier.
	run := &floors{}
	deals, err := c.deal(ctx, run, store, functionOf(plat))
	if err != nil {
		return err
	}
	run.start("platform", func(ctx context.Context) error { return plat.Run(ctx) })
	run.start("routes", table.run)
	run.start("gateway", gw.run)
	table.await(ctx)
	err = errors.Join(gw.begin(ctx), c.podMetrics(ctx, run, plat))
	if err == nil {
		run.start("reconciler", loop.Run)
		run.start("scaler", scales.Run)
		run.start("history", past.Run)
		run.start("captures", seen.Run)
		run.start("rollouts", rollout.New(rollout.Options{Catalog: cat, Counter: &counts{cat, gw, plat}, Log: c.o.Log}).Run)
		run.start("jobs", job.New(job.Options{Catalog: cat, Caller: newJobCalls(cat), Log: c.o.Log, Grace: jobGrace}).Run)
		run.start("collector", (&collector{cat, c.o.DataDir, plan.Keep{Newest: c.o.KeepVersions, For: c.o.KeepFor}, c.o.Log}).run)
		handler := api.New(api.Options{Catalog: cat, Logs: plat, Processors: plat, Letters: lettersOf(plat), Dealer: deals, Starts: scales.Starts, History: past, Captures: seen, Builder: c.o.Builder, Sources: files.NewStore(c.o.DataDir), Temp: filepath.Join(c.o.DataDir, "tmp"), Version: c.o.Version, CheckSource: c.o.CheckSource, Describer: c.o.Describer, Log: c.o.Log,
			Gate: doors.gate, SignIn: doors.signIn(), Tokens: doors.tokens, Secrets: doors.secrets, Audit: doors.audit, Rotate: store.Rotate})
		run.start("API", serveAPI(l, doors.tls, dashboard.Over(handler), c.o.Log))
		c.ready(ctx, l, plat, doors)
		err = run.wait(ctx)
	}
	return errors.Join(err, c.stop(run, plat, gw))
}

// clearUploads removes what a killed control plane was building from. It is
// called while no other can use the directory.
func (c *Control) clearUploads() error {
	left, err := filepath.Glob(filepath.Join(c.o.DataDir, "tmp", "upload*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

func (c *Control) ready(ctx context.Context, l net.Listener, plat place, d *doors) {
	found, _ := plat.Observe(ctx, "") // what is not known is not told
	if c.o.Ready != nil {
		c.o.Ready(Addresses{API: l.Addr().String(), Token: d.first, TLS: d.tls != nil, Gateway: c.o.GatewayAddr, Adopted: len(found)})
	}
}

// stop ends API and reconciler, then what they made, then the supervision.
func (c *Control) stop(run *floors, plat place, gw *gatewayProcess) error {
	errs := []error{run.stop("API"), run.stop("pod metrics"), run.stop("jobs"), run.stop("collector"), run.stop("rollouts"), run.stop("history"), run.stop("scaler"), run.stop("reconciler")}
	if !c.o.LeaveRunning {
		ctx, cancel := context.WithTimeout(context.Background(), c.o.StopTimeout)
		defer cancel()
		errs = append(errs, gw.stop(ctx))
		if run.failed("platform") == nil {
			errs = append(errs, stopPlace(ctx, plat))
		}
	}
	return errors.Join(append(errs, run.stop("gateway"), run.stop("routes"), run.stop("platform"), run.stop("dealer socket"), run.stop("dealer"))...)
}
