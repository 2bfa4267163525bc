package shm

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"os"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/exec"
	"github.com/myelin-run/myelin/runtime/shm/ring"
	"github.com/myelin-run/myelin/runtime/shm/wire"
)

// Instance is one worker process and its channel. It implements
// runtime.Instance, Concurrent, Killer, Apart, Broken, Recaller, Batcher and
// Submitter.
// Its life: [Start]; any number of Invoke from any number of goroutines, and
// of events submitted; Close, once none runs. When
// the process dies, for whatever reason, every waiting Invoke returns and
// Broken is closed; the mapping stays until Close, because an Invoke may still
// be copying an answer out of it.
type Instance struct {
	layout
	mem     []byte
	wake    *os.File // the worker rings it; never drained, the poller is edge-triggered
	wakeRaw syscall.RawConn
	bellFD  int // rung for the worker; blocking in the worker, written without waiting here
	control *net.UnixConn
	proc    *exec.Process
	memory  *exec.Memory // its limit, nil if it has none
	outputs []*os.File
	loading time.Duration
	depth   depth
	always  atomic.Bool  // ring for every entry: the worker cannot issue the fence that its sleep flag needs, or has not said that it can
	claims  bool         // requests can be called back
	ringing atomic.Bool  // a publisher is about to ring for all that publish meanwhile
	batches bool         // the worker takes batches
	drains  bool         // the worker can be told to drain
	leaves  bool         // the function has hooks for the drain
	left    sync.Once    // it was
	leaving atomic.Bool  // it is being, or was
	unrung  atomic.Int32 // requests published since the bell was last rung
	stalled atomic.Bool  // events were called back, and nothing was answered since
	log     *slog.Logger
	funcLog *slog.Logger
	ready   chan readiness // answered once by the control reader
	broken  chan struct{}
	tasks   sync.WaitGroup

	begun, goSleep, workerSleep *atomic.Uint32
	violation                   atomic.Pointer[string]
	opened, closing             atomic.Bool

	reading   sync.Mutex // held by whoever is the reader: its goroutine, a caller that spins or is alone, or who did a call
	spin      spin
	lone      lone
	stay      stay
	responses ring.Ring // the reader's only
	keeps     int       // slots that the worker retains; the reader's only

	refs   atomic.Int32 // who needs the mapping: the instance, views, streams
	pinned atomic.Int32 // slots that are retained or lent, so that their blocks may stay for long
	lent   atomic.Int32 // slots whose response is lent to the caller

	mu       sync.Mutex
	room     sync.Cond // signalled when a slot or a block comes free, and at the end
	wide     int       // callers that wait for several slots at once
	dead     bool
	requests ring.Ring
	free     []*slot // last in, first out: the hottest memory is used first
	arena    *buddy
	era      uint32  // number of recalls
	onLoan   int64   // bytes of the arena that are lent for bodies to come
	loans    []*loan // to be used again
	slots    []*slot
	calls    calls

	// sendMu makes a file on the control socket and its entry in the ring one
	// step, so that the worker meets both in the same order.
	sendMu sync.Mutex
	once   sync.Once
}

// slot is one place in flight: the processor's side of it.
type slot struct {
	index    uint32
	gen      uint32
	holds    atomic.Int32    // who still needs it; the last one frees it
	pos      uint32          // of its request in the ring
	lead     uint32          // of the first request of its batch, or its own: where the claim word is
	era      uint32          // of its request; guarded by Instance.mu
	recalled uint32          // the generation called back and not yet passed over; guarded by Instance.mu
	armed    atomic.Uint32   // the generation in flight, 0 if none or answered
	expects  atomic.Uint32   // the generation that may still bring a file
	retained uint32          // the generation whose memory the worker still uses; the reader's only
	flowing  uint32          // the generation whose stream goes on; the reader's only
	scope    *scope          // of the generation in flight, if it asked for bindings; the reader's only
	values   context.Context // of the event, for its calls; nil if it has none
	parts    chan ring.Entry // of a stream, after the first; made with the first stream
	owner    owner           // what a lent response is released by
	done     chan outcome    // holds one; the outcome, once per generation
	file     chan *os.File   // holds one: a body too large for the arena
	block    int64           // the request's block in the arena
	blockLen int64           // 0 if it has none
	loan     *loan           // that the request's body lies in, if it came with one
	terms    runtime.Terms   // of a request that was submitted
	reserved []byte          // where Begin said that the body goes
	batched  atomic.Bool     // its request is one of a batch
	resp     ring.Entry      // filled by the reader before done
	brought  event.Brought   // what was fetched for the request
	fail     *scopeError     // why the event failed all the same; filled as well
	meta     *wire.MetaWriter
	scratch  []byte // private copy of the response's metadata
	last     []byte // the metadata that cached was decoded from
	cached   wire.Answer
}

