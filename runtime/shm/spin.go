package shm

import (
	"log/slog"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime/exec"
)

const (
	// SpinFor bounds how long either side waits awake.
	SpinFor = 50 * time.Microsecond
	// maxPenalty bounds how many waits are slept after some that were spent
	// awake in vain.
	maxPenalty = 255
	// looks is how often a spinner looks between two looks at the clock.
	looks = 32
)

// callFor bounds how long a worker waits awake for the answer of a call.
const callFor = 100 * time.Microsecond

// Spinning decides which workers of a runtime wait awake for their next event,
// and their callers for the answer: each such worker takes two processors. For the
// answers of calls, and for the next call, they do so if there are the processors,
// whether they are wanted to or not: that is short, and ceases where it is in vain.
type Spinning struct {
	once    sync.Once
	wanted  bool
	log     *slog.Logger
	workers int
}

// NewSpinning is asked for by the function, or not.
func NewSpinning(wanted bool, log *slog.Logger) *Spinning { return &Spinning{wanted: wanted, log: log} }

// For tells whether the worker of that number may spin.
func (s *Spinning) For(worker int) bool {
	return s.wanted && s.spare(worker)
}

// spare tells whether there are processors to spare for the worker of that number.
func (s *Spinning) spare(worker int) bool {
	s.once.Do(func() {
		cpus := min(goruntime.NumCPU(), goruntime.GOMAXPROCS(0))
		quota := exec.Quota("/sys/fs/cgroup", "/proc/self/cgroup")
		switch {
		case quota > 0 && quota < 2:
			s.warn("workers do not spin: the processor may use less than 2 CPUs", "quota", quota)
		case cpus < 2:
			s.warn("workers do not spin: there is no CPU to spare", "cpus", cpus)
		default:
			s.workers = cpus / 2
		}
	})
	return worker < s.workers
}

func (s *Spinning) warn(msg string, args ...any) {
	if s.wanted {
		s.log.Warn(msg, args...)
	}
}

// Calls is how many nanoseconds the worker of that number waits awake for the
// answer of a call, 0 if it may not.
func (s *Spinning) Calls(worker int) int64 {
	if !s.spare(worker) {
		return 0
	}
	return callFor.Nanoseconds()
}

// Nanoseconds is how long the worker of that number waits awake, 0 if it may not.
func (s *Spinning) Nanoseconds(worker int) int64 {
	if !s.For(worker) {
		return 0
	}
	return SpinFor.Nanoseconds()
}

// spin is the processor's side of one worker that spins. While a caller spins
// it is the reader: it holds Instance.reading and has taken back the flag that
// says that the processor sleeps.
type spin struct {
	on      bool
	skip    atomic.Int32 // waits to be slept
	penalty int32        // of the next wait in vain; guarded by Instance.reading
}

// wait waits awake for the outcome of the only event in the worker, which was
// just published with the flag taken back. Whatever comes of it, the flag is
// set in the end and the ring looked at once more: the reader may have parked
// in the meantime, or long before.
func (in *Instance) wait(s *slot) (o outcome, ok bool) {
	if in.reading.TryLock() {
		if in.goSleep.Load() != 0 { // the reader has parked since
			in.goSleep.Store(0)
		}
		o, ok = in.watch(s)
	} else {
		in.reading.Lock()
	}
	in.goSleep.Store(1)
	if in.responses.Ready() || in.responses.Overrun() {
		in.drain()
	}
	in.reading.Unlock()
	return o, ok
}

// watch takes what comes until it is the outcome of s, or for SpinFor.
func (in *Instance) watch(s *slot) (o outcome, ok bool) {
	for end := (time.Time{}); ; {
		for range looks {
			if !in.responses.Ready() && !in.responses.Overrun() {
				pause()
				continue
			}
			in.drain()
			select {
			case o = <-s.done:
				in.spin.penalty = 0
				return o, true
			default:
			}
			if in.violation.Load() != nil {
				return o, false
			}
		}
		now := time.Now()
		if end.IsZero() {
			end = now.Add(SpinFor)
		}
		if now.After(end) {
			in.spin.penalty = min(2*in.spin.penalty+1, maxPenalty)
			in.spin.skip.Store(in.spin.penalty)
			return o, false
		}
	}
}

// Spins tells whether the worker and its callers wait awake.
func (in *Instance) Spins() bool { return in.spin.on }

// worthIt tells whether to wait awake for an event that is about to be sent.
func (in *Instance) worthIt() bool {
	if in.company() {
		return false
	}
	if in.spin.skip.Load() > 0 {
		in.spin.skip.Add(-1)
		return false
	}
	return true
}

// invokeAwake is Invoke where the worker spins and nothing else is in it.
func (in *Instance) invokeAwake(s *slot, ev *event.Event, resp *event.Response) error {
	if err := in.send(s, ev, awake); err != nil {
		in.putSlot(s)
		return err
	}
	o, ok := in.wait(s)
	if !ok {
		o = <-s.done
	}
	return in.become(o, s, resp)
}
