package program

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"runtime/debug"
	"slices"
	"strconv"

	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/processor/parked"
)

type flags struct {
	config, listen, admin, level string
	version                      bool
	parked                       int // the descriptor to wait at; 0: do not wait
}

func parseFlags(args []string, stderr io.Writer) (f flags, err error) {
	fs := flag.NewFlagSet("processor", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&f.config, "config", "", "configuration `file` (default processor.yaml in the working directory)")
	fs.StringVar(&f.listen, "listen", "", "`host:port` of the HTTP trigger (default :8080)")
	fs.StringVar(&f.admin, "admin", "", "`host:port` or unix:/path of health and metrics, or none (default "+processor.DefaultAdmin+")")
	fs.StringVar(&f.level, "log-level", "", "lowest `level` of both logs: debug, info, warn, error")
	fs.IntVar(&f.parked, parked.Flag, 0, "wait, ready, at the pipe with this `descriptor` until the starter says to serve")
	fs.BoolVar(&f.version, "version", false, "print the version and exit")
	if err := fs.Parse(args); err != nil {
		return f, err
	}
	if fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
		fmt.Fprintln(stderr, err)
	}
	return f, err
}

// apply lets the command line win over the configuration.
func (f flags) apply(cfg *processor.Config) error {
	if f.admin != "" {
		cfg.Admin.Listen = f.admin
	}
	if f.level != "" {
		cfg.Logs.Processor.Level, cfg.Logs.Function.Level = f.level, f.level
	}
	if f.listen == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(f.listen)
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("-listen: port %q is not a number from 0 to 65535", port)
	}
	return listenOn(cfg, host, int(n))
}

// listenOn sets the address of the HTTP trigger.
func listenOn(cfg *processor.Config, host string, port int) error {
	for _, name := range slices.Sorted(maps.Keys(cfg.Function.Spec.Triggers)) {
		t := cfg.Function.Spec.Triggers[name]
		if t.Kind != "http" {
			continue
		}
		attrs := map[string]any{}
		if len(t.Attributes) > 0 {
			if err := json.Unmarshal(t.Attributes, &attrs); err != nil {
				return fmt.Errorf("spec.triggers.%s.attributes: %w", name, err)
			}
		}
		attrs["host"], attrs["port"] = host, port
		raw, err := json.Marshal(attrs)
		if err != nil {
			return err
		}
		t.Attributes = raw
		cfg.Function.Spec.Triggers[name] = t
		return nil
	}
	return errors.New("-listen: the function has no http trigger")
}

// version is the module's, as the build stamped it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version + " " + info.GoVersion
	}
	return "unknown"
}
