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
	"github.com/myelin-run/myelin/platform/local/process"
	"github.com/myelin-run/myelin/processor/handoff"
)

// found is a running process and what was kept about it.
type found struct {
	Record
	p Process
}

// Adopt takes over what a former supervisor left running in the group's
// directory, gets its listening socket back, and clears away what has ended.
// It is called once, first. Errors tell what could not be taken over; the
// group can be used all the same.
func (g *Group) Adopt(ctx context.Context) error {
	g.turn.Lock()
	defer g.turn.Unlock()
	records, err := g.o.Launcher.Kept(ctx)
	errs := []error{err}
	var alive []found
	for _, rec := range records {
		p, err := g.o.Launcher.Adopt(rec)
		switch {
		case err == nil:
			alive = append(alive, found{rec, p})
		case errors.Is(err, process.ErrGone):
			g.discard(rec)
		default:
			errs = append(errs, fmt.Errorf("adopt replica %s: %w", rec.Name, err))
		}
	}
	errs = append(errs, g.sweep(records), g.recover(ctx, alive))
	for _, f := range alive {
		g.take(f)
	}
	return errors.Join(errs...)
}

func (g *Group) discard(rec Record) {
	if c := g.limit(rec.Name, rec.Version); c != nil {
		_ = c.Remove() // it is made again when it is needed
	}
	g.o.Launcher.Forget(rec.Name)
	os.RemoveAll(filepath.Join(g.o.Dir, rec.Name))
	if filepath.Dir(rec.Scratch) == g.o.Scratch {
		os.RemoveAll(rec.Scratch)
	}
}

// sweep removes directories of replicas that have no record.
func (g *Group) sweep(records []Record) error {
	known := map[string]bool{}
	for _, r := range records {
		known[r.Name] = true
	}
	entries, err := os.ReadDir(g.o.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() && !known[e.Name()] {
			err = errors.Join(err, os.RemoveAll(filepath.Join(g.o.Dir, e.Name())))
		}
	}
	return err
}

// recover gets the listening socket from any of the replicas, from one that
// drains only if no other has it. A replica that does not hand it over holds
// its address without being of use to a successor, and is left to end in take.
func (g *Group) recover(ctx context.Context, alive []found) error {
	slices.SortStableFunc(alive, func(a, b found) int { return boolOrder(a.Draining, b.Draining) })
	var errs []error
	for _, f := range alive {
		if f.Version.Socket == "" || f.Parked {
			continue
		}
		sockets, err := handoff.Receive(ctx, filepath.Join(f.Scratch, handoff.File))
		if err != nil {
			errs = append(errs, fmt.Errorf("adopt replica %s: %w", f.Name, err))
			continue
		}
		handoff.Close(sockets[1:])
		g.mu.Lock()
		g.setSocket(&handoff.Socket{Name: f.Version.Socket, FD: sockets[0].FD})
		g.mu.Unlock()
		return nil
	}
	return errors.Join(errs...)
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// take makes a running process a member of the group. One that was parked or not ready
// when its supervisor ended, or whose socket was lost, is ended: the
// deployment is applied again anyway.
func (g *Group) take(f found) {
	v := f.Version
	r := &replica{
		g: g, version: v, place: Place{Name: f.Name, Dir: filepath.Join(g.o.Dir, f.Name), Scratch: f.Scratch},
		stop: make(chan struct{}), done: make(chan struct{}), settled: make(chan struct{}), limits: g.limit(f.Name, v), served: true,
	}
	r.mark, r.kills = markLogs(g.logs()), r.limits.OOMKills()
	id := f.p.ID()
	r.status = function.Replica{Name: f.Name, State: ready, PID: id.PID, Started: f.Started, Restarts: f.Restarts, LastEnd: f.LastEnd, Artefact: v.Artefact}
	if f.Started.IsZero() { // a record from before they had it
		r.status.Started = time.Now()
	}
	usable := v.Socket == "" || g.socket != nil
	switch {
	case f.Draining:
		r.status.State = draining
		r.stopping = true
		close(r.stop)
	case !usable || f.Parked || !isReady(r.place.Dir, f.p.Self()):
		f.p.Kill()
		r.served = false // no restart
		r.version.Ready = time.Nanosecond
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if v.Socket != "" {
		r.socket = g.socket
	}
	if r.served && !r.stopping {
		g.current = v
	}
	g.replicas = append(g.replicas, r)
	g.tasks.Go(func() { r.run(g.life, follow(f.p)) })
}

// Scratch returns the scratch directories of all replicas.
func (g *Group) Scratch() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for _, r := range g.replicas {
		out = append(out, r.place.Scratch)
	}
	return out
}

// Serving returns the scratch directories of the replicas that are not
// stopping.
func (g *Group) Serving() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []string
	for _, r := range g.replicas {
		if !r.stopping {
			out = append(out, r.place.Scratch)
		}
	}
	return out
}

// Member is a process of a group.
type Member struct {
	Scratch string
	PID     int // 0 while it is being started
}

// Members returns the processes that are not stopping.
func (g *Group) Members() []Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []Member
	for _, r := range g.replicas {
		if !r.stopping {
			out = append(out, Member{r.place.Scratch, r.status.PID})
		}
	}
	return out
}

// logs are the files that explain a failed start.
func (g *Group) logs() []string {
	return append([]string{filepath.Join(g.o.Dir, outputFile)}, g.o.Logs...)
}
