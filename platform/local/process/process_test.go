package process

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func shell(t *testing.T, script string, s Spec) *Process {
	t.Helper()
	s.Path, s.Args = "/bin/sh", []string{"-c", script}
	p, err := Start(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(); _, _ = p.Wait(); p.Release() })
	return p
}

func TestExitIsTold(t *testing.T) {
	for script, want := range map[string]string{"exit 3": "exit code 3", "kill -9 $$": "killed by signal 9 (killed)", "true": "exit code 0"} {
		exit, err := shell(t, script, Spec{}).Wait()
		if err != nil || exit.String() != want {
			t.Errorf("%s: %s, %v, want %s", script, exit, err, want)
		}
	}
}

func TestCleanEnvironmentAndDescriptors(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := unix.FcntlInt(r.Fd(), unix.F_SETFD, 0); err != nil { // one that would leak
		t.Fatal(err)
	}
	p := shell(t, "for f in 0 1 2 3 4 5 6 7 8 9 10 251; do [ -e /proc/$$/fd/$f ] && echo $f; done; echo A=$A HOME=$HOME; umask", Spec{Env: []string{"A=b"}, FDs: []int{int(w.Fd())}, Output: out})
	if exit, err := p.Wait(); err != nil || exit.Code != 0 {
		t.Fatal(exit, err)
	}
	got, err := os.ReadFile(out.Name())
	if err != nil || string(got) != "0\n1\n2\n3\nA=b HOME=\n0077\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestGroupEndsWithItsLeader(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := shell(t, "sleep 1000 & exit 0", Spec{FDs: []int{int(w.Fd())}, Output: out})
	w.Close()
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	// The pipe ends when its last writer, the sleeper, has ended.
	_ = r.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := r.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a process of the group lives on")
	}
}

func TestAdopt(t *testing.T) {
	p := shell(t, "exec sleep 1000", Spec{})
	a, err := Adopt(p.Identity)
	if err != nil {
		t.Fatal(err)
	}
	other := p.Identity
	other.Start++
	if _, err := Adopt(other); !errors.Is(err, ErrGone) {
		t.Errorf("adopted another process with the same number: %v", err)
	}
	other = p.Identity
	other.Boot = "earlier"
	if _, err := Adopt(other); !errors.Is(err, ErrGone) {
		t.Errorf("adopted a process of another boot: %v", err)
	}
	if err := a.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if exit, err := a.Wait(); err != nil || exit.Known {
		t.Errorf("got %v, %v", exit, err)
	}
	a.Release()
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := Adopt(p.Identity); !errors.Is(err, ErrGone) {
		t.Errorf("adopted an ended process: %v", err)
	}
}

func TestReleaseEndsWaitAndNotTheProcess(t *testing.T) {
	p := shell(t, "exec sleep 1000", Spec{})
	a, err := Adopt(p.Identity)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := a.Wait(); done <- err }()
	a.Release()
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if err := syscall.Kill(p.Identity.PID, 0); err != nil {
		t.Errorf("the process ended: %v", err)
	}
}

func TestStartTellsWhatIsMissing(t *testing.T) {
	if _, err := Start(Spec{Path: "/nonexistent/program"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func FuzzStartTicks(f *testing.F) {
	f.Add([]byte("1 (a) b) S 1 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 77 1 1"))
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = startTicks(b) })
}
