// Package process starts operating system processes that outlive their
// starter, and finds them again: by pid, start time and boot, so that a number
// used again is never taken for what it was. It knows nothing of what runs.
package process

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Identity names a process for ever.
type Identity struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // ticks between boot and its start
	Boot  string `json:"boot"`
}

// Spec says what to start.
type Spec struct {
	Path string   // absolute
	Args []string // without the program's name
	Dir  string
	Env  []string
	FDs  []int // passed as 3, 4, ...
	// Output is a file to which standard output and error are appended, open
	// for writing. It stays the caller's.
	Output     *os.File
	Credential *syscall.Credential // nil: the same user
	// Place puts the thread tid, from which the process is about to be
	// forked, or the process through attr, under limits. May be nil.
	Place func(tid int, attr *syscall.SysProcAttr) error
}

// Process is a running or ended process, the leader of its own session.
type Process struct {
	Identity Identity
	child    bool
	pidfd    *os.File
	gone     chan struct{}
	exit     Exit
	once     sync.Once
}

// Exit is how a process ended.
type Exit struct {
	Known  bool // false for one that was adopted: only its parent hears
	Code   int
	Signal syscall.Signal // 0: it exited by itself
	Why    string         // what is known beyond that, "" if nothing is
}

func (e Exit) String() string {
	switch {
	case e.Why != "":
		return e.Why
	case !e.Known:
		return "ended (how is not known: it was started by a former control plane)"
	case e.Signal != 0:
		return fmt.Sprintf("killed by signal %d (%s)", int(e.Signal), e.Signal)
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Start starts a process in a session of its own, with umask 077. The caller
// calls Wait or Release.
func Start(s Spec) (*Process, error) {
	type result struct {
		p   *Process
		err error
	}
	done := make(chan result)
	go func() {
		// What is set here is this thread's and inherited by the child. The
		// thread ends with the goroutine, because it stays locked to it.
		runtime.LockOSThread()
		p, err := startHere(s)
		done <- result{p, err}
	}()
	r := <-done
	return r.p, r.err
}

// umask is held while the whole process has another umask than its own.
var umask sync.Mutex

// strict gives this thread the umask 077, for what is forked from it. Containers may not
// have threads with an umask of their own: there the whole process has it until restore,
// and files that it makes meanwhile are for its user alone.
func strict() (restore func(), err error) {
	switch err := unix.Unshare(unix.CLONE_FS); {
	case err == nil:
		unix.Umask(0o077)
		return func() {}, nil
	case !errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("unshare umask: %w", err)
	}
	umask.Lock()
	was := unix.Umask(0o077)
	return func() {
		unix.Umask(was)
		umask.Unlock()
	}, nil
}

func startHere(s Spec) (*Process, error) {
	restore, err := strict()
	if err != nil {
		return nil, err
	}
	defer restore()
	// What this process itself was started with is not for the child.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	sys := &syscall.SysProcAttr{Setsid: true, Credential: s.Credential}
	if s.Place != nil {
		if err := s.Place(unix.Gettid(), sys); err != nil {
			return nil, err
		}
	}
	files, closeNull, err := descriptors(s)
	if err != nil {
		return nil, err
	}
	defer closeNull()
	attr := &syscall.ProcAttr{Dir: s.Dir, Env: s.Env, Files: files, Sys: sys}
	pid, err := syscall.ForkExec(s.Path, append([]string{s.Path}, s.Args...), attr)
	if errors.Is(err, syscall.EACCES) && s.Credential != nil {
		return nil, fmt.Errorf("start %s: user %d may not run it, or not enter %s or a directory above either: %w", s.Path, s.Credential.Uid, s.Dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Path, err)
	}
	p, err := attach(pid)
	if err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_, _ = syscall.Wait4(pid, nil, 0, nil)
		return nil, err
	}
	p.child = true
	return p, nil
}

func descriptors(s Spec) (files []uintptr, done func(), err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	out := null
	if s.Output != nil {
		out = s.Output
	}
	files = []uintptr{null.Fd(), out.Fd(), out.Fd()}
	for _, fd := range s.FDs {
		files = append(files, uintptr(fd))
	}
	return files, func() { null.Close() }, nil
}

// Adopt finds a process that another life started. It fails with
// [ErrGone] if that process has ended.
func Adopt(id Identity) (*Process, error) {
	boot, err := Boot()
	if err != nil {
		return nil, err
	}
	if id.PID <= 1 || id.Boot != boot {
		return nil, ErrGone
	}
	p, err := attach(id.PID)
	if err != nil {
		return nil, err
	}
	if p.Identity != id {
		p.Release()
		return nil, ErrGone
	}
	return p, nil
}

// ErrGone says that a process has ended.
var ErrGone = errors.New("process has ended")

// attach takes hold of the process that has a pid now. Its start is read after
// the hold is taken, so that both are of the same process.
func attach(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	p := &Process{pidfd: os.NewFile(uintptr(fd), "pidfd"), gone: make(chan struct{})}
	if p.Identity, err = identify(pid); err != nil {
		p.pidfd.Close()
		return nil, err
	}
	return p, nil
}
