package shm

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/exec"
)

// Options says how to start a worker. Its control socket is descriptor 3.
type Options struct {
	Path string
	Args []string
	Env  []string
	Dir  string

	Limits Limits
	// AsyncDepth is how many events a worker with an asynchronous handler has
	// in flight; default 64.
	AsyncDepth int

	// Spin says that the worker spins, and so shall its callers: see [Spinning].
	Spin bool
	// Stay says that who did a call of the worker waits awake for its next one,
	// where that comes soon: see [Spinning.Calls].
	Stay bool
	// Memory is what the worker may use at most; nil: as much as there is.
	Memory *exec.Memory

	Log         *slog.Logger   // the processor's
	FunctionLog *slog.Logger   // what the function logs and prints
	Calls       runtime.Caller // does what the function asks for; nil: it may ask for nothing
}

// Start runs a worker and returns when it is ready to be invoked. If it cannot
// be, or ctx is done first, the worker is ended and the error says why.
func Start(ctx context.Context, o Options) (*Instance, error) {
	p, err := Begin(o)
	if err != nil {
		return nil, err
	}
	return p.Finish(ctx)
}

// Pending is a worker whose process runs and has not been greeted: it loads the
// function when it is. Its life: [Begin]; Alive; one of Finish and Close.
type Pending struct {
	in      *Instance
	o       Options
	slots   int
	mapping int
	bells   bells
}

// Begin starts a worker's process.
func Begin(o Options) (*Pending, error) {
	limits := o.Limits.withDefaults()
	if err := limits.Check(); err != nil {
		return nil, err
	}
	in := &Instance{log: o.Log, funcLog: o.FunctionLog, ready: make(chan readiness, 1), broken: make(chan struct{}), memory: o.Memory}
	in.calls.begin(o.Calls)
	in.always.Store(true) // a function may call while it is loaded
	in.depth.now.Store(1)
	p := &Pending{in: in, o: o, slots: limits.Slots}
	if err := p.start(limits); err != nil {
		in.calls.cancel()
		return nil, err
	}
	return p, nil
}

// Alive says whether the process still runs.
func (p *Pending) Alive() bool {
	select {
	case <-p.in.proc.Done():
		return false
	default:
		return true
	}
}

// Close ends the worker.
func (p *Pending) Close() {
	_ = unix.Close(p.mapping)
	p.kill()
}

func (p *Pending) kill() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.in.Close(ended)
}

// Finish greets the worker and returns when it is ready to be invoked; see
// [Start].
func (p *Pending) Finish(ctx context.Context) (*Instance, error) {
	in, o := p.in, p.o
	if err := in.sendHello(p.mapping, p.bells); err != nil {
		// The worker died at once: the reader of the control socket says so.
		in.log.Debug("worker ended early", "error", err)
	}
	_ = unix.Close(p.mapping)
	var r readiness
	select {
	case r = <-in.ready:
	case <-ctx.Done():
		r.err = fmt.Errorf("worker was not ready in time: %w", ctx.Err())
	}
	if r.err != nil {
		p.kill()
		return nil, r.err
	}
	in.loading = r.loading
	in.always.Store(r.flags&readyNative == 0)
	in.claims = r.flags&readyClaims != 0
	in.spin.on = o.Spin && r.flags&readyNative != 0
	in.stay.on.Store(o.Stay && r.flags&readyNative != 0)
	in.lone.on = !in.spin.on && r.flags&(readyNative|readyBells) == readyNative|readyBells
	in.batches = r.flags&readyBatches != 0
	in.drains = r.flags&readyDrains != 0
	in.leaves = r.flags&readyLeaves != 0
	if r.flags&readyAsync != 0 {
		if o.AsyncDepth == 0 {
			o.AsyncDepth = maxDepth
		}
		in.depth.fix(min(o.AsyncDepth, p.slots))
	}
	in.opened.Store(true)
	in.log.Debug("worker is ready", "pid", in.Pid(), "worker", r.about)
	return in, nil
}

