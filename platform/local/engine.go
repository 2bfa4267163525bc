package local

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/local/supervise"
)

// Engine runs replicas otherwise than as processes of this machine, in containers
// say. All else, from readiness to adoption, stays with this platform. The order of
// calls: Begin, once; Names; then the rest from any goroutine.
type Engine interface {
	// Begin reaches the engine. changed is to be called when Trouble says something
	// else than before.
	Begin(ctx context.Context, changed func()) error
	// Names are the deployments of which the engine has something, some perhaps
	// more than once.
	Names(ctx context.Context) ([]string, error)
	// Paths says where replicas see their files.
	Paths() Paths
	// Prepare gives the engine what replicas of d need and returns what its launcher
	// is to be told with each: [supervise.Version].Extra.
	Prepare(ctx context.Context, d platform.Deployment, cfg function.Config, home Home) (json.RawMessage, error)
	// Launcher starts the replicas of a deployment.
	Launcher(name string, home Home) supervise.Launcher
	// Removed clears away what the engine has of a deployment that is no more.
	Removed(ctx context.Context, name string) error
	// Stopped is called when all replicas were stopped.
	Stopped(ctx context.Context)
	// Trouble says what keeps the engine from its work, "" if nothing does.
	Trouble() string
}

// Home is where the files of a deployment are on this machine, and whose.
type Home struct {
	Dir      string // the parent of its replicas' directories
	Logs     string
	Letters  string
	Bindings string
	UID, GID int
}

// Paths is where a replica sees its files, the gateway, as unix:/path or a URL, and the
// dealer of shards, as unix:/path. Those of processes of this machine are in [Options].
// Paths may say that a replica logs to its output: the function's log to the standard
// one, its own to that of errors. Admin is where it answers its platform, for who has the
// token in [TokenFile] of its directory; "": a socket in its scratch directory.
type Paths struct {
	Function, Scratch, Logs, Letters, Bindings, Gateway, Dealer string
	Admin                                                       string
	Output                                                      bool
}

// TokenFile holds a replica's token; see [Paths].
const TokenFile = "admin.token"

func (p Paths) log(which platform.LogKind) string {
	switch {
	case p.Output && which == platform.FunctionLog:
		return "stdout"
	case p.Output:
		return "stderr"
	}
	return filepath.Join(p.Logs, string(which)+".log")
}

// paths are those of name's replicas. For processes of this machine those that are
// each replica's own are left out.
func (p *Platform) paths(name string) Paths {
	if p.o.Engine != nil {
		return p.o.Engine.Paths()
	}
	return Paths{Logs: p.dir("logs", name), Letters: p.dir("letters", name), Bindings: p.dir("bindings", name)}
}

func (p *Platform) homeOf(name string) (Home, error) {
	c, err := p.users.of(name)
	return p.home(name, c), err
}

func (p *Platform) home(name string, c *syscall.Credential) Home {
	h := Home{Dir: p.dir("run", name), Logs: p.dir("logs", name), Letters: p.dir("letters", name), Bindings: p.dir("bindings", name), UID: os.Getuid(), GID: os.Getgid()}
	if c != nil {
		h.UID, h.GID = int(c.Uid), int(c.Gid)
	}
	return h
}

func (p *Platform) launcher(name string, c *syscall.Credential) supervise.Launcher {
	if p.o.Engine == nil {
		return nil
	}
	return p.o.Engine.Launcher(name, p.home(name, c))
}

// engineNames adds the deployments of which the engine has something.
func (p *Platform) engineNames(ctx context.Context, names map[string]bool) error {
	if p.o.Engine == nil {
		return nil
	}
	found, err := p.o.Engine.Names(ctx)
	if err != nil {
		return err
	}
	for _, n := range found {
		if !nameForm.MatchString(n) {
			return fmt.Errorf("adopt %q: not a name", n)
		}
		names[n] = true
	}
	return nil
}

func (p *Platform) engineRemoved(ctx context.Context, name string) error {
	if p.o.Engine == nil {
		return nil
	}
	return p.o.Engine.Removed(ctx, name)
}

// message joins what is wrong with a deployment and what is wrong with the engine.
func (p *Platform) message(own string) string {
	if p.o.Engine == nil {
		return own
	}
	trouble := p.o.Engine.Trouble()
	if own != "" && trouble != "" {
		return own + "; " + trouble
	}
	return own + trouble
}

// notifyAll tells that something changed for all.
func (p *Platform) notifyAll() {
	for _, n := range p.names() {
		p.notify(n)
	}
}
