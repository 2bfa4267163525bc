// Package cgroup puts processes under limits of memory and processor time, with
// control groups of version 1 or 2, whichever the machine has and lets this
// user write. It knows nothing of what the processes are.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Limits of a group; zero means none.
type Limits struct {
	Memory int64   // bytes
	CPU    float64 // cores
	// Divisible groups may be divided among children by their members.
	Divisible bool `json:",omitempty"`
}

// Group is a control group. It stays until Remove, also beyond this process.
type Group struct {
	memory string   // directory that counts memory, "" if none
	tasks  []string // version 1: files that take a thread
	dir    string   // version 2: directory
	place  string   // version 2: directory that members begin in, dir or its leaf
}

const (
	period = 100_000 // microseconds over which processor time is counted
	floor  = 1_000   // the smallest share the kernel takes
)

// Open makes the group called name, a relative path, or opens what a former
// life made of it, and sets its limits. root is where control groups are
// mounted, usually /sys/fs/cgroup.
func Open(root, name string, l Limits) (*Group, error) {
	if name == "" || !filepath.IsLocal(name) {
		return nil, fmt.Errorf("open control group %q: not a name", name)
	}
	open := openV1
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		open = openV2
	}
	g, err := open(root, name, l)
	if err != nil {
		return nil, fmt.Errorf("open control group %s: %w", name, err)
	}
	return g, nil
}

func openV1(root, name string, l Limits) (*Group, error) {
	g := &Group{}
	if l.Memory > 0 || l.Divisible {
		g.memory = filepath.Join(root, "memory", name)
		values := map[string]int64{}
		if l.Memory > 0 {
			values["memory.limit_in_bytes"] = l.Memory
		}
		if err := g.makeV1(g.memory, values); err != nil {
			return nil, err
		}
	}
	if l.Memory > 0 {
		// Without a limit on both, what exceeds memory goes to swap. Machines
		// without swap accounting do not have the file.
		_ = write(g.memory, "memory.memsw.limit_in_bytes", strconv.FormatInt(l.Memory, 10))
	}
	if l.CPU > 0 {
		dir := filepath.Join(root, "cpu", name)
		if err := g.makeV1(dir, map[string]int64{"cpu.cfs_period_us": period, "cpu.cfs_quota_us": share(l.CPU)}); err != nil {
			return nil, errors.Join(err, g.Remove())
		}
	}
	return g, nil
}

func share(cores float64) int64 { return max(floor, int64(cores*period)) }

func (g *Group) makeV1(dir string, values map[string]int64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for file, v := range values {
		if err := write(dir, file, strconv.FormatInt(v, 10)); err != nil {
			return err
		}
	}
	g.tasks = append(g.tasks, filepath.Join(dir, "tasks"))
	return nil
}

func openV2(root, name string, l Limits) (*Group, error) {
	g := &Group{dir: filepath.Join(root, name)}
	g.place = g.dir
	if err := os.MkdirAll(g.dir, 0o755); err != nil {
		return nil, err
	}
	if err := delegate(root, name); err != nil {
		return nil, err
	}
	if l.Memory > 0 {
		g.memory = g.dir
		if err := write(g.dir, "memory.max", strconv.FormatInt(l.Memory, 10)); err != nil {
			return nil, err
		}
		_ = write(g.dir, "memory.swap.max", "0") // absent without swap accounting
	}
	if l.CPU > 0 {
		if err := write(g.dir, "cpu.max", fmt.Sprintf("%d %d", share(l.CPU), period)); err != nil {
			return nil, err
		}
	}
	if l.Divisible {
		return g, g.divide()
	}
	return g, nil
}

// leaf is where members of a divisible group begin: a group of version 2 has
// either members or children. Package runtime/exec knows it by this name.
const leaf = "processor"

func (g *Group) divide() error {
	g.place = filepath.Join(g.dir, leaf)
	if err := os.Mkdir(g.place, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return write(g.dir, "cgroup.subtree_control", "+memory")
}

// delegate turns the controllers on in every directory above the group.
func delegate(root, name string) error {
	dir := root
	for _, part := range strings.Split(filepath.Dir(name), "/") {
		if err := write(dir, "cgroup.subtree_control", "+memory +cpu"); err != nil {
			return err
		}
		if part == "." {
			return nil
		}
		dir = filepath.Join(dir, part)
	}
	return write(dir, "cgroup.subtree_control", "+memory +cpu")
}

func write(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// Place makes what the thread tid forks, or what attr starts, a member.
func (g *Group) Place(tid int, attr *syscall.SysProcAttr) error {
	for _, file := range g.tasks {
		if err := write(filepath.Dir(file), filepath.Base(file), strconv.Itoa(tid)); err != nil {
			return fmt.Errorf("join control group: %w", err)
		}
	}
	if g.dir == "" {
		return nil
	}
	fd, err := unix.Open(g.place, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("join control group: %w", err)
	}
	attr.UseCgroupFD, attr.CgroupFD = true, fd
	return nil
}

// Placed releases what Place took, once the process has been started.
func (g *Group) Placed(attr *syscall.SysProcAttr) {
	if attr.UseCgroupFD {
		unix.Close(attr.CgroupFD)
		attr.UseCgroupFD = false
	}
}

// OOMKills says how many processes of the group the kernel has killed for
// want of memory.
func (g *Group) OOMKills() int {
	if g == nil || g.memory == "" {
		return 0
	}
	for _, file := range []string{"memory.oom_control", "memory.events"} {
		text, err := os.ReadFile(filepath.Join(g.memory, file))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if n, ok := strings.CutPrefix(line, "oom_kill "); ok {
				kills, _ := strconv.Atoi(strings.TrimSpace(n))
				return kills
			}
		}
	}
	return 0
}

// Give lets a user make groups below this one and put its own processes there;
// the limits of the group itself stay out of its reach.
func (g *Group) Give(uid, gid int) error {
	dir := g.memory
	if g.dir != "" {
		dir = g.dir
	}
	var errs []error
	for _, file := range []string{"", "tasks", "cgroup.procs", "cgroup.subtree_control", leaf, leaf + "/cgroup.procs"} {
		if err := os.Chown(filepath.Join(dir, file), uid, gid); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("give control group away: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Remove removes the group and those that its members made below it. None may
// have members left.
func (g *Group) Remove() error {
	dirs := []string{}
	for _, file := range g.tasks {
		dirs = append(dirs, filepath.Dir(file))
	}
	if g.dir != "" {
		dirs = append(dirs, g.dir)
	}
	var errs []error
	for _, dir := range dirs {
		below, _ := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs"))
		for _, file := range below {
			_ = unix.Rmdir(filepath.Dir(file)) // what cannot go keeps dir, which is told
		}
		if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("remove control group %s: %w", dir, err))
		}
	}
	return errors.Join(errs...)
}
