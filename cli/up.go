package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/files"
	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control"
	"github.com/myelin-run/myelin/control/api"
	describing "github.com/myelin-run/myelin/control/describe"
	"github.com/myelin-run/myelin/function"
)

func (a *app) upCommand() *cobra.Command {
	var o control.Options
	var id issuer
	var networks, warm []string
	var on platformFlags
	c := &cobra.Command{
		Use:   "up",
		Short: "Run the control plane in the foreground",
		Long: "Runs the control plane: the API, the gateway that passes requests on to functions, and what builds and\n" +
			"supervises them. What was deployed before runs again at the same addresses. Ctrl-C finishes what is being\n" +
			"served and stops everything; a second one ends at once.",
		Example: "  myelin up\n  myelin up --data /srv/myelin --gateway-addr 127.0.0.1:9090",
		Args:    none,
		RunE: func(*cobra.Command, []string) error {
			var err error
			if o.Access.OIDC, err = id.options(); err != nil {
				return err
			}
			a.networks = []netip.Prefix{}
			for _, text := range networks {
				p, err := netip.ParsePrefix(text)
				if err != nil {
					return usage("--source-network %s: want one such as 127.0.0.0/8", text)
				}
				a.networks = append(a.networks, p)
			}
			if o.Warm, err = warmth(warm); err != nil {
				return err
			}
			if err := on.options(a, &o); err != nil {
				return err
			}
			if o.Linger < 0 || o.KeepVersions < 0 || o.KeepFor < 0 {
				return usage("--linger, --keep-versions, --keep-for: want no less than 0")
			}
			// For the control plane 0 is what it does if it is told nothing.
			o.Linger, o.KeepVersions, o.KeepFor = cmp.Or(o.Linger, -1), cmp.Or(o.KeepVersions, -1), cmp.Or(o.KeepFor, -1)
			return a.up(o, on.steps)
		},
	}
	fs := c.Flags()
	fs.StringVar(&o.APIAddr, "api-addr", control.DefaultAPIAddr, "`address` of the API")
	fs.StringVar(&o.GatewayAddr, "gateway-addr", control.DefaultGatewayAddr, "`address` of the gateway: functions are at /NAME")
	fs.BoolVar(&o.InsecureListen, "insecure-listen", false, "serve in clear at addresses that other machines can reach")
	accessFlags(fs, &o, &id)
	fs.StringArrayVar(&networks, "source-network", nil, "`network` that sources named by URL may come from although it is this machine's own or its link, such as 127.0.0.0/8 (repeat)")
	gatewayFlags(fs, &o.Gateway)
	fs.DurationVar(&o.Linger, "linger", control.DefaultLinger, "how long a version runs on when nothing names it any more, so that a rollback takes no time; 0: not at all")
	fs.IntVar(&o.KeepVersions, "keep-versions", control.DefaultKeepVersions, "how many of the newest `versions` of each function are kept that nothing names; 0: none")
	fs.DurationVar(&o.KeepFor, "keep-for", control.DefaultKeepFor, "how long every version is kept, whatever its number; 0: not at all")
	fs.StringSliceVar(&warm, "warm", nil, "`runtime=N`: keep a processor parked for each of N sleeping functions of that runtime, so that they wake sooner; none: for no function (default golang=2,python=2,nodejs=1 with 4 GiB of memory or more, else none)")
	on.add(fs)
	fs.BoolVar(&o.Dealer, "dealer", false, "have the dealer of shards begin at once, not when the first processor asks it")
	fs.BoolVar(&o.LeaveRunning, "leave-running", false, "at the end leave functions running, for the next control plane to take over")
	return c
}

func (a *app) up(o control.Options, steps stepRunner) (err error) {
	if o.DataDir, err = a.dataDir(); err != nil {
		return err
	}
	if o.ProcessorBinary, err = processorProgram(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if self, err = reachable(o.DataDir, self); err != nil {
		return err
	}
	if o.ProcessorBinary, err = reachable(o.DataDir, o.ProcessorBinary); err != nil {
		return err
	}
	o.GatewayCommand = []string{self, "gateway"}
	if o.Docker != nil {
		o.Docker.Relay = []string{self, "relay"}
	}
	pl, err := a.pipeline(steps, o.Kubernetes != nil || o.Docker != nil && o.Docker.Host.Remote())
	if err != nil {
		return err
	}
	if err := a.shareCache(); err != nil {
		return err
	}
	o.CheckSource, o.Watches = a.checkSource, watches{a.parts.Triggers}
	o.Describer = describing.Parts{Triggers: a.parts.Triggers, Streams: a.parts.Streams}
	o.Builder, o.Version, o.Log = builder{pl.Keeping(files.NewStore(o.DataDir))}, a.ownVersion().Client, a.log()
	o.Ready = func(at control.Addresses) { a.announce(o, at) }
	c, err := control.New(o)
	if err != nil {
		return misused(err)
	}
	defer context.AfterFunc(a.ctx, func() { a.stopping(o.LeaveRunning) })()
	if err := c.Run(a.ctx); err != nil {
		return err
	}
	fmt.Fprintln(a.term.Err, "stopped")
	return nil
}

// shareCache lets functions, whose users have no cache of their own, find what
// was compiled when they were built.
func (a *app) shareCache() error {
	if os.Getenv(envCache) != "" || a.parts.Cache == nil {
		return nil
	}
	dir, err := a.parts.Cache()
	if err != nil {
		return err
	}
	return os.Setenv(envCache, dir)
}

func (a *app) announce(o control.Options, at control.Addresses) {
	scheme := "http"
	if at.TLS {
		scheme = "https"
	}
	bold := func(label string) string { return a.term.OnOut(terminal.Bold, label) }
	fmt.Fprintf(a.term.Out, "%s %s://%s\n%s %s://%s/\n", bold("API:      "), scheme, at.API, bold("dashboard:"), scheme, at.API)
	fmt.Fprintf(a.term.Out, "%s http://%s\n%s %s\n", bold("gateway:  "), at.Gateway, bold("data:     "), o.DataDir)
	if at.Token != "" {
		fmt.Fprintf(a.term.Out, "%s the first admin's is in %s\n", bold("token:    "), at.Token)
	}
	if at.Adopted > 0 {
		fmt.Fprintf(a.term.Out, "took over %d running functions\n", at.Adopted)
	}
}

func (a *app) stopping(leave bool) {
	if leave {
		fmt.Fprintln(a.term.Err, "stopping; functions go on")
		return
	}
	fmt.Fprintln(a.term.Err, "stopping: functions finish what they are serving; Ctrl-C again ends at once")
}

// log is the control plane's: what is wrong, and with -v what is going on.
func (a *app) log() *slog.Logger {
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	w := a.term.Err
	if a.term.ErrTTY {
		w = readable{a}
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// builder builds what the API is sent.
type builder struct{ p *pipeline.Pipeline }

// Build implements [api.Builder].
func (b builder) Build(ctx context.Context, cfg function.Config, src api.SourceRef, log io.Writer) (build.Artefact, error) {
	a, _, err := b.p.Build(ctx, pipeline.Request{Path: src.Archive, Overrides: cfg}, log)
	return a, err
}
