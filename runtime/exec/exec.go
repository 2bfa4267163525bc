// Package exec starts and ends the processes in which functions run: each in a
// process group of its own that dies with the processor and is killed whole.
// It knows no runtime, no event and no channel.
package exec

import (
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"runtime"
	"syscall"
)

// Spec says what to start. Env is the whole environment; Files follow the
// three standard streams from descriptor 3 on, and stay the caller's to close.
// A nil stream is /dev/null.
type Spec struct {
	Path  string
	Args  []string // without the program's name
	Env   []string
	Dir   string
	Files []*os.File

	Stdin, Stdout, Stderr *os.File

	Memory *Memory // limits what it may use; nil: nothing does
}

// Process is a started process. Its methods are safe from any goroutine.
type Process struct {
	cmd     *osexec.Cmd
	memory  *Memory
	done    chan struct{}
	err     error
	starved bool
}

// Start runs spec. One goroutine, and the thread it is locked to, lives as
// long as the process: the kernel's parent-death signal is bound to the thread
// that forked, so that thread must not go away earlier.
func Start(spec Spec) (*Process, error) {
	cmd := osexec.Command(spec.Path, spec.Args...)
	cmd.Env, cmd.Dir, cmd.ExtraFiles = spec.Env, spec.Dir, spec.Files
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	setStreams(cmd, spec)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &Process{cmd: cmd, memory: spec.Memory, done: make(chan struct{})}
	started := make(chan error)
	go p.own(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Path, err)
	}
	return p, nil
}

// setStreams keeps typed nil files out of the interfaces.
func setStreams(cmd *osexec.Cmd, spec Spec) {
	if spec.Stdin != nil {
		cmd.Stdin = spec.Stdin
	}
	if spec.Stdout != nil {
		cmd.Stdout = spec.Stdout
	}
	if spec.Stderr != nil {
		cmd.Stderr = spec.Stderr
	}
}

func (p *Process) own(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	var limit *hold
	if err == nil && p.memory != nil {
		limit = p.memory.hold(p.cmd.Process.Pid)
	}
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	// What the process left behind in its group goes with it.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	if limit != nil {
		p.starved = limit.end(p.cmd.ProcessState)
	}
	close(p.done)
}

// Pid returns the process id, which is also that of the group.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended and its group was killed.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the process ended: nil for exit status 0. Call it after Done.
func (p *Process) Err() error { return p.err }

// State returns the exit state. Call it after Done.
func (p *Process) State() *os.ProcessState { return p.cmd.ProcessState }

// OutOfMemory tells whether the process ended because it needed more memory
// than its limit. Call it after Done.
func (p *Process) OutOfMemory() bool { return p.starved }

// Signal sends a signal to the process alone. One that has ended already is no
// error.
func (p *Process) Signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d: %w", p.Pid(), err)
	}
	return nil
}

// Kill sends SIGKILL to the whole group; it does not wait. Killing what has
// ended already is no error.
func (p *Process) Kill() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := syscall.Kill(-p.Pid(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill process group %d: %w", p.Pid(), err)
	}
	return nil
}
