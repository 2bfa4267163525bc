package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/cli/spec"
	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/dev"
	"github.com/myelin-run/myelin/logline"
)

func (a *app) devCommand() *cobra.Command {
	var addr string
	var replay bool
	c := &cobra.Command{
		Use:   "dev PATH",
		Short: "Serve a function while you edit it, and reload it on each save",
		Long: "Builds what is at PATH and serves it on one address, without a control plane. On each save it builds\n" +
			"again and hands the listening socket to the new processor once that is ready, so no request fails. If\n" +
			"the new one does not build or start, the old one goes on. Ctrl-C finishes what is being served and ends.\n" +
			"The last 20 events are kept: r and Enter run the last one again, r 3 the third last, l lists them.",
		Example: "  myelin dev hello.py\n  curl -d World http://127.0.0.1:8080/\n  myelin dev hello.py --replay",
		Args:    atMostOne,
	}
	f := spec.AddBuild(c.Flags())
	f.AddDeploy()
	f.AddForeign()
	c.Flags().StringVar(&addr, "addr", "127.0.0.1:8080", "`address` of the function's HTTP trigger; port 0: any")
	c.Flags().BoolVar(&replay, "replay", false, "after each reload run the last event again")
	_ = c.RegisterFlagCompletionFunc("runtime", completeRuntimes(a)) // the flag is there
	c.RunE = func(_ *cobra.Command, args []string) error {
		r, err := request(f, withoutNoun(args))
		if err != nil {
			return err
		}
		return a.dev(r, addr, replay)
	}
	return c
}

func (a *app) dev(r pipeline.Request, addr string, replay bool) error {
	if !exists(r.Path) {
		return usage("%s: dev watches a file or a directory of this machine, and there is none", r.Path)
	}
	at, err := address(addr)
	if err != nil {
		return err
	}
	pl, err := a.pipeline(nil, false)
	if err != nil {
		return err
	}
	prog, err := processorProgram()
	if err != nil {
		return err
	}
	return dev.Run(a.ctx, dev.Options{
		Path: r.Path, Processor: prog, Address: at, Environment: os.Environ(),
		Build: func(ctx context.Context) (build.Artefact, error) {
			art, _, err := pl.Build(ctx, r, io.Discard)
			return art, place(err, r.Path)
		},
		Observer: &devScreen{a: a, path: r.Path},
		Wishes:   a.wishes(), Replay: replay,
	})
}

// address makes an IP and a port of what the user wrote.
func address(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", usage("address %q: want host:port, such as 127.0.0.1:8080", text)
	}
	switch host {
	case "localhost":
		host = "127.0.0.1"
	case "":
		host = "0.0.0.0"
	}
	at := net.JoinHostPort(host, port)
	if _, err := netip.ParseAddrPort(at); err != nil {
		return "", usage("address %q: want an IP address and a port from 0 to 65535", text)
	}
	return at, nil
}

// processorProgram finds the generic processor: by the environment, beside
// this program, or in PATH.
func processorProgram() (string, error) {
	if p := os.Getenv(envProcessor); p != "" {
		return filepath.Abs(p)
	}
	self, err := os.Executable()
	if err == nil {
		if p := filepath.Join(filepath.Dir(self), "processor"); exists(p) {
			return p, nil
		}
	}
	if p, err := exec.LookPath("processor"); err == nil {
		return filepath.Abs(p)
	}
	return "", fmt.Errorf("the program processor is not beside %s, nor in PATH; name it in %s", self, envProcessor)
}

// devScreen shows what happens in a dev loop.
type devScreen struct {
	a       *app
	path    string
	address string
}

func (s *devScreen) say(style terminal.Style, mark, format string, args ...any) {
	fmt.Fprintf(s.a.term.Err, "%s %s\n", s.a.term.OnErr(style, mark), fmt.Sprintf(format, args...))
}

func (s *devScreen) Listening(_, address string) { s.address = address }

func (s *devScreen) Building(changed []string) {
	if len(changed) > 0 {
		s.say(terminal.Blue, "~", "changed: %s", strings.Join(changed, ", "))
	}
}

func (s *devScreen) Serving(v dev.Serving) {
	took := s.a.term.OnErr(terminal.Dim, fmt.Sprintf("(%d ms: build %d, start %d)", v.Total.Milliseconds(), v.Build.Milliseconds(), v.Start.Milliseconds()))
	switch {
	case v.Same:
		s.say(terminal.Green, "=", "nothing to replace %s", took)
	case v.First:
		s.say(terminal.Green, "*", "serving %s on http://%s %s", s.path, s.address, took)
	default:
		s.say(terminal.Green, "*", "reloaded %s", took)
	}
}

func (s *devScreen) Failed(err error, old bool) {
	s.say(terminal.Red, "error:", "%s", s.a.explain(err))
	var start *dev.StartError
	if errors.As(err, &start) && len(start.Log) == 0 {
		s.say(terminal.Dim, " ", "it wrote nothing")
	}
	if old {
		s.say(terminal.Yellow, "!", "the version from before goes on serving")
		return
	}
	s.say(terminal.Yellow, "!", "requests to http://%s wait until it is mended", s.address)
}

func (s *devScreen) Log(l logline.Line) { fmt.Fprintln(s.a.term.Out, s.a.logLine(l)) }

func (s *devScreen) Draining() {
	s.say(terminal.Blue, "-", "finishing what is being served; Ctrl-C again ends at once")
}