type outcome uint8

const (
	answered outcome = iota
	crashed
	notRun
	recalled
	streaming
)

// Depth is how many events are sensible in flight right now.
func (in *Instance) Depth() int {
	if in.stalled.Load() {
		return 1
	}
	return int(in.depth.now.Load())
}

// Broken is closed when the worker is gone.
func (in *Instance) Broken() <-chan struct{} { return in.broken }

// Kill ends the worker process and everything in its group.
func (in *Instance) Kill() error { return in.proc.Kill() }

// Apart implements [runtime.Apart].
func (in *Instance) Apart() {}

// Drain implements [runtime.Drainer].
func (in *Instance) Drain() error {
	if !in.drains {
		return nil
	}
	err := in.proc.Signal(syscall.SIGUSR2)
	in.nudge()
	return err
}

// nudge wakes the worker even if it does not say that it sleeps: it may have
// looked for signals for the last time before one came, and be about to.
func (in *Instance) nudge() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.dead { // else nobody is there, and the descriptor may be closed
		ring8(in.bellFD)
	}
}

// Leave implements [runtime.Leaver]. A worker that is asked to stop waits for the
// hooks itself, and is killed when Close has no more time.
func (in *Instance) Leave(context.Context) (hooked bool, err error) {
	if in.leaves {
		in.leaving.Store(true)
		in.left.Do(func() {
			err = in.proc.Signal(syscall.SIGURG)
			in.nudge()
		})
	}
	return in.leaves, err
}

// Loading is how long the function took to load, as its worker says; 0 if it
// does not.
func (in *Instance) Loading() time.Duration { return in.loading }

// Pid returns the worker's process id.
func (in *Instance) Pid() int { return in.proc.Pid() }

// newSlots makes the slots of y, all free.
func newSlots(y *layout) []*slot {
	slots := make([]*slot, y.Slots)
	for i := range slots {
		slots[i] = &slot{index: uint32(i), done: make(chan outcome, 1), file: make(chan *os.File, 1), meta: wire.NewMetaWriter()}
	}
	return slots
}

// attach readies the processor's side of a channel over mem.
func (in *Instance) attach(y layout, mem []byte) {
	in.layout, in.mem = y, mem
	y.writeHeader(mem)
	in.begun, in.goSleep, in.workerSleep = ring.Word(mem[offBegun:]), ring.Word(mem[offGoSleep:]), ring.Word(mem[offWorkerSleep:])
	in.requests = ring.New(mem[y.requests:], y.Slots)
	in.responses = ring.New(mem[y.responses:], y.respEntries)
	in.arena = newBuddy(y.Arena)
	in.slots = newSlots(&y)
	in.calls.cells = newCells()
	if in.calls.caller != nil {
		binary.LittleEndian.PutUint32(mem[12:], featureCalls)
	}
	in.refs.Store(1)
	for i := len(in.slots) - 1; i >= 0; i-- {
		in.slots[i].owner = owner{in, in.slots[i]}
		in.free = append(in.free, in.slots[i])
	}
	in.room.L = &in.mu
}

// bell wakes the worker if it sleeps. The write cannot block: an eventfd only
// does when its counter is full.
func (in *Instance) bell() {
	if in.always.Load() || in.workerSleep.Load() != 0 && in.workerSleep.CompareAndSwap(1, 0) {
		ring8(in.bellFD)
	}
}

// bellSoon is bell for one event of several that are on their way: goroutines
// that are ready to publish do so first, and one bell wakes the worker for all.
// Who finds that another is about to ring leaves it to that one, which looks
// at the worker's flag after it has taken its own back.
func (in *Instance) bellSoon() {
	if in.workerSleep.Load() == 0 || !in.ringing.CompareAndSwap(false, true) {
		return
	}
	goruntime.Gosched()
	in.ringing.Store(false)
	in.bell()
}

// company reports whether events besides one are in the worker.
func (in *Instance) company() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.Slots-len(in.free) > 1
}
