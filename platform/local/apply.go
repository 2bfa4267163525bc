package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/local/cgroup"
	"github.com/myelin-run/myelin/platform/local/supervise"
)

// nameForm is what may be the name of a deployment: it is also a directory's.
var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,130}$`)

// Apply implements [platform.Platform].
func (p *Platform) Apply(ctx context.Context, d platform.Deployment) error {
	if !nameForm.MatchString(d.Name) {
		return fmt.Errorf("apply %q: not a name", d.Name)
	}
	if err := p.ready(ctx); err != nil {
		return err
	}
	v, err := p.version(ctx, d)
	if err != nil {
		if g := p.lookup(d.Name); g != nil && d.Replicas > 0 {
			g.TurnAway()
		}
		return fmt.Errorf("apply %s: %w", d.Name, err)
	}
	g, err := p.group(d.Name)
	if err == nil {
		err = errors.Join(p.makeLogDir(d.Name), p.makeOwnDir("letters", d.Name), p.makeOwnDir("bindings", d.Name))
	}
	if err == nil && d.Shares != nil {
		p.keepShares(d.Name, d.Shares)
	}
	if err == nil {
		err = g.Apply(ctx, v)
	}
	if err == nil && d.Shares != nil {
		_, err = p.share(ctx, d.Name, d.Shares, 0)
	}
	if err != nil {
		return fmt.Errorf("apply %s: %w", d.Name, err)
	}
	return nil
}

// version translates a deployment into what is supervised.
func (p *Platform) version(ctx context.Context, d platform.Deployment) (supervise.Version, error) {
	cfg := d.Config
	function.Defaults(&cfg)
	cfg.Spec.Scale = nil // no processor's matter, and programs from before know no such field
	v := supervise.Version{
		Fingerprint: d.Fingerprint, Artefact: d.Artefact.Digest, Replicas: d.Replicas,
		Socket: cfg.ServedTrigger(), Address: d.Address, Kind: kindOf(cfg),
		Ready: time.Duration(cfg.Spec.ReadinessTimeoutSeconds) * time.Second,
		Drain: cfg.Spec.DrainTimeout.Std(),
		Limits: cgroup.Limits{
			Memory: cfg.Spec.Resources.Limits["memory"].Bytes(),
			CPU:    float64(cfg.Spec.Resources.Limits["cpu"].Milli()) / 1000,
			// Workers with limits of their own get groups of their own.
			Divisible: cfg.Spec.WorkerMemory > 0,
		},
	}
	v.Prepare = func(at supervise.Place) error { return p.writeConfig(d, cfg, at) }
	if p.o.Engine != nil {
		home, err := p.homeOf(d.Name)
		if err == nil {
			v.Extra, err = p.o.Engine.Prepare(ctx, d, cfg, home)
		}
		return v, err
	}
	command := d.Artefact.Command
	if len(command) == 0 {
		command = []string{p.o.Processor}
	}
	v.Path, v.Args = command[0], command[1:]
	if !filepath.IsAbs(v.Path) {
		v.Path = filepath.Join(d.Artefact.Dir, v.Path)
	}
	if _, err := os.Stat(v.Path); err != nil {
		return v, fmt.Errorf("find processor: %w", err)
	}
	return v, nil
}

// Remove implements [platform.Platform]. The function's logs go too: its user
// may become another function's. Its dead letters stay, out of reach of that
// user, until somebody purges them.
func (p *Platform) Remove(ctx context.Context, name string) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	g := p.lookup(name)
	if g == nil {
		return nil
	}
	p.beforeDrain(name)
	switch err := g.Stop(ctx); {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("remove %s: %w", name, err)
	case err != nil:
		p.o.Log.Warn("remove", "function", name, "error", err)
	}
	g.Wait()
	p.mu.Lock()
	delete(p.groups, name)
	delete(p.shares, name)
	delete(p.told, name)
	p.mu.Unlock()
	err := errors.Join(p.engineRemoved(ctx, name), os.RemoveAll(p.dir("run", name)), os.RemoveAll(p.dir("logs", name)), p.keepOwn("letters", name), p.keepOwn("bindings", name), p.users.free(name))
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	p.notify(name)
	return nil
}

// Observe implements [platform.Platform].
func (p *Platform) Observe(ctx context.Context, name string) ([]platform.Observed, error) {
	if err := p.ready(ctx); err != nil {
		return nil, err
	}
	names := []string{name}
	if name == "" {
		names = p.names()
	}
	var out []platform.Observed
	for _, n := range names {
		g := p.lookup(n)
		if g == nil {
			continue
		}
		if s := g.Observe(); s.Fingerprint != "" || len(s.Replicas) > 0 {
			out = append(out, platform.Observed{Name: n, Fingerprint: s.Fingerprint, Address: s.Address, Generation: s.Generation, Replicas: s.Replicas, Message: p.message(s.Message), Asleep: s.Asleep})
		}
	}
	return out, nil
}

// Stop implements [platform.Stopper]: it drains all functions at once, and
// kills what is left when ctx ends.
func (p *Platform) Stop(ctx context.Context) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	var wg sync.WaitGroup
	names := p.names()
	errs := make([]error, len(names))
	for i, name := range names {
		wg.Go(func() {
			if err := p.lookup(name).Stop(ctx); err != nil {
				errs[i] = fmt.Errorf("stop %s: %w", name, err)
			}
		})
	}
	wg.Wait()
	if p.o.Engine != nil {
		p.o.Engine.Stopped(ctx)
	}
	return errors.Join(errs...)
}
