package tool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Hidden are the files and directories that compilers have no business in: the
// data directory, and where machines usually keep keys.
func Hidden(data string) []string {
	out := []string{"/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/ssh", "/etc/ssl/private", "/run/secrets"}
	if home, err := os.UserHomeDir(); err == nil {
		for _, name := range []string{".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".netrc", ".git-credentials", ".config/gcloud", ".config/myelin", ".local/share/myelin"} {
			out = append(out, filepath.Join(home, name))
		}
	}
	return append(out, data)
}

// hide makes this thread, and what it starts, read no file below hide but those
// below show, whoever owns them. What is made later beside a directory on the
// way to a hidden one is hidden too. A kernel that cannot do it does not: that is
// Linux before 5.13, or one without Landlock.
func hide(hidden, show []string) error {
	attr := unix.LandlockRulesetAttr{Handled_access_fs: unix.LANDLOCK_ACCESS_FS_READ_FILE}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr.Handled_access_fs), 0)
	if errno == unix.ENOSYS || errno == unix.EOPNOTSUPP {
		return nil
	}
	if errno != 0 {
		return fmt.Errorf("hide files: %w", errno)
	}
	defer unix.Close(int(fd))
	real := resolved(hidden)
	if err := allow(int(fd), "/", real); err != nil {
		return err
	}
	for _, path := range resolved(show) {
		if err := allow(int(fd), path, nil); err != nil {
			return err
		}
	}
	// With these, root may read what other processes have in memory whatever is hidden.
	for _, c := range []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SYS_PTRACE, unix.CAP_PERFMON} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("hide processes: %w", err)
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return fmt.Errorf("hide files: %w", errno)
	}
	return nil
}

// resolved are the paths without links, of those that there are.
func resolved(paths []string) (out []string) {
	for _, path := range paths {
		if path, err := filepath.Abs(path); err == nil {
			if path, err = filepath.EvalSymlinks(path); err == nil {
				out = append(out, path)
			}
		}
	}
	return out
}

// allow adds what is at path and below, but for what is hidden. Links are left
// out: what they lead to has a path of its own.
func allow(rules int, path string, hidden []string) error {
	if slices.Contains(hidden, path) {
		return nil
	}
	if !slices.ContainsFunc(hidden, func(h string) bool { return strings.HasPrefix(h, strings.TrimSuffix(path, "/")+"/") }) {
		return allowAll(rules, path)
	}
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("hide files: %w", err)
	}
	for _, e := range entries {
		if err := allow(rules, filepath.Join(path, e.Name()), hidden); err != nil {
			return err
		}
	}
	return nil
}

func allowAll(rules int, path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil //nolint:nilerr // it is gone, or not for this user anyway
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return err
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: unix.LANDLOCK_ACCESS_FS_READ_FILE, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 && errno != unix.EBADFD { // of a pipe, say, that has no place among the files
		return fmt.Errorf("hide files: %w", errno)
	}
	return nil
}
