package tool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// killFor bounds how long a user's processes are killed for: some fork faster
// than they die.
const killFor = 30 * time.Second

// killAll kills all processes of a user, and returns when there are none.
func killAll(user uint32) error {
	for end := time.Now().Add(killFor); ; {
		some, err := runs(user)
		if err != nil || !some {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("kill what user %d left running: it goes on after %v", user, killFor)
		}
		// Only the user itself may say "all of mine" to the kernel, in one step.
		cmd := exec.Command("/bin/sh", "-c", "kill -9 -1")
		cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			return fmt.Errorf("kill what user %d left running: %w", user, err)
		}
	}
}

// runs tells whether a user has a process that is not a zombie.
func runs(user uint32) (bool, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return false, err
	}
	for _, dir := range dirs {
		fi, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("look at processes: %w", err)
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid == user && !zombie(dir) {
			return true, nil
		}
	}
	return false, nil
}

// zombie tells whether a process has ended, and its parent has not heard of it.
func zombie(dir string) bool {
	_, err := os.Readlink(filepath.Join(dir, "exe"))
	return err != nil // has no program, or is gone
}
