// Package tool runs the programs that builds need (go, git, python) without a
// shell, in a process group of their own that ends with the context. It knows
// no program in particular.
package tool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is one run of a program.
type Command struct {
	Path string
	Args []string
	Dir  string
	Env  []string  // all of the environment; nil: this process's
	Log  io.Writer // gets each line as it is printed; nil: nobody
	// Hide are files and directories that the program, and what it starts, may
	// not read below; but for what Show names. See [Hidden].
	Hide, Show []string

	user uint32 // 0: this process's; see [Stranger]
}

// keep is how much of a program's output is kept for an error.
const keep = 256 << 10

// Output is what a program printed, standard output alone and both together,
// each cut to its last part if it is very long.
type Output struct {
	Stdout string
	All    string
}

// Failed is the error of a program that ran and did not succeed.
type Failed struct {
	Program string
	Output  string
	Err     error
}

func (e *Failed) Error() string { return e.Program + ": " + e.Err.Error() }

// Unwrap returns the error of the process.
func (e *Failed) Unwrap() error { return e.Err }

// Run runs c to its end. When ctx ends, the program and all that it started in
// its process group are killed. The error is a [*Failed], the context's, or
// says why the program could not be started; a full disk is syscall.ENOSPC.
func Run(ctx context.Context, c Command) (Output, error) {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Dir, cmd.Env = c.Dir, c.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	all := &record{log: c.Log}
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&stdout, all), all
	err := start(cmd, c)
	if err == nil {
		err = cmd.Wait()
	}
	all.finish()
	out := Output{Stdout: stdout.String(), All: all.kept.String()}
	name := filepath.Base(c.Path)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return out, fmt.Errorf("%s: stopped: %w", name, context.Cause(ctx))
	case strings.Contains(strings.ToLower(out.All), "no space left on device"):
		return out, fmt.Errorf("%s: %w", name, syscall.ENOSPC)
	case errors.As(err, &exit):
		return out, &Failed{Program: name, Output: strings.TrimSpace(out.All), Err: err}
	}
	return out, fmt.Errorf("run %s: %w", name, err)
}

// start starts cmd as c says. Another user cannot become yet another one, and who
// may not see something cannot see it by a program that may.
func start(cmd *exec.Cmd, c Command) error {
	if c.user == 0 && len(c.Hide) == 0 {
		return cmd.Start()
	}
	if c.user != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: c.user, Gid: c.user}
	}
	started := make(chan error)
	go func() {
		// What is set here is this thread's, and inherited by the program. The
		// thread ends with the goroutine, because it stays locked to it.
		runtime.LockOSThread()
		err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		if err == nil && len(c.Hide) > 0 {
			err = hide(c.Hide, c.Show)
		}
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}()
	return <-started
}

// Tail returns the last n lines of a program's output.
func Tail(output string, n int) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// record keeps the end of what is written and passes whole lines on.
type record struct {
	mu   sync.Mutex
	log  io.Writer
	line []byte
	kept bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept.Write(p)
	if over := r.kept.Len() - keep; over > 0 {
		r.kept.Next(over)
	}
	if r.log == nil {
		return len(p), nil
	}
	r.line = append(r.line, p...)
	if i := bytes.LastIndexByte(r.line, '\n'); i >= 0 {
		_, _ = r.log.Write(r.line[:i+1]) // progress: nobody fails for it
		r.line = append(r.line[:0], r.line[i+1:]...)
	}
	return len(p), nil
}

func (r *record) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.line) > 0 {
		_, _ = r.log.Write(append(r.line, '\n'))
		r.line = nil
	}
}
