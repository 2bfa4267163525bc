package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Boot names the machine's present boot.
func Boot() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func identify(pid int) (Identity, error) {
	boot, err := Boot()
	if err != nil {
		return Identity{}, err
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if os.IsNotExist(err) {
		return Identity{}, ErrGone
	}
	if err != nil {
		return Identity{}, fmt.Errorf("read start of process %d: %w", pid, err)
	}
	start, err := startTicks(stat)
	if err != nil {
		return Identity{}, fmt.Errorf("read start of process %d: %w", pid, err)
	}
	return Identity{PID: pid, Start: start, Boot: boot}, nil
}

// startTicks is the 22nd field of a stat line. The second, the program's name,
// stands in brackets and may hold anything, so counting starts after the last.
func startTicks(stat []byte) (uint64, error) {
	_, after, ok := cutLast(stat, ')')
	fields := bytes.Fields(after)
	if !ok || len(fields) < 20 {
		return 0, fmt.Errorf("stat line %q is not understood", stat)
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

func cutLast(b []byte, sep byte) (before, after []byte, found bool) {
	if i := bytes.LastIndexByte(b, sep); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}
