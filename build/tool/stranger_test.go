package tool

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// stranger makes one in a data directory that every user may pass through.
func stranger(t *testing.T) (s *Stranger, data string) {
	t.Helper()
	data, err := os.MkdirTemp("", "mydata")
	if err == nil {
		err = os.Chmod(data, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	if s, err = NewStranger(data); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.End(); err != nil {
			t.Error(err)
		}
	})
	return s, data
}

// What a package runs has its own directory, and no variables that are not for it.
func TestStrangerRuns(t *testing.T) {
	t.Setenv("CLOUD_SECRET", "hidden")
	t.Setenv("PIP_INDEX_URL", "https://example.org/simple")
	s, _ := stranger(t)
	own := filepath.Join(s.Dir, "own")
	if err := os.WriteFile(own, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := sh(`echo "$CLOUD_SECRET:$PIP_INDEX_URL"; cat own; echo after > own; mkdir -p a/b; echo > a/b/c; ln -s /etc/shadow a/link`)
	c.Dir = s.Dir
	out, err := s.Run(t.Context(), c)
	if err != nil || out.All != ":https://example.org/simple\nbefore" {
		t.Error(out, err)
	}
	for _, path := range []string{own, filepath.Join(s.Dir, "a", "b", "c"), filepath.Join(s.Dir, "a", "link")} {
		fi, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st := fi.Sys().(*syscall.Stat_t); int(st.Uid) != os.Geteuid() {
			t.Errorf("%s is user %d's afterwards", path, st.Uid)
		}
	}
}

// It gets at neither keys nor another build nor this process.
func TestStrangerGetsAtNothingElse(t *testing.T) {
	s, data := stranger(t)
	if s.user == 0 {
		t.Log("this is not root: who runs as the same user may do what it may")
		return
	}
	other, err := NewStranger(data)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := other.End(); err != nil {
			t.Error(err)
		}
	}()
	key, theirs := filepath.Join(data, "store.keys"), filepath.Join(other.Dir, "sources")
	for _, path := range []string{key, theirs} {
		if err := os.WriteFile(path, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, attempt := range []string{
		`cat "$1"`, `ln "$1" here && chmod 644 here`, `ls "$(dirname "$1")"`, `echo x > "$(dirname "$1")/x"`, `cat "$2"`, `ls "$(dirname "$2")"`,
		`tr '\0' '\n' < /proc/$3/environ`, `ls -l /proc/$3/root/`, `kill -0 $3`, `cat /etc/shadow`, `test "$(id -G)" != "$(id -u)"`,
		`grep -q 'NoNewPrivs:.*0' /proc/self/status`, `su -c id root < /dev/null`,
	} {
		c := sh(attempt, key, theirs, strconv.Itoa(os.Getpid()))
		c.Dir = s.Dir
		if out, err := s.Run(t.Context(), c); err == nil {
			t.Errorf("%s: %s", attempt, out.All)
		}
	}
}

// Whatever it leaves running ends with it.
func TestStrangerLeavesNothingRunning(t *testing.T) {
	s, _ := stranger(t)
	if s.user == 0 {
		t.Log("this is not root: what leaves its process group cannot be told from the user's own")
		return
	}
	c := sh("setsid sleep 1000 >/dev/null 2>&1 & echo started")
	if out, err := s.Run(t.Context(), c); err != nil || out.Stdout != "started\n" {
		t.Fatal(out, err)
	}
	if some, err := runs(s.user); some || err != nil {
		t.Errorf("something runs on: %t, %v", some, err)
	}
}

// A compiler reads no file that is hidden, whoever it runs as.
func TestHide(t *testing.T) {
	data := t.TempDir()
	key, shown := filepath.Join(data, "store.keys"), filepath.Join(data, "work", "main.c")
	if err := errors.Join(os.Mkdir(filepath.Join(data, "work"), 0o755), os.WriteFile(key, []byte("secret"), 0o600), os.WriteFile(shown, []byte("int"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno != 0 {
		t.Logf("this kernel hides nothing: %v", errno)
		return
	} else if fd < 1 {
		t.Fatalf("version %d of Landlock", fd)
	}
	c := sh(`cat "$1"; cat "$2"; cat /proc/$$/root"$2"; tr '\0' '\n' < /proc/$PPID/environ; true`, shown, key)
	c.Hide, c.Show = Hidden(data), []string{filepath.Dir(shown)}
	t.Setenv("IN_THE_ENVIRONMENT", "secret")
	c.Env = []string{"PATH=" + os.Getenv("PATH")}
	out, err := Run(t.Context(), c)
	if err != nil || out.Stdout != "int" || strings.Contains(out.All, "secret") {
		t.Error(out.All, err)
	}
	if text, err := os.ReadFile(key); err != nil || string(text) != "secret" {
		t.Errorf("this process itself reads %q, %v", text, err)
	}
}

// What others could replace is not run by root.
func TestTrusted(t *testing.T) {
	if err := Trusted("/bin/sh"); err != nil {
		t.Error(err)
	}
	mine := filepath.Join(t.TempDir(), "python3")
	if err := os.WriteFile(mine, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Trusted(mine); err != nil {
		t.Error(err)
	}
	if os.Geteuid() != 0 {
		return
	}
	for what, spoil := range map[string]func() error{
		"its owner":             func() error { return os.Chown(mine, 60000, 60000) },
		"its mode":              func() error { return errors.Join(os.Chown(mine, 0, 0), os.Chmod(mine, 0o777)) },
		"that of its directory": func() error { return errors.Join(os.Chmod(mine, 0o755), os.Chmod(filepath.Dir(mine), 0o777)) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if Trusted(mine) == nil {
			t.Errorf("%s is no reason to refuse it", what)
		}
	}
}