// start makes the mapping and the process; on error nothing is left.
func (p *Pending) start(limits Limits) (err error) {
	in := p.in
	var undo cleanup
	defer func() {
		if err != nil {
			undo.run()
		}
	}()
	y := newLayout(limits)
	mapping, mem, err := newMapping(y.size)
	if err != nil {
		return err
	}
	undo.add(func() { _ = unix.Close(mapping) })
	undo.add(func() { _ = unix.Munmap(mem) })
	in.attach(y, mem)
	in.calls.heed(mem)
	undo.add(in.calls.unheed)
	if p.bells, err = in.eventfds(&undo); err != nil {
		return err
	}
	if err := in.spawn(p.o, &undo); err != nil {
		return err
	}
	p.mapping = mapping
	in.tasks.Add(3)
	go in.reap()
	go in.read()
	go in.listen()
	return nil
}

// newMapping returns a sealed memory file and a view of it. The seals keep a
// worker from cutting it short under the processor's feet.
func newMapping(size int64) (int, []byte, error) {
	fd, err := unix.MemfdCreate("myelin", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, nil, fmt.Errorf("create shared memory: %w", err)
	}
	err = unix.Ftruncate(fd, size)
	if err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	var mem []byte
	if err == nil {
		mem, err = unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, nil, fmt.Errorf("prepare shared memory of %d bytes: %w", size, err)
	}
	return fd, mem, nil
}

// bells are the processor's eventfds, as the worker is to get them.
type bells struct{ first, second int }

// eventfds makes the bells and returns the processor's.
func (in *Instance) eventfds(undo *cleanup) (b bells, err error) {
	if b.first, in.wake, in.wakeRaw, err = newBell("myelin-wake", undo); err != nil {
		return b, err
	}
	if b.second, in.lone.bell, in.lone.raw, err = newBell("myelin-lone", undo); err != nil {
		return b, err
	}
	in.lone.look = in.lookAlone
	if in.bellFD, err = unix.Eventfd(0, unix.EFD_CLOEXEC); err != nil {
		return b, fmt.Errorf("create eventfd: %w", err)
	}
	undo.add(func() { _ = unix.Close(in.bellFD) })
	return b, nil
}

// newBell makes an eventfd that Go's poller watches.
func newBell(name string, undo *cleanup) (int, *os.File, syscall.RawConn, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return -1, nil, nil, fmt.Errorf("create eventfd: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	undo.add(func() { _ = f.Close() })
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, nil, nil, fmt.Errorf("watch eventfd: %w", err)
	}
	return fd, f, raw, nil
}

// spawn starts the process with its control socket and output pipes.
func (in *Instance) spawn(o Options, undo *cleanup) error {
	ours, theirs, err := controlPair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	in.control = ours
	undo.add(func() { _ = ours.Close() })
	outR, outW, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("create pipe: %w", err)
	}
	defer outW.Close()
	undo.add(func() { _ = outR.Close() })
	errR, errW, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("create pipe: %w", err)
	}
	defer errW.Close()
	undo.add(func() { _ = errR.Close() })
	in.proc, err = exec.Start(exec.Spec{Path: o.Path, Args: o.Args, Env: o.Env, Dir: o.Dir,
		Files: []*os.File{theirs}, Stdout: outW, Stderr: errW, Memory: o.Memory})
	if err != nil {
		return err
	}
	in.outputs = []*os.File{outR, errR}
	in.tasks.Add(2)
	go in.copyLines(outR, slog.LevelInfo)
	go in.copyLines(errR, slog.LevelError)
	return nil
}

func (in *Instance) copyLines(r *os.File, level slog.Level) {
	defer in.tasks.Done()
	exec.Lines(r, func(line string) { in.logLine(level, line) })
}

// controlPair makes a socket pair that keeps message boundaries.
func controlPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("create control socket: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "control")
	ours := os.NewFile(uintptr(fds[0]), "control")
	defer ours.Close()
	conn, err := net.FileConn(ours) // a duplicate
	if err != nil {
		_ = theirs.Close()
		return nil, nil, fmt.Errorf("watch control socket: %w", err)
	}
	return conn.(*net.UnixConn), theirs, nil
}

// cleanup undoes, in reverse, what a start did.
type cleanup []func()

func (c *cleanup) add(f func()) { *c = append(*c, f) }

func (c *cleanup) run() {
	for i := len(*c) - 1; i >= 0; i-- {
		(*c)[i]()
	}
}
