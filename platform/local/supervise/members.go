package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform/local/cgroup"
	"github.com/myelin-run/myelin/processor/handoff"
	"github.com/myelin-run/myelin/processor/parked"
)

// serving are the replicas of a version on a socket that are not stopping.
func (g *Group) serving(fingerprint string, socket *handoff.Socket) []*replica {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []*replica
	for _, r := range g.replicas {
		if !r.stopping && r.version.Fingerprint == fingerprint && r.socket == socket {
			out = append(out, r)
		}
	}
	return out
}

// shrink stops what is not v or too much of it, and returns all that leaves.
func (g *Group) shrink(v Version, socket *handoff.Socket) (leaving []*replica) {
	keep := g.serving(v.Fingerprint, socket)
	keep = keep[:min(len(keep), v.Replicas)]
	var surplus []*replica
	g.mu.Lock()
	for _, r := range g.replicas {
		if slices.Contains(keep, r) {
			continue
		}
		leaving = append(leaving, r)
		if !r.stopping {
			surplus = append(surplus, r)
		}
	}
	g.mu.Unlock()
	if len(surplus) > 0 && g.o.BeforeDrain != nil {
		g.o.BeforeDrain()
	}
	g.end(surplus)
	return leaving
}

// end begins to stop replicas; it does not wait.
func (g *Group) end(rs []*replica) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range rs {
		if !r.stopping {
			r.stopping = true
			close(r.stop)
		}
	}
}

// add makes and starts a replica of v, for what was seen at a time, from the
// parked process if there is one.
func (g *Group) add(v Version, socket *handoff.Socket, seen time.Time) (*replica, error) {
	times := parked.Times{Seen: seen, Decided: time.Now()}
	if r, p := g.unpark(v, socket, times); r != nil {
		g.join(r, p)
		return r, nil
	}
	r, err := g.newReplica(v, socket)
	if err != nil {
		return nil, err
	}
	r.times = times
	g.join(r, nil)
	return r, nil
}

// join makes a replica, and the process that it has already, one of the group.
func (g *Group) join(r *replica, p *running) {
	g.mu.Lock()
	g.replicas = append(g.replicas, r)
	g.mu.Unlock()
	g.tasks.Go(func() { r.run(g.life, p) })
}

func (g *Group) newReplica(v Version, socket *handoff.Socket) (*replica, error) {
	place, err := g.newPlace(v)
	if err != nil {
		return nil, fmt.Errorf("prepare replica: %w", err)
	}
	r := &replica{g: g, place: place, version: v, socket: socket, stop: make(chan struct{}), done: make(chan struct{}), settled: make(chan struct{}), limits: g.limit(place.Name, v)}
	r.status = function.Replica{Name: place.Name, State: starting, Artefact: v.Artefact}
	if socket != nil {
		r.version.Address = socket.Address()
	}
	return r, nil
}

func (g *Group) newPlace(v Version) (p Place, err error) {
	if err := os.MkdirAll(g.o.Dir, 0o711); err != nil {
		return p, err
	}
	if err := os.MkdirAll(g.o.Scratch, 0o711); err != nil {
		return p, err
	}
	if p.Dir, err = os.MkdirTemp(g.o.Dir, "r"); err != nil {
		return p, err
	}
	p.Name = filepath.Base(p.Dir)
	if p.Scratch, err = os.MkdirTemp(g.o.Scratch, "s"); err == nil && v.Prepare != nil {
		err = v.Prepare(p)
	}
	if err == nil {
		err = g.own(p)
	}
	if err != nil {
		os.RemoveAll(p.Dir)
		os.RemoveAll(p.Scratch)
	}
	return p, err
}

// own gives the directories and what was prepared in them to the replica.
func (g *Group) own(p Place) error {
	c := g.o.Credential
	if c == nil {
		return nil
	}
	chown := func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(c.Uid), int(c.Gid))
	}
	return errors.Join(filepath.WalkDir(p.Dir, chown), filepath.WalkDir(p.Scratch, chown))
}

// limit opens the control group of a replica. Where that cannot be, the
// replica runs without, and the group says so.
func (g *Group) limit(name string, v Version) *cgroup.Group {
	if v.Limits == (cgroup.Limits{}) || v.Extra != nil { // then they are the launcher's matter
		return nil
	}
	c, err := cgroup.Open("/sys/fs/cgroup", filepath.Join(g.o.Cgroup, name), v.Limits)
	if cred := g.o.Credential; err == nil && v.Limits.Divisible && cred != nil {
		// Where it cannot be given, workers keep to resource limits and say so.
		_ = c.Give(int(cred.Uid), int(cred.Gid))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.message = ""
	switch {
	case err == nil:
		return c
	case v.Limits.Memory > 0 || v.Limits.CPU > 0:
		g.message = "resource limits are not in force: " + err.Error()
	}
	return nil
}

// await returns nil when r is ready.
func (g *Group) await(ctx context.Context, r *replica) error {
	for {
		g.mu.Lock()
		state, failure, changes, message := r.status.State, r.failure, g.changes, r.status.Message
		g.mu.Unlock()
		switch {
		case failure != nil:
			return failure
		case state == ready:
			return nil
		case state == backoff:
			return fmt.Errorf("replica %s crashes again and again: %s", r.place.Name, message)
		}
		select {
		case <-changes:
		case <-r.done:
			g.mu.Lock()
			failure = r.failure
			g.mu.Unlock()
			if failure == nil {
				failure = fmt.Errorf("replica %s was stopped", r.place.Name)
			}
			return failure
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (g *Group) changed() {
	g.mu.Lock()
	close(g.changes)
	g.changes = make(chan struct{})
	g.mu.Unlock()
	if g.o.Changed != nil {
		g.o.Changed()
	}
}

func (g *Group) forget(r *replica) {
	g.mu.Lock()
	g.replicas = slices.DeleteFunc(g.replicas, func(x *replica) bool { return x == r })
	g.mu.Unlock()
	g.changed()
}
