package process

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Wait blocks until the process has ended and says how. It ends whatever is
// left of the process's group. After Release it returns [os.ErrClosed].
func (p *Process) Wait() (Exit, error) {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return Exit{}, os.ErrClosed
	}
	if err := raw.Read(func(fd uintptr) bool { return readable(int(fd)) }); err != nil {
		return Exit{}, os.ErrClosed
	}
	p.once.Do(func() {
		// While a child is not reaped its number is not used again, and
		// neither is that of its group.
		_ = syscall.Kill(-p.Identity.PID, syscall.SIGKILL)
		if p.child {
			p.exit = reap(p.Identity.PID)
		}
		close(p.gone)
	})
	<-p.gone
	return p.exit, nil
}

func readable(fd int) bool {
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return n > 0 || err != nil
	}
}

func reap(pid int) Exit {
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &ws, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return Exit{}
		case ws.Signaled():
			return Exit{Known: true, Code: -1, Signal: ws.Signal()}
		}
		return Exit{Known: true, Code: ws.ExitStatus()}
	}
}

// Gone is closed once Wait has seen the end of the process.
func (p *Process) Gone() <-chan struct{} { return p.gone }

// Signal sends a signal to the process, and to nobody if it has ended.
func (p *Process) Signal(sig syscall.Signal) error {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return os.ErrClosed
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		return os.ErrClosed
	}
	if errors.Is(inner, unix.ESRCH) {
		return nil
	}
	return inner
}

// Kill ends the process and its whole group at once.
func (p *Process) Kill() {
	select {
	case <-p.gone:
		return // the number may be somebody else's by now
	default:
	}
	_ = p.Signal(syscall.SIGKILL)
	_ = syscall.Kill(-p.Identity.PID, syscall.SIGKILL)
}

// Release lets go of the process, which goes on; a running Wait returns.
func (p *Process) Release() { p.pidfd.Close() }
