package supervise

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/local/cgroup"
	"github.com/myelin-run/myelin/platform/local/process"
	"github.com/myelin-run/myelin/processor/handoff"
	"github.com/myelin-run/myelin/processor/parked"
)

// The states of a replica.
const (
	starting = "starting"
	ready    = "ready"
	draining = "draining"
	backoff  = "backoff"
)

const (
	lookEvery  = 10 * time.Millisecond // how often a starting replica is looked at
	grace      = 5 * time.Second       // beyond the drain deadline, for the replica to end by itself
	healthy    = time.Minute           // after which former crashes are forgotten
	firstDelay = 100 * time.Millisecond
	lastDelay  = 30 * time.Second
)

// replica is one process and its successors in the same directory. Its fields
// up to limits never change; status is the group's, under its lock.
type replica struct {
	g       *Group
	place   Place
	version Version
	socket  *handoff.Socket
	limits  *cgroup.Group
	stop    chan struct{} // closed by the group: drain and end
	done    chan struct{} // closed when the replica's goroutine has ended
	settled chan struct{} // closed by settles when it accepts no more
	settles sync.Once

	status   function.Replica
	stopping bool
	served   bool  // it was ready once
	failure  error // why it ended without ever serving

	mark    logMark
	times   parked.Times // of the first start
	parked  bool         // its process is parked
	warm    bool         // the first process was parked
	kills   int          // processes killed for want of memory, up to the last start
	crashes int          // in a row
	since   time.Time
}

// run keeps the replica running until it is stopped, or fails before it ever
// served, or the supervisor's life ends; then the process stays.
func (r *replica) run(life context.Context, p *running) {
	defer close(r.done)
	for {
		var err error
		if p == nil {
			p, err = r.start()
		}
		reason := ""
		if err != nil {
			reason = err.Error()
		} else {
			var over bool
			if reason, over = r.watch(life, p); over {
				return
			}
			p = nil
		}
		if !r.crashed(reason) || !r.pause(life) {
			return
		}
	}
}

// crashed notes a crash and says whether to go on.
func (r *replica) crashed(reason string) bool {
	log := r.mark.added(r.g.logs())
	if !r.since.IsZero() && time.Since(r.since) > healthy {
		r.crashes = 0
	}
	r.crashes++
	r.since = time.Time{}
	e := &platform.StartError{Replica: r.place.Name, Reason: reason, Log: log}
	goOn := false
	r.update(func(s *function.Replica) {
		if !r.served && r.warm { // it may be the parked process that was broken
			r.warm, r.crashes, goOn = false, 0, true
			return
		}
		if !r.served {
			r.failure = e
			return
		}
		goOn = true
		s.State, s.PID, s.Message = starting, 0, reason
		if last := platform.LastWord(log); last != "" {
			s.Message += ": " + last
		}
		s.Restarts++
		s.LastEnd = s.Message
		if r.crashes > 1 {
			s.State = backoff
		}
	})
	if !goOn {
		r.clear()
	}
	return goOn
}

// pause waits before the next start: not at all after a first crash, then
// longer each time. False: the replica is to end.
func (r *replica) pause(life context.Context) bool {
	wait := time.Duration(0)
	if r.crashes > 1 {
		wait = min(lastDelay, firstDelay<<min(r.crashes-2, 10))
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-r.stop:
		r.clear()
		return false
	case <-life.Done():
		return false
	case <-t.C:
		return true
	}
}

// start starts the process in the replica's directory.
func (r *replica) start() (*running, error) {
	r.update(func(s *function.Replica) { s.State = starting })
	spec := process.Spec{Args: r.version.Args, Env: r.environment()}
	if !r.times.Seen.IsZero() {
		r.times.Told = time.Now()
		spec.Env = append(spec.Env, parked.Variable+"="+r.times.String())
		r.times = parked.Times{} // what follows are restarts
	}
	p, err := r.spawn(spec)
	if err != nil {
		return nil, err
	}
	r.begun(p)
	return follow(p), nil
}

// spawn starts a process with the replica's user, limits, output and socket. What
// spec passes comes after the socket.
func (r *replica) spawn(spec process.Spec) (Process, error) {
	if err := os.Remove(filepath.Join(r.place.Dir, readyFile)); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("remove old readiness: %w", err)
	}
	out, err := openOutput(r.g.o.Dir)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	r.mark, r.kills = markLogs(r.g.logs()), r.limits.OOMKills()
	spec.Path, spec.Dir, spec.Output, spec.Credential = r.version.Path, r.place.Dir, out, r.g.o.Credential
	if r.socket != nil {
		spec.FDs = append([]int{r.socket.FD}, spec.FDs...)
	}
	var attr *syscall.SysProcAttr
	if r.limits != nil {
		spec.Place = func(tid int, a *syscall.SysProcAttr) error { attr = a; return r.limits.Place(tid, a) }
	}
	p, err := r.g.o.Launcher.Start(r.record(process.Identity{}, false), spec)
	if attr != nil {
		r.limits.Placed(attr)
	}
	return p, err
}

// begun notes the process p, and what had to be mended to start it again.
func (r *replica) begun(p Process) {
	r.update(func(s *function.Replica) {
		s.PID, s.Started = p.ID().PID, time.Now()
		if m, ok := p.(interface{ Mended() string }); ok && s.Restarts > 0 && m.Mended() != "" {
			s.LastEnd += "; " + m.Mended()
		}
	})
}

func (r *replica) record(id process.Identity, drains bool) Record {
	r.g.mu.Lock()
	defer r.g.mu.Unlock()
	started := r.status.Started
	if id == (process.Identity{}) { // it is about to be
		started = time.Now()
	}
	return Record{Identity: id, Name: r.place.Name, Scratch: r.place.Scratch, Version: r.version, Started: started, Draining: drains, Parked: r.parked, Restarts: r.status.Restarts, LastEnd: r.status.LastEnd}
}

// environment is all that the process gets: nothing of the supervisor's own
// but where programs are.
func (r *replica) environment() []string {
	path := os.Getenv("PATH")
	if path == "" {
		path = "/usr/local/bin:/usr/bin:/bin"
	}
	env := []string{"PATH=" + path, "HOME=" + r.place.Dir, "LANG=C.UTF-8", "TMPDIR=" + r.place.Scratch}
	if cache := os.Getenv("MYELIN_CACHE"); cache != "" { // compiled workers, made at build time
		env = append(env, "MYELIN_CACHE="+cache)
	}
	if r.socket != nil {
		env = append(env, "LISTEN_FDS=1", "LISTEN_FDNAMES="+r.version.Socket)
	}
	return env
}

// clear removes what the replica leaves, once its process has ended.
func (r *replica) clear() {
	r.g.forget(r)
	r.g.o.Launcher.Forget(r.place.Name)
	_ = os.RemoveAll(r.place.Dir)
	_ = os.RemoveAll(r.place.Scratch)
	if r.limits != nil {
		_ = r.limits.Remove()
	}
}

func (r *replica) update(change func(*function.Replica)) {
	r.g.mu.Lock()
	change(&r.status)
	r.g.mu.Unlock()
	r.g.changed()
}
