package servers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// process is a child that the kernel kills when this process ends.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // how it ended; read after exited
	all    bool  // signals other than SIGTERM are for its group
}

// launch starts cmd, and waits for it on the thread that started it: the kernel
// sends the death signal when that thread ends, so it has to stay. If enter is not
// nil it is called on that thread first, which is used for nothing else any more.
func launch(cmd *exec.Cmd, enter func() error) (*process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if enter == nil { // else it is to end with the space that is entered, where it does not see who started it
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer close(p.exited)
		var err error
		if enter == nil {
			defer runtime.UnlockOSThread()
		} else {
			err = enter()
		}
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err != nil {
			return
		}
		if p.err = cmd.Wait(); p.err == nil {
			p.err = errors.New("exit status 0")
		}
	}()
	if err := <-started; err != nil {
		<-p.exited
		return nil, err
	}
	return p, nil
}

func (p *process) signal(sig syscall.Signal) error {
	if p.all && sig != syscall.SIGTERM && !p.gone() {
		return syscall.Kill(-p.cmd.Process.Pid, sig)
	}
	return p.cmd.Process.Signal(sig)
}

func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// halted waits until every thread has seen SIGSTOP: the signal is sent before
// the last of them stands still.
func (p *process) halted() error {
	threads := fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid)
	for until := time.Now().Add(stopLimit); time.Now().Before(until); time.Sleep(time.Millisecond) {
		stats, err := filepath.Glob(threads)
		if err != nil {
			return err
		}
		if len(stats) == 0 {
			return os.ErrProcessDone
		}
		if !slices.ContainsFunc(stats, moves) {
			return nil
		}
	}
	return fmt.Errorf("process %d did not stand still within %s", p.cmd.Process.Pid, stopLimit)
}

// moves says whether a thread, by its stat file, is not stopped.
func moves(stat string) bool {
	data, err := os.ReadFile(stat)
	if err != nil {
		return false // it ended
	}
	_, state, _ := bytes.Cut(data[bytes.LastIndexByte(data, ')')+1:], []byte(" "))
	return len(state) > 0 && state[0] != 'T'
}

// end kills it if it runs, and waits until it is gone.
func (p *process) end() error {
	err := p.signal(syscall.SIGKILL)
	<-p.exited
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}
