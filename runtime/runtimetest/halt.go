package runtimetest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// Halt stops a process with SIGSTOP and returns when each of its threads stands
// still: the signal is sent before the last of them does.
func Halt(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(patience); time.Now().Before(until); <-time.After(time.Millisecond) {
		stats, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is a good one
		if len(stats) > 0 && !slices.ContainsFunc(stats, moves) {
			return
		}
	}
	t.Fatalf("process %d does not stand still", pid)
}

// moves says whether a thread, by its stat file, is not stopped.
func moves(stat string) bool {
	text, err := os.ReadFile(stat)
	if err != nil {
		return false // it ended
	}
	_, state, _ := bytes.Cut(text[bytes.LastIndexByte(text, ')')+1:], []byte(" "))
	return len(state) > 0 && state[0] != 'T'
}
