package exec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// parent is the control group below which processes get theirs.
type parent struct {
	dir     string
	unified bool // version 2
}

// leaf is where this process goes, in version 2, whose groups have either
// processes or children. The local platform may have put it there already.
const leaf = "processor"

// findParent finds the group of this process. root is where control groups are
// mounted, self lists this process's.
func findParent(root, self string) (*parent, error) {
	text, err := os.ReadFile(self)
	if err != nil {
		return nil, fmt.Errorf("find control group: %w", err)
	}
	_, err = os.Stat(filepath.Join(root, "cgroup.controllers"))
	unified := err == nil
	for line := range strings.Lines(string(text)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(part) != 3:
		case unified && part[0] == "0":
			dir := filepath.Join(root, part[2])
			if filepath.Base(dir) == leaf {
				dir = filepath.Dir(dir)
			}
			return &parent{dir, true}, nil
		case !unified && part[1] == "memory":
			return &parent{filepath.Join(root, "memory", part[2]), false}, nil
		}
	}
	return nil, errors.New("find control group: there is none for memory")
}

// try makes sure that groups can be made, and in version 2 makes room for them.
func (p *parent) try(limit int64) error {
	if p.unified {
		if err := p.step(); err != nil {
			return err
		}
	}
	dir := filepath.Join(p.dir, "try-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("create control group: %w", err)
	}
	return errors.Join(p.set(dir, limit), unix.Rmdir(dir))
}

// step moves this process into a leaf and turns the controller on beside it.
func (p *parent) step() error {
	on, err := os.ReadFile(filepath.Join(p.dir, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	if strings.Contains(" "+string(on), " memory") {
		return nil
	}
	dir := filepath.Join(p.dir, leaf)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("create control group: %w", err)
	}
	err = put(dir, "cgroup.procs", "0")
	if err == nil {
		if err = put(p.dir, "cgroup.subtree_control", "+memory"); err == nil {
			return nil
		}
		_ = put(p.dir, "cgroup.procs", "0") // back: others live in the group as well
	}
	_ = unix.Rmdir(dir)
	return err
}

func (p *parent) set(dir string, limit int64) error {
	n := strconv.FormatInt(limit, 10)
	if p.unified {
		_ = put(dir, "memory.swap.max", "0")  // absent without swap accounting
		_ = put(dir, "memory.oom.group", "1") // all that the worker started goes with it
		return put(dir, "memory.max", n)
	}
	if err := put(dir, "memory.limit_in_bytes", n); err != nil {
		return err
	}
	_ = put(dir, "memory.memsw.limit_in_bytes", n) // absent without swap accounting
	return nil
}

// group is the control group of one process and what that starts.
type group struct{ dir string }

// make makes the group of a process that runs, and puts it there.
func (p *parent) make(pid int, limit int64) (*group, error) {
	g := &group{filepath.Join(p.dir, "worker-"+strconv.Itoa(pid))}
	// One that is there is of a process that has gone.
	if err := os.Mkdir(g.dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("create control group: %w", err)
	}
	err := p.set(g.dir, limit)
	if err == nil {
		err = put(g.dir, "cgroup.procs", strconv.Itoa(pid))
	}
	if err != nil {
		return nil, errors.Join(err, unix.Rmdir(g.dir))
	}
	return g, nil
}

// end removes the group with all that is left in it, and tells whether the
// kernel killed somebody in it for want of memory.
func (g *group) end() bool {
	killed := g.killed()
	again := time.NewTicker(time.Millisecond) // until the kernel has taken the dead out
	defer again.Stop()
	for deadline := time.Now().Add(time.Second); ; <-again.C {
		text, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
		for _, pid := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(pid); err == nil && n > 1 {
				_ = syscall.Kill(n, syscall.SIGKILL)
			}
		}
		if err != nil || unix.Rmdir(g.dir) == nil || time.Now().After(deadline) {
			return killed
		}
	}
}

func (g *group) killed() bool {
	for _, file := range []string{"memory.oom_control", "memory.events"} {
		text, err := os.ReadFile(filepath.Join(g.dir, file))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
				return strings.TrimSpace(n) != "0"
			}
		}
	}
	return false
}

func put(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
