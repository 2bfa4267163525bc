package tool

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Trusted tells whether a program that a function's configuration names may be
// run by this process itself. If that is root's, nobody but root may be able to
// put another program in its place: a function could, and would be root then.
func Trusted(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, at := range []string{path, real} {
		for ; at != "/" && at != "."; at = filepath.Dir(at) {
			if err := rootsOwn(at); err != nil {
				return fmt.Errorf("%s cannot be used by a control plane that is root: %w", path, err)
			}
		}
	}
	return nil
}

// rootsOwn looks at a file or directory itself. In a sticky directory others
// cannot replace what is root's.
func rootsOwn(path string) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || st.Uid != 0 {
		return fmt.Errorf("%s is not root's", path)
	}
	if fi.Mode()&os.ModeSymlink == 0 && fi.Mode()&0o022 != 0 && fi.Mode()&os.ModeSticky == 0 {
		return fmt.Errorf("others may write to %s", path)
	}
	return nil
}
