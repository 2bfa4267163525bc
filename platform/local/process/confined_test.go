package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Where threads may not have an umask of their own, as in containers, what is started
// has its umask all the same, and the starter has its own back.
func TestStartConfined(t *testing.T) {
	const confined = "PROCESS_TEST_CONFINED"
	if os.Getenv(confined) == "" {
		c := exec.Command(os.Args[0], "-test.run", "^TestStartConfined$", "-test.v")
		c.Env = append(os.Environ(), confined+"=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := forbid(unix.SYS_UNSHARE); err != nil {
		t.Fatal(err)
	}
	unix.Umask(0o022)
	said := filepath.Join(t.TempDir(), "umask")
	out, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if exit, err := shell(t, "umask", Spec{Output: out}).Wait(); err != nil || exit.Code != 0 {
		t.Fatal(exit, err)
	}
	if text, err := os.ReadFile(said); err != nil || strings.TrimSpace(string(text)) != "0077" {
		t.Errorf("its umask is %q, %v", text, err)
	}
	if mine := unix.Umask(0o022); mine != 0o022 {
		t.Errorf("the starter's umask is %03o", mine)
	}
}

// forbid has a system call of this whole process fail with EPERM for ever.
func forbid(call uint32) error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the call's number
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: call},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	runtime.LockOSThread() // the first call is about this thread, and the second needs it
	defer runtime.UnlockOSThread()
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, errno := unix.Syscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("give up privileges: %w", errno)
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); errno != 0 {
		return fmt.Errorf("forbid a system call: %w", errno)
	}
	return nil
}
