package exec

import (
	"log/slog"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/quantity"
)

// Memory limits what each of many processes may use: by a control group of
// each one's own, below that of this process, if this process may make one;
// else by the process's resource limit. The kernel ends what needs more than
// its group has; a resource limit makes allocation fail instead, and what comes
// of that is the program's business.
type Memory struct {
	limit int64
	log   *slog.Logger

	once   sync.Once
	parent *parent // nil: there are no groups
}

// NewMemory returns the limit of that many bytes, or nil for 0, which is none.
func NewMemory(limit int64, log *slog.Logger) *Memory {
	if limit <= 0 {
		return nil
	}
	return &Memory{limit: limit, log: log}
}

// WithoutGroups keeps to resource limits, as where no groups can be made. Call
// it before any process is started.
func (m *Memory) WithoutGroups() { m.once.Do(func() {}) }

// Groups tells whether processes get control groups of their own here.
func (m *Memory) Groups() bool {
	m.once.Do(m.find)
	return m.parent != nil
}

// String writes the limit as specs do.
func (m *Memory) String() string { return quantity.Size(m.limit).String() }

// hold is the limit in force for one process.
type hold struct {
	m     *Memory
	group *group // nil: the resource limit is in force
}

// hold puts a process that has just been started under the limit. What it used
// up to here is not counted.
func (m *Memory) hold(pid int) *hold {
	m.once.Do(m.find)
	h := &hold{m: m}
	if m.parent != nil {
		g, err := m.parent.make(pid, m.limit)
		if err == nil {
			h.group = g
			return h
		}
		m.log.Warn("a worker has no control group of its own; its memory is limited by a resource limit", "limit", m.String(), "error", err.Error())
	}
	limit := unix.Rlimit{Cur: uint64(m.limit), Max: uint64(m.limit)}
	if err := unix.Prlimit(pid, unix.RLIMIT_DATA, &limit, nil); err != nil {
		m.log.Warn("a worker's memory is not limited", "limit", m.String(), "error", err.Error())
	}
	return h
}

// find looks for the place of the groups, once.
func (m *Memory) find() {
	p, err := findParent("/sys/fs/cgroup", "/proc/self/cgroup")
	if err == nil {
		err = p.try(m.limit)
	}
	if err != nil {
		m.log.Info("workers get no control groups of their own; their memory is limited by resource limits", "limit", m.String(), "reason", err.Error())
		return
	}
	m.parent = p
}

// end releases the limit of a process that has ended and tells whether it ran
// out of memory.
func (h *hold) end(state *os.ProcessState) bool {
	killed := h.group != nil && h.group.end()
	return killed || h.gaveUp(state)
}

// gaveUp tells whether a program ended itself for want of memory, as V8 does.
// Nobody says why it did; but who aborts that close to its limit met it.
func (h *hold) gaveUp(state *os.ProcessState) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	usage, known := state.SysUsage().(*syscall.Rusage)
	if !ok || !known || !status.Signaled() {
		return false
	}
	switch status.Signal() {
	case syscall.SIGABRT, syscall.SIGTRAP, syscall.SIGILL, syscall.SIGSEGV, syscall.SIGBUS:
		return usage.Maxrss*1024 > h.m.limit/2
	}
	return false
}
