// Package cli is the command line of Myelin: it reads flags, calls the rest of
// the house and shows what came of it. It decides nothing about functions
// itself.
package cli

import (
	"context"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/trigger"
)

// Parts are what the program brings.
type Parts struct {
	Version  string // "": the module's, as the build stamped it
	Triggers *trigger.Set
	Runtimes *runtime.Set
	// Objects are the stores of objects over which jobs can be run; nil: none.
	Objects *binding.Set
	// Streams are the bindings by which functions send messages, for who describes
	// them; nil: none.
	Streams *binding.Set
	// Builders makes the builders, by runtime, for a data directory.
	Builders func(data string) map[string]build.Builder
	// Cache says where runtimes keep what they compiled for this machine.
	Cache func() (string, error)
	// Workers prepare a runtime's worker for an interpreter, on machines of an
	// architecture, in a directory.
	Workers map[string]func(ctx context.Context, interpreter, architecture, dir string) error
}

// app is what all commands share.
type app struct {
	parts Parts
	term  *terminal.Terminal
	ctx   context.Context // done at the first Ctrl-C, SIGTERM or SIGHUP

	api, data, namespace string
	verbose, noColour    bool
	// networks are those that sources of requests may come from although they
	// are of this machine or its link; nil: they are the user's own requests.
	networks []netip.Prefix
	// layers are the *image.Layers of data directories, which remember what they read.
	layers sync.Map
}

// The environment that stands in for flags.
const (
	envAPI       = "MYELIN_API"
	envData      = "MYELIN_DATA"
	envNamespace = "MYELIN_NAMESPACE"
	envProcessor = "MYELIN_PROCESSOR"
	envCache     = "MYELIN_CACHE"
)

// DefaultAPI is where the control plane is unless said otherwise.
const DefaultAPI = "127.0.0.1:8070"

// Main runs the command line and returns its exit code.
func Main(parts Parts) int {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	a := &app{parts: parts, ctx: ctx, term: terminal.New(os.Stdin, os.Stdout, os.Stderr, os.Getenv)}
	root := a.root()
	root.SetArgs(nounFirst(os.Args[1:]))
	return a.finish(root.ExecuteContext(ctx))
}

// root makes the whole tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "myelin",
		Short: "Functions that answer events, on this machine",
		Long: "Myelin builds functions written in Go, Python and shell, runs them, and brings them events.\n" +
			"Begin with: myelin new hello, then: myelin dev hello",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          a.noCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		PersistentPreRun: func(*cobra.Command, []string) {
			a.term.Plain = a.term.Plain || a.noColour
		},
		CompletionOptions:          cobra.CompletionOptions{DisableDefaultCmd: true},
		SuggestionsMinimumDistance: 2,
	}
	fs := root.PersistentFlags()
	fs.StringVar(&a.api, "api", envOr(envAPI, DefaultAPI), "`address` of the control plane (environment: "+envAPI+")")
	fs.StringVar(&a.data, "data", "", "data `directory` (environment: "+envData+"; default /var/lib/myelin for root, else ~/.local/share/myelin)")
	fs.StringVarP(&a.namespace, "namespace", "n", os.Getenv(envNamespace), "namespace of functions")
	fs.BoolVarP(&a.verbose, "verbose", "v", false, "say more")
	fs.BoolVar(&a.noColour, "no-color", false, "no colours and no moving lines (environment: NO_COLOR)")
	fs.Lookup("api").DefValue = DefaultAPI
	fs.Lookup("namespace").DefValue = ""
	root.SetFlagErrorFunc(a.flagError)
	root.SetOut(a.term.Out)
	root.SetErr(a.term.Err)
	root.AddCommand(
		a.newCommand(), a.devCommand(), a.buildCommand(), a.baseCommand(), a.imageCommand(), a.keysCommand(), a.upCommand(), a.gatewayCommand(), a.relayCommand(),
		a.runCommand(), a.invokeCommand(), a.captureCommand(), a.getCommand(), a.describeCommand(), a.logsCommand(), a.triggersCommand(), a.mappingCommand(), a.lettersCommand(), a.deleteCommand(),
		a.publishCommand(), a.versionsCommand(), a.aliasCommand(), a.rollbackCommand(), a.rolloutCommand(), a.jobCommand(),
		a.applyCommand(), a.diffCommand(), a.createCommand(), a.exportCommand(), a.importCommand(),
		a.loginCommand(), a.logoutCommand(), a.tokenCommand(), a.secretCommand(), a.auditCommand(),
		a.completionCommand(), a.versionCommand(),
	)
	return root
}

// Root returns the tree of commands without running any, for documentation.
func Root(parts Parts) *cobra.Command {
	return (&app{parts: parts, term: &terminal.Terminal{}, ctx: context.Background()}).root()
}

// dataDir is where artefacts and the control plane's state are, absolute.
func (a *app) dataDir() (string, error) {
	dir := a.data
	if dir == "" {
		dir = os.Getenv(envData)
	}
	if dir == "" && os.Geteuid() == 0 {
		dir = "/var/lib/myelin"
	}
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", usage("no home directory to keep data in: give --data or set %s", envData)
		}
		dir = filepath.Join(home, ".local", "share", "myelin")
	}
	return filepath.Abs(dir)
}

func envOr(name, other string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return other
}
