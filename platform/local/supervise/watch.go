package supervise

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform/local/process"
)

// running is a process that is waited for.
type running struct {
	Process
	exits <-chan process.Exit // how it ended; closed then, or when it is released
}

// follow waits for the end of p, until it is released.
func follow(p Process) *running {
	exits := make(chan process.Exit, 1)
	go func() {
		if e, err := p.Wait(); err == nil {
			exits <- e
		}
		close(exits)
	}()
	return &running{p, exits}
}

// watch follows one process to its end and says why it ended. over: the
// replica is finished too, or the supervisor is and the process goes on.
func (r *replica) watch(life context.Context, p *running) (reason string, over bool) {
	exits := p.exits
	defer func() { p.Release(); <-exits }() // who waits for it ends with either
	look, limit := time.NewTicker(lookEvery), time.NewTimer(r.version.Ready)
	defer look.Stop()
	defer limit.Stop()
	for {
		select {
		case <-look.C:
			if isReady(r.place.Dir, p.Self()) && !deaf(p.Process) {
				look.Reset(time.Minute)
				limit.Stop()
				r.becameReady()
			}
		case e := <-exits:
			return r.explain(e), false
		case <-limit.C:
			why := ""
			if deaf(p.Process) && isReady(r.place.Dir, p.Self()) {
				why = ": it did not fetch its listening socket, as programs do that were built before there was this platform: build the function anew"
			}
			p.Kill()
			<-exits
			return fmt.Sprintf("not ready within %v%s", r.version.Ready, why), false
		case <-r.stop:
			return "", r.drain(life, p, exits)
		case <-life.Done():
			return "", true
		}
	}
}

// deaf reports that a process was offered a socket that it has not fetched.
func deaf(p Process) bool {
	d, ok := p.(interface{ Deaf() bool })
	return ok && d.Deaf()
}

func (r *replica) becameReady() {
	if !r.since.IsZero() { // it is, and this was the minutely look
		_ = trimOutput(r.g.o.Dir)
		return
	}
	r.since = time.Now()
	r.update(func(s *function.Replica) { s.State, s.Message, r.served = ready, "", true })
}

func (r *replica) explain(e process.Exit) string {
	if r.limits.OOMKills() > r.kills {
		return fmt.Sprintf("out of memory: killed at its limit of %d MiB (%s)", r.version.Limits.Memory>>20, e)
	}
	return e.String()
}

// settle is how long after SIGTERM a process surely accepts no more, if it does not say
// so before by removing its ready.json. Only then new connections are sure to reach its
// successor, and old ones are told to be left; the process answers on them for a second
// at least.
const settle = 250 * time.Millisecond

// drain asks the process to finish and ends it if it does not in time. A
// process that was asked by a former supervisor is not asked twice, because
// many programs take that for impatience.
func (r *replica) drain(life context.Context, p Process, exits <-chan process.Exit) (over bool) {
	asked := false
	r.update(func(s *function.Replica) { asked = s.State == draining; s.State = draining })
	if !asked {
		// Should this fail, a later supervisor takes it for one that serves,
		// and drains it as such.
		_ = r.g.o.Launcher.Keep(r.record(p.ID(), true))
		_ = p.Signal(syscall.SIGTERM)
	}
	told := asked || !r.since.IsZero() // there was a ready.json
	limit, settled, look := time.NewTimer(r.version.Drain+grace), time.NewTimer(settle), time.NewTicker(lookEvery)
	defer limit.Stop()
	defer settled.Stop()
	defer look.Stop()
	for ended := false; !ended; {
		select {
		case <-look.C:
			if told && !isReady(r.place.Dir, p.Self()) {
				look.Stop()
				r.settle()
			}
			continue
		case <-settled.C:
			r.settle()
			continue
		case <-exits:
		case <-life.Done():
			return true
		case <-limit.C:
			p.Kill()
			<-exits
		case <-r.g.hurry:
			p.Kill()
			<-exits
		}
		ended = true
	}
	r.settle()
	r.clear()
	return true
}

// settle says that what comes new reaches others than the replica.
func (r *replica) settle() {
	r.settles.Do(func() {
		r.g.renew()
		close(r.settled)
	})
}
