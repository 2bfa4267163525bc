// Package local runs functions as processes of this machine: each replica is a
// supervised processor in a directory of its own, under a user of its own if
// the platform runs as root, with the function's listening socket passed to it.
// Functions outlive the platform and are adopted by the next one on the same
// data directory. It knows nothing of how functions are stored or built.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/local/supervise"
)

// Options say where and how functions run.
type Options struct {
	DataDir string // absolute; the platform keeps to run, logs and s below it
	// Processor is the program that runs artefacts without a command of their
	// own.
	Processor string
	// Gateway is the host:port at which functions reach each other, each by
	// its name as path; "": nowhere.
	Gateway string
	// Dealer is the socket at which processors are dealt shards; "": nowhere.
	Dealer string
	// BeforeDrain is called during Apply and Remove when what name's address
	// is to be used for has changed: new replicas are ready, old ones are
	// about to drain. May be nil.
	BeforeDrain func(name string)
	// Wake is called when a connection has come for a function that sleeps, just
	// before a replica is started for it. It is to be quick. nil: functions do
	// not wake by themselves.
	Wake func(name string)
	// FirstPort and LastPort bound the ports of functions that ask for none;
	// default 20000 to 29999.
	FirstPort, LastPort int
	// Warm is how many sleeping functions have a parked processor each, by kind of
	// runtime such as "python" or "golang"; nil: none. See [DefaultWarm].
	Warm map[string]int
	// Engine runs functions otherwise than as processes of this machine; nil: it
	// does not.
	Engine Engine
	Log    *slog.Logger // default: none
}

// Platform implements [platform.Platform] and all of its optional interfaces.
type Platform struct {
	o       Options
	changes chan string
	adopted chan struct{} // closed when Run has taken over what it found
	failed  chan struct{} // closed when Run could not

	mu     sync.Mutex
	life   context.Context // of Run; nil before
	groups map[string]*supervise.Group
	warm   *warm
	users  *users
	shares map[string]function.Shares             // by name; those that nobody has said are not in it
	told   map[string]map[supervise.Member]string // what shares, by name
}

var _ interface {
	platform.Platform
	platform.Runner
	platform.Stopper
	platform.Notifier
	platform.Logs
	platform.Sharer
} = (*Platform)(nil)

// maxDataDir leaves room for the sockets in the scratch directories, whose
// paths may have 107 bytes.
const maxDataDir = 70

// New returns a platform; it opens nothing.
func New(o Options) *Platform {
	if o.FirstPort == 0 {
		o.FirstPort, o.LastPort = 20000, 29999
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Platform{o: o, warm: newWarm(o.Warm), changes: make(chan string, 256), adopted: make(chan struct{}), failed: make(chan struct{}), groups: map[string]*supervise.Group{},
		shares: map[string]function.Shares{}, told: map[string]map[supervise.Member]string{}}
}

// Run adopts what a former platform left running, and supervises until ctx is
// done; then functions go on by themselves. It is called once.
func (p *Platform) Run(ctx context.Context) error {
	if err := p.begin(ctx); err != nil {
		close(p.failed)
		return fmt.Errorf("start local platform: %w", err)
	}
	close(p.adopted)
	<-ctx.Done()
	p.mu.Lock()
	groups := p.groups
	p.groups = map[string]*supervise.Group{}
	p.mu.Unlock()
	for _, g := range groups {
		g.Wait()
	}
	return nil
}

// FunctionOf returns the name of the function whose processors run as a user.
func (p *Platform) FunctionOf(user int) (string, bool) {
	p.mu.Lock()
	us := p.users
	p.mu.Unlock()
	if us == nil {
		return "", false
	}
	return us.nameOf(user)
}

func (p *Platform) begin(ctx context.Context) error {
	if err := p.prepare(); err != nil {
		return err
	}
	p.mu.Lock()
	p.life = ctx
	p.mu.Unlock()
	if p.o.Engine != nil {
		if err := p.o.Engine.Begin(ctx, p.notifyAll); err != nil {
			return err
		}
	}
	return p.adopt(ctx)
}

func (p *Platform) dir(parts ...string) string {
	return filepath.Join(append([]string{p.o.DataDir}, parts...)...)
}

// DataDirFits says why a directory cannot be a data directory.
func DataDirFits(dir string) error {
	if !filepath.IsAbs(dir) || len(dir) > maxDataDir {
		return fmt.Errorf("data directory %q: want an absolute path of at most %d bytes", dir, maxDataDir)
	}
	return nil
}

// prepare makes the directories, which functions may enter but not list.
func (p *Platform) prepare() error {
	if err := DataDirFits(p.o.DataDir); err != nil {
		return err
	}
	for _, d := range []string{"", "run", "logs", "s"} {
		if err := os.MkdirAll(p.dir(d), 0o711); err != nil {
			return err
		}
		if err := os.Chmod(p.dir(d), 0o711); err != nil {
			return err
		}
	}
	users, err := loadUsers(p.dir("run", "users.json"))
	p.mu.Lock()
	p.users = users
	p.mu.Unlock()
	return err
}

func (p *Platform) adopt(ctx context.Context) error {
	entries, err := os.ReadDir(p.dir("run"))
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		names[e.Name()] = true
	}
	if err := p.engineNames(ctx, names); err != nil {
		return err
	}
	for name := range names {
		g, err := p.group(name)
		if err != nil {
			return err
		}
		if err := g.Adopt(ctx); err != nil {
			p.o.Log.Warn("adopt", "function", name, "error", err)
		}
		if n := len(g.Observe().Replicas); n > 0 {
			p.o.Log.Info("adopted", "function", name, "replicas", n)
		}
	}
	return p.sweepScratch()
}

