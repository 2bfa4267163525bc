package supervise

import (
	"context"
	"os"
	"path/filepath"
	"syscall"

	"github.com/myelin-run/myelin/platform/local/process"
)

// Launcher starts the processes of a group's replicas, and keeps what is known
// about them where a later supervisor finds it. The default starts processes of
// this machine, and keeps records in the group's directory. Its methods may be
// called from many goroutines.
type Launcher interface {
	// Start starts a process for a replica whose record is r, in its place, and
	// keeps the record with the identity of the process. On error nothing is left of it.
	Start(r Record, s process.Spec) (Process, error)
	// Keep notes that a replica, which runs, became what r says.
	Keep(r Record) error
	// Kept returns the records of all replicas that were not forgotten. What
	// cannot be read is told beside those that can.
	Kept(ctx context.Context) ([]Record, error)
	// Adopt finds the process of a record; [process.ErrGone] if it has ended.
	Adopt(r Record) (Process, error)
	// Forget forgets a replica whose process has ended, and what is left of it
	// but for its place.
	Forget(name string)
}

// Process is a process that was started or found.
type Process interface {
	// ID names it for ever.
	ID() process.Identity
	// Self is the number by which it knows itself.
	Self() int
	// Wait blocks until it has ended and says how; it fails after Release.
	Wait() (process.Exit, error)
	// Signal sends a signal, now or once that is possible, and to nobody if it has
	// ended.
	Signal(sig syscall.Signal) error
	// Kill ends it, and all that belongs to it, at once.
	Kill()
	// Release lets go of it, and it goes on.
	Release()
}

// processes launches processes of this machine. The records lie beside the
// replicas' directories and not in them: those belong to the replicas, which could
// name any process there.
type processes struct{ dir string }

// Processes launches processes of this machine, and keeps their records in dir.
func Processes(dir string) Launcher { return processes{dir} }

// own is a process of this machine.
type own struct{ *process.Process }

func (p own) ID() process.Identity { return p.Identity }
func (p own) Self() int            { return p.Identity.PID }

func (l processes) Start(r Record, s process.Spec) (Process, error) {
	p, err := process.Start(s)
	if err != nil {
		return nil, err
	}
	r.Identity = p.Identity
	if err := r.save(l.dir); err != nil {
		p.Kill()
		_, _ = p.Wait()
		p.Release()
		return nil, err
	}
	return own{p}, nil
}

func (l processes) Keep(r Record) error { return r.save(l.dir) }

func (l processes) Kept(context.Context) ([]Record, error) { return loadRecords(l.dir) }

func (l processes) Adopt(r Record) (Process, error) {
	p, err := process.Adopt(r.Identity)
	if err != nil {
		return nil, err
	}
	return own{p}, nil
}

func (l processes) Forget(name string) {
	_ = os.Remove(filepath.Join(l.dir, name+".json"))
}
