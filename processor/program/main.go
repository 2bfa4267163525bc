// Package program is the main of every processor, the generic one and those
// compiled with a Go function: flags, inherited sockets, signals, exit codes.
package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/processor/handoff"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/trigger"
)

// Exit codes of a processor.
const (
	exitClean   = 0 // drained
	exitFailed  = 1 // failed to start, or a source was lost
	exitConfig  = 2 // the configuration or the command line is wrong
	exitDrain   = 3 // events were cut off at the drain deadline
	defaultFile = "processor.yaml"
)

// Options are what the program brings.
type Options struct {
	// Function is a function.yaml compiled in, served if there is no
	// processor.yaml in the working directory; nil if there is none.
	Function []byte
	Triggers *trigger.Set
	Runtimes *runtime.Set
	Bindings *binding.Set // nil: functions can have none
}

// Main runs a processor until it is told to stop and returns its exit code.
func Main(o Options) int { return run(o, os.Args[1:], os.Stderr) }

func run(o Options, args []string, stderr io.Writer) int {
	runs := time.Now()
	flags, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitClean
	}
	if err != nil {
		return exitConfig
	}
	if flags.version {
		fmt.Println(version())
		return exitClean
	}
	cfg, err := load(o, flags)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitConfig
	}
	return serve(o, cfg, launch{runs, flags.parked}, stderr)
}

func serve(o Options, cfg processor.Config, l launch, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	sockets, err := handoff.Inherited(os.Getenv)
	_ = os.Unsetenv(handoff.Variable) // the function needs no such thing
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitConfig
	}
	if o.Function != nil {
		if err := variables(cfg.Function); err != nil {
			fmt.Fprintln(stderr, err)
			return exitConfig
		}
	}
	p, err := processor.New(cfg, processor.Parts{Triggers: o.Triggers, Runtimes: o.Runtimes, Bindings: o.Bindings, Sockets: sockets})
	if err == nil {
		err = l.run(ctx, p)
	}
	if err == nil {
		return exitClean
	}
	if p != nil {
		p.Log().Error("processor ends", "error", err)
	} else {
		fmt.Fprintln(stderr, err)
	}
	switch {
	case errors.Is(err, processor.ErrConfig):
		return exitConfig
	case errors.Is(err, processor.ErrDrain):
		return exitDrain
	}
	return exitFailed
}

// variables sets those of a function that is compiled in: its environment is
// this process's. Workers that are processes are given theirs by their runtime.
func variables(f function.Config) error {
	for _, v := range f.Spec.Env {
		if len(v.ValueFrom) > 0 {
			continue
		}
		if err := os.Setenv(v.Name, v.Value); err != nil {
			return fmt.Errorf("set variable %s of the function: %w", v.Name, err)
		}
	}
	return nil
}

// load reads the configuration file, or takes the function compiled in.
func load(o Options, f flags) (processor.Config, error) {
	var cfg processor.Config
	var err error
	switch {
	case f.config != "":
		cfg, err = processor.LoadConfig(f.config)
	case exists(defaultFile):
		cfg, err = processor.LoadConfig(defaultFile)
	case o.Function != nil:
		var l *function.Loaded
		if l, err = function.Parse("function.yaml", o.Function); err == nil {
			cfg.Function = l.Config
		}
	default:
		err = fmt.Errorf("no %s in the working directory, and no function is compiled in: name one with -config", defaultFile)
	}
	if err != nil {
		return cfg, err
	}
	function.Defaults(&cfg.Function)
	return cfg, f.apply(&cfg)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
