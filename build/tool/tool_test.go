package tool

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func sh(script string, args ...string) Command {
	return Command{Path: "/bin/sh", Args: append([]string{"-c", script, "sh"}, args...)}
}

func TestRun(t *testing.T) {
	var log bytes.Buffer
	c := sh("echo err >&2; exec 2>&-; echo out; printf last")
	c.Log = &log
	out, err := Run(t.Context(), c)
	if err != nil || out.Stdout != "out\nlast" || !strings.Contains(out.All, "err\n") || !strings.Contains(log.String(), "err\n") || !strings.Contains(log.String(), "last") {
		t.Errorf("%q %q %v", out, log.String(), err)
	}
	_, err = Run(t.Context(), sh("echo bad; exit 3"))
	var failed *Failed
	if !errors.As(err, &failed) || failed.Output != "bad" || !strings.Contains(err.Error(), "exit status 3") {
		t.Error(err)
	}
	_, err = Run(t.Context(), sh("echo 'x: No space left on device' >&2; exit 1"))
	if !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if _, err = Run(t.Context(), Command{Path: "/no/such/program"}); err == nil || errors.As(err, &failed) {
		t.Error(err)
	}
	out, err = Run(t.Context(), sh("head -c 1000000 /dev/zero | tr '\\0' x; echo end"))
	if err != nil || len(out.All) != keep || Tail(out.All, 1)[keep-4:] != "end" {
		t.Error(len(out.All), err)
	}
}

// The end of the context kills the program and what it started.
func TestRunKillsTheGroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	late := errors.New("too late")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	ended := make(chan error, 1)
	go func() {
		_, err := Run(ctx, sh(`sleep 600 & echo $! > "$1.tmp" && mv "$1.tmp" "$1"; wait`, file))
		ended <- err
	}()
	pid := 0
	await(t, func() bool {
		text, err := os.ReadFile(file)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		return err == nil
	})
	cancel(late)
	if err := <-ended; !errors.Is(err, late) {
		t.Error(err)
	}
	await(t, func() bool { return gone(pid) })
}

// gone tells whether a process has ended, reaped or not.
func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(state, "Z")
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it does not come")
		}
	}
}