// sweepScratch removes the scratch directories that no replica uses.
func (p *Platform) sweepScratch() error {
	used := map[string]bool{}
	for _, g := range p.groups {
		for _, s := range g.Scratch() {
			used[s] = true
		}
	}
	entries, err := os.ReadDir(p.dir("s"))
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if path := p.dir("s", e.Name()); !used[path] {
			errs = append(errs, os.RemoveAll(path))
		}
	}
	return errors.Join(errs...)
}

// group returns the group of a deployment, and makes it if need be.
func (p *Platform) group(name string) (*supervise.Group, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g := p.groups[name]; g != nil {
		return g, nil
	}
	if p.life == nil || p.life.Err() != nil {
		return nil, errors.New("the platform is not running")
	}
	credential, err := p.users.of(name)
	if err != nil {
		return nil, err
	}
	g := supervise.New(p.life, supervise.Options{
		Dir: p.dir("run", name), Scratch: p.dir("s"), Credential: credential,
		Launcher:    p.launcher(name, credential),
		Logs:        []string{p.logFile(name, platform.ProcessorLog), p.logFile(name, platform.FunctionLog)},
		Choose:      p.candidates(name),
		Cgroup:      p.cgroupName(name),
		BeforeDrain: func() { p.beforeDrain(name) },
		Changed:     func() { p.notify(name) },
		Wake:        p.waker(name),
		Park:        func(kind string) func() { return p.park(name, kind) },
	})
	p.groups[name] = g
	return g, nil
}

func (p *Platform) waker(name string) func() {
	if p.o.Wake == nil {
		return nil
	}
	return func() { p.o.Wake(name) }
}

func (p *Platform) beforeDrain(name string) {
	if p.o.BeforeDrain != nil {
		p.o.BeforeDrain(name)
	}
}

// notify tells of a change. When nobody has listened for long, names are lost.
func (p *Platform) notify(name string) {
	select {
	case p.changes <- name:
	default:
	}
}

// Changes implements [platform.Notifier].
func (p *Platform) Changes() <-chan string { return p.changes }

// ready waits until what was found is adopted.
func (p *Platform) ready(ctx context.Context) error {
	select {
	case <-p.adopted:
		return nil
	case <-p.failed:
		return errors.New("the platform did not start")
	case <-ctx.Done():
		return fmt.Errorf("wait for the platform: %w", ctx.Err())
	}
}

// names returns the deployments that there are, in order.
func (p *Platform) names() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for n := range p.groups {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

func (p *Platform) lookup(name string) *supervise.Group {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.groups[name]
}
