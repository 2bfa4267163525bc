package docker

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/platform/local/process"
)

// retryEvery is how often an engine that does not answer is asked again.
const retryEvery = 250 * time.Millisecond

// replica is the container of a replica that was started or found. It implements
// [supervise.Process].
type replica struct {
	e      *engine
	id     string // of the container
	output string // the file to which goes what it printed
	ident  process.Identity
	memory int64
	offer  *offer
	mended []string // what had to be made anew to start it

	life context.Context // ends with Release, or when the container has ended
	end  context.CancelFunc
	lost atomic.Bool // it was to be killed, and the engine was away for long
	told sync.WaitGroup
}

func (e *engine) replica(id, output string, pid int, memory int64) *replica {
	p := &replica{e: e, id: id, output: output, ident: process.Identity{PID: pid, Boot: id}, memory: memory}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

// ID implements [supervise.Process].
func (p *replica) ID() process.Identity { return p.ident }

// Self implements [supervise.Process]: the program is the first of its container.
func (p *replica) Self() int { return 1 }

// Deaf reports that the container has not fetched its listening socket.
func (p *replica) Deaf() bool { return p.offer != nil && !p.offer.taken.Load() }

// Mended says what the engine had no longer when the container was started.
func (p *replica) Mended() string { return strings.Join(p.mended, "; ") }

// Wait implements [supervise.Process]. An engine that is away is waited for:
// containers live on without it.
func (p *replica) Wait() (process.Exit, error) {
	for {
		state, err := p.ended()
		switch {
		case p.lost.Load():
			p.finish()
			return process.Exit{Why: "not known to have ended: the Docker engine was away when it was to be killed"}, nil
		case p.life.Err() != nil:
			return process.Exit{}, os.ErrClosed
		case cerrdefs.IsNotFound(err):
			p.finish()
			return process.Exit{Known: true, Code: -1, Why: "its container was removed"}, nil
		case err == nil && !state.Running && !state.Restarting:
			p.keepOutput()
			p.finish()
			return p.exit(state), nil
		}
		select {
		case <-p.life.Done():
		case <-time.After(retryEvery):
		}
	}
}

// ended waits for the end of the container and returns its state. It is looked at
// before, too, to see that the engine is back.
func (p *replica) ended() (*container.State, error) {
	if state, err := p.look(); err != nil || !state.Running {
		return state, err
	}
	waits := p.e.client.ContainerWait(p.life, p.id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-waits.Result:
	case err := <-waits.Error:
		if p.life.Err() != nil || cerrdefs.IsNotFound(err) {
			return nil, err
		}
	}
	return p.look()
}

func (p *replica) look() (*container.State, error) {
	ctx, cancel := context.WithTimeout(p.life, answerLimit)
	defer cancel()
	c, err := p.e.client.ContainerInspect(ctx, p.id, client.ContainerInspectOptions{})
	if p.life.Err() == nil && !cerrdefs.IsNotFound(err) {
		err = p.e.problem("wait for container", err)
	}
	if err != nil {
		return nil, err
	}
	return c.Container.State, nil
}

// finish lets nothing of the container's go on once it has ended.
func (p *replica) finish() {
	p.end()
	p.told.Wait()
	p.offer.stop()
}

func (p *replica) exit(s *container.State) process.Exit {
	x := process.Exit{Known: true, Code: s.ExitCode}
	switch {
	case s.OOMKilled:
		x.Why = fmt.Sprintf("out of memory: killed at its limit of %d MiB", p.memory>>20)
	case s.Error != "":
		x.Why = s.Error
	case s.ExitCode > 128 && s.ExitCode < 128+65:
		x.Code, x.Signal = -1, syscall.Signal(s.ExitCode-128)
	}
	return x
}

// keepOutput appends the end of what the container printed to the output file.
func (p *replica) keepOutput() {
	ctx, cancel := context.WithTimeout(p.life, answerLimit)
	defer cancel()
	from, err := p.e.client.ContainerLogs(ctx, p.id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "100"})
	if err != nil {
		return
	}
	defer from.Close()
	out, err := os.OpenFile(p.output, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	defer out.Close()
	_, _ = stdcopy.StdCopy(out, out, from)
}

// Signal implements [supervise.Process]: the engine is asked until it has done so.
func (p *replica) Signal(sig syscall.Signal) error {
	if p.life.Err() != nil {
		return os.ErrClosed
	}
	p.told.Go(func() {
		for p.life.Err() == nil && !p.tell(sig) {
			select {
			case <-p.life.Done():
			case <-time.After(retryEvery):
			}
		}
	})
	return nil
}

// tell reports whether there is nothing left to tell.
func (p *replica) tell(sig syscall.Signal) bool {
	ctx, cancel := context.WithTimeout(p.life, answerLimit)
	defer cancel()
	_, err := p.e.client.ContainerKill(ctx, p.id, client.ContainerKillOptions{Signal: unix.SignalName(sig)})
	return err == nil || cerrdefs.IsNotFound(err) || cerrdefs.IsConflict(err) // it has ended
}

// killLimit is how long an engine is waited for that is to kill a container, so that
// who stops is not kept by it. Then the container is removed once the engine is back.
const killLimit = 5 * time.Second

// Kill implements [supervise.Process].
func (p *replica) Kill() {
	if p.Signal(syscall.SIGKILL) != nil {
		return
	}
	time.AfterFunc(killLimit, func() {
		if p.life.Err() == nil && p.e.Trouble() != "" {
			p.lost.Store(true)
			p.end()
		}
	})
}

// Release implements [supervise.Process].
func (p *replica) Release() { p.end() }

// remove removes a container, whatever it does.
func (e *engine) remove(ctx context.Context, container string) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	_, err := e.client.ContainerRemove(ctx, container, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err == nil || cerrdefs.IsNotFound(err) || cerrdefs.IsConflict(err) { // somebody removes it already
		return nil
	}
	return e.problem("remove container", err)
}
