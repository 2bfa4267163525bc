package shm

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/runtime/shm/ring"
)

// Close asks the worker to end, kills it if it has not when ctx is done, and
// frees everything. No Invoke may run; the mapping stays while a view or a
// stream of a response is out.
func (in *Instance) Close(ctx context.Context) error {
	var err error
	in.once.Do(func() { err = in.close(ctx) })
	return err
}

func (in *Instance) close(ctx context.Context) error {
	in.closing.Store(true)
	state := uint32(goStop)
	if in.leaving.Load() {
		state |= goLeft
	}
	ring.Word(in.mem[offGoState:]).Store(state)
	in.workerSleep.Store(0)
	ring8(in.bellFD)
	var kill error
	select {
	case <-in.proc.Done():
	case <-ctx.Done():
		kill = in.proc.Kill()
		<-in.proc.Done()
	}
	in.tasks.Wait()
	for _, f := range in.outputs {
		_ = f.Close()
	}
	for _, s := range in.slots {
		select {
		case f := <-s.file:
			_ = f.Close()
		default:
		}
	}
	in.calls.close()
	return errors.Join(kill, in.control.Close(), in.wake.Close(), in.lone.bell.Close(), in.unref())
}

// unref gives up one claim on the mapping and, with the last, frees what views
// and streams need after Close.
func (in *Instance) unref() error {
	if in.refs.Add(-1) > 0 {
		return nil
	}
	return errors.Join(unix.Close(in.bellFD), unix.Munmap(in.mem))
}
