package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/event"
)

// oneLimit is the time of a call beside what it takes two processes only to wake
// each other, which no channel between sleepers can be faster than.
func oneLimit(o options) benchmark {
	const name, goal = "channel-one-limit", "beside two processes that wake each other"
	const title = "Channel, 1 KiB, one in flight, and two processes that only wake each other: p50"
	return benchmark{name: name, title: title, goal: goal, group: "channel", measure: func(ctx context.Context) (Result, error) {
		wakes := caller{name: "two eventfds", flight: 1, open: func(context.Context) (*invoker, error) { return waker(o) }}
		res, err := compareCalls(ctx, o, channelSide("ok", 1, 1024, 1), wakes, func(f figures) float64 { return f.p50 * 1000 })
		res.Name, res.Title, res.Goal, res.Unit = name, title, goal, "us"
		res.Met = true
		return res, err
	}}
}

// waker is a process that answers a ring with a ring. A call sleeps in the
// kernel with its thread, past Go's scheduler.
func waker(o options) (*invoker, error) {
	to, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	from, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, errors.Join(err, unix.Close(to))
	}
	there, back := os.NewFile(uintptr(to), "to"), os.NewFile(uintptr(from), "from")
	cmd := exec.Command(filepath.Join(o.bin, "bare"), "-wake")
	cmd.ExtraFiles = []*os.File{there, back}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, there.Close(), back.Close())
	}
	ring := func(context.Context, *event.Event, *event.Response) error {
		one := uint64(1)
		p := uintptr(unsafe.Pointer(&one))
		_, _, wrote := unix.RawSyscall(unix.SYS_WRITE, uintptr(to), p, 8)
		_, _, read := unix.RawSyscall(unix.SYS_READ, uintptr(from), p, 8)
		goruntime.KeepAlive(&one)
		if wrote != 0 || read != 0 {
			return fmt.Errorf("eventfd: %w, %w", wrote, read)
		}
		return nil
	}
	end := func() error {
		killed := cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		return errors.Join(killed, there.Close(), back.Close())
	}
	return &invoker{ring, func() []int { return []int{cmd.Process.Pid} }, end, nil}, nil
}
