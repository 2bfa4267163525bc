package supervise

import (
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform/local/process"
	"github.com/myelin-run/myelin/processor/handoff"
	"github.com/myelin-run/myelin/processor/parked"
)

// A group of no replicas may keep one process parked (see package parked): with
// the directory, user, limits and socket that a replica has, so that it becomes
// one by being told, and nothing of another program or function can be in it. It
// is no replica until then. It does not outlive its supervisor.

// endTime is how long a parked process may take to end.
const endTime = 2 * time.Second

// spare is a parked process. Its goroutine ends with it, or when it is taken.
type spare struct {
	r     *replica
	p     *running
	leave func()        // gives up its place; see Options.Park
	gate  int           // the descriptor to tell it by; the goroutine's, and the taker's
	taken chan struct{} // closed: it becomes a replica
	over  chan struct{} // closed: it is to end
	done  chan struct{} // closed when the goroutine has ended
	gone  bool          // it has ended; valid after done
}

// park starts a process of v to wait, unless there is one. The caller holds turn.
// What does not succeed only makes the next start slower.
func (g *Group) park(v Version, socket *handoff.Socket) {
	if g.o.Park == nil || v.Kind == "" || g.parked() != nil {
		return
	}
	leave := g.o.Park(v.Kind)
	if leave == nil {
		return
	}
	s, err := g.newSpare(v, socket)
	if err != nil {
		leave()
		return
	}
	s.leave = leave
	g.mu.Lock()
	g.spare = s
	g.mu.Unlock()
	g.tasks.Go(func() { g.tend(s) })
}

func (g *Group) newSpare(v Version, socket *handoff.Socket) (*spare, error) {
	r, err := g.newReplica(v, socket)
	if err != nil {
		return nil, err
	}
	r.parked = true
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		r.clear()
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	at := 3
	if socket != nil {
		at++
	}
	p, err := r.spawn(process.Spec{
		Args: append([]string{"-" + parked.Flag, strconv.Itoa(at)}, r.version.Args...), Env: r.environment(), FDs: fds[:1],
	})
	_ = unix.Close(fds[0])
	if err != nil {
		_ = unix.Close(fds[1])
		r.clear()
		return nil, err
	}
	r.begun(p)
	return &spare{r: r, p: follow(p), gate: fds[1], taken: make(chan struct{}), over: make(chan struct{}), done: make(chan struct{})}, nil
}

// tend watches a parked process until it is taken, or has ended.
func (g *Group) tend(s *spare) {
	defer close(s.done)
	select {
	case <-s.taken:
		return
	case <-s.over:
	case <-g.life.Done():
	case <-s.p.exits:
	}
	g.mu.Lock()
	if g.spare == s {
		g.spare = nil
	}
	g.mu.Unlock()
	_ = unix.Close(s.gate)
	limit := time.AfterFunc(endTime, s.p.Kill)
	for range s.p.exits { // closed when it has ended
	}
	limit.Stop()
	s.p.Release()
	s.gone = true
	s.r.clear()
	s.leave()
}

func (g *Group) parked() *spare {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.spare
}

// keepOnly ends the parked process unless it is of v and has the socket. The
// caller holds turn.
func (g *Group) keepOnly(v Version, socket *handoff.Socket) {
	if s := g.parked(); s != nil && (s.r.version.Fingerprint != v.Fingerprint || s.r.socket != socket) {
		g.EndParked()
	}
}

// EndParked has the parked process end, if there is one, and does not wait.
func (g *Group) EndParked() { g.endParked() }

// endParked returns what ends, nil if there is nothing.
func (g *Group) endParked() *spare {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.spare
	if s != nil {
		g.spare = nil
		close(s.over)
	}
	return s
}

func (*Group) awaitParked(s *spare) {
	if s != nil {
		<-s.done
	}
}

// unpark makes the parked process a replica, if there is one of v that lives.
// The caller holds turn.
func (g *Group) unpark(v Version, socket *handoff.Socket, t parked.Times) (*replica, *running) {
	g.keepOnly(v, socket)
	g.mu.Lock()
	s := g.spare
	g.spare = nil
	g.mu.Unlock()
	if s == nil {
		return nil, nil
	}
	close(s.taken)
	<-s.done
	if s.gone {
		return nil, nil
	}
	s.leave()
	s.r.version.Replicas = v.Replicas
	if err := s.tell(t); err != nil {
		s.p.Kill()
		for range s.p.exits { // closed when it has ended
		}
		s.p.Release()
		s.r.clear()
		return nil, nil
	}
	return s.r, s.p
}

// tell has the process serve. From then on its record is that of a replica.
func (s *spare) tell(t parked.Times) error {
	defer unix.Close(s.gate)
	s.r.parked, s.r.warm = false, true
	s.r.mark = markLogs(s.r.g.logs())
	s.r.update(func(st *function.Replica) { st.Started = time.Now() })
	if err := s.r.g.o.Launcher.Keep(s.r.record(s.p.ID(), false)); err != nil {
		return err
	}
	t.Told = time.Now()
	return parked.Tell(s.gate, t)
}
