package supervise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor/handoff"
)

// Group is the replicas of one program. Its life: New; Adopt, once; then Apply,
// Stop and Observe from any goroutine; when the context of New ends, the
// supervision ends and the processes go on; Wait, last.
type Group struct {
	o     Options
	life  context.Context
	turn  sync.Mutex // held by whoever changes what runs
	tasks sync.WaitGroup
	hurry chan struct{} // closed when draining must end
	rouse func()        // ends the wait for a connection; under turn; nil: there is none

	mu       sync.Mutex
	changes  chan struct{} // closed and replaced at every change
	socket   *handoff.Socket
	current  Version // the newest that got ready
	replicas []*replica
	message  string // a limit that could not be set
	age      string // see State.Generation
	slept    bool   // there were no replicas, and nobody has said otherwise since
	spare    *spare // the parked process; nil: there is none
}

// New returns a group that supervises until life ends.
func New(life context.Context, o Options) *Group {
	if o.Launcher == nil {
		o.Launcher = Processes(o.Dir)
	}
	return &Group{o: o, life: life, changes: make(chan struct{}), hurry: make(chan struct{}), age: now()}
}

// now names a generation; later supervisors do not use the same name again.
func now() string { return strconv.FormatInt(time.Now().UnixNano(), 36) }

// renew begins a new generation.
func (g *Group) renew() {
	g.mu.Lock()
	g.age = now()
	g.mu.Unlock()
	g.changed()
}

// State is a group as it is.
type State struct {
	Fingerprint string
	Address     string
	Generation  string // see [platform.Observed]
	Replicas    []function.Replica
	Message     string
	Asleep      bool // see [platform.Observed]
}

// Observe says what runs.
func (g *Group) Observe() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := State{Fingerprint: g.current.Fingerprint, Generation: g.age, Message: g.message, Asleep: g.asleep()}
	for _, r := range g.replicas {
		status := r.status
		if r.stopping && status.State == ready { // its own goroutine is about to say so
			status.State = draining
		}
		s.Replicas = append(s.Replicas, status)
	}
	if g.socket != nil {
		s.Address = g.socket.Address()
	}
	return s
}

// Wait returns when all supervision has ended, and lets go of the socket.
func (g *Group) Wait() {
	g.tasks.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.setSocket(nil)
}

func (g *Group) setSocket(s *handoff.Socket) {
	if g.socket != nil && g.socket != s {
		handoff.Close([]handoff.Socket{*g.socket})
	}
	g.socket = s
}

// Apply makes v what runs: see [platform.Platform].
func (g *Group) Apply(ctx context.Context, v Version) error {
	g.turn.Lock()
	defer g.turn.Unlock()
	if err := g.life.Err(); err != nil {
		return errors.New("the supervisor is ending")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(g.life, cancel)()
	seen := time.Now()
	socket, err := g.listen(ctx, v)
	if err != nil {
		return err
	}
	g.endDoze()
	g.keepOnly(v, socket)
	err = g.grow(ctx, v, socket, seen)
	g.awake()
	if err != nil {
		g.abandon(ctx, socket)
		return err
	}
	g.mu.Lock()
	g.current = v
	g.current.Prepare = nil
	former := g.socket
	g.socket = socket
	g.mu.Unlock()
	left := g.shrink(v, socket)
	if v.Replicas == 0 {
		g.doze(v, socket)
		g.park(v, socket)
	} else {
		g.EndParked()
	}
	if former != nil && former != socket {
		g.tasks.Go(func() { closeAfter(*former, left) })
	}
	if v.Replicas > 0 {
		settled(ctx, left)
	}
	return nil
}

// settled waits until what comes new is sure not to reach any of the replicas that
// leave. It takes a quarter of a second at most, for processes that do not say so.
func settled(ctx context.Context, leaving []*replica) {
	for _, r := range leaving {
		select {
		case <-r.settled:
		case <-r.done:
		case <-ctx.Done():
			return
		}
	}
}

// abandon decides what becomes of the socket of a version that did not get
// ready. If the work was called off, another Apply follows at once, while what
// was started here may still hold the address: so it gets this very socket.
func (g *Group) abandon(ctx context.Context, socket *handoff.Socket) {
	if socket != nil && socket == g.socket && ctx.Err() == nil && !g.serves() {
		turnAway(*socket)
	}
	if socket == nil || socket == g.socket {
		return
	}
	if ctx.Err() != nil && g.socket == nil {
		g.mu.Lock()
		g.socket = socket
		g.mu.Unlock()
		return
	}
	handoff.Close([]handoff.Socket{*socket})
}

// serves says whether a replica is there to accept connections.
func (g *Group) serves() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.replicas, func(r *replica) bool { return r.served && !r.stopping })
}

// closeAfter closes a socket when the replicas that may still be started with
// it have ended.
func closeAfter(s handoff.Socket, rs []*replica) {
	for _, r := range rs {
		<-r.done
	}
	handoff.Close([]handoff.Socket{s})
}

// listen returns the present socket if it is where v wants it, else a new one.
func (g *Group) listen(ctx context.Context, v Version) (*handoff.Socket, error) {
	if v.Socket == "" {
		return nil, nil
	}
	if g.socket != nil && (v.Address == "" || v.Address == g.socket.Address()) {
		return g.socket, nil
	}
	if v.Address != "" {
		return g.listenAt(ctx, v.Socket, v.Address)
	}
	err := errors.New("no address to choose from")
	for address := range g.o.Choose {
		var s handoff.Socket
		if s, err = handoff.Listen(v.Socket, address); err == nil {
			return &s, nil
		}
	}
	return nil, err
}

// listenAt opens a socket at an address. One that replicas of a former supervisor
// have, which end and could not hand it over, is waited for.
func (g *Group) listenAt(ctx context.Context, name, address string) (*handoff.Socket, error) {
	s, err := handoff.Listen(name, address)
	for _, r := range g.withoutSocket() {
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, err
		}
		s, err = handoff.Listen(name, address)
	}
	return &s, err
}

// withoutSocket are the replicas whose socket was lost: they are ending.
func (g *Group) withoutSocket() (out []*replica) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.replicas {
		if r.version.Socket != "" && r.socket == nil {
			out = append(out, r)
		}
	}
	return out
}

// grow starts what lacks of v and returns when all of v is ready. If that
// fails, what it started is ended.
func (g *Group) grow(ctx context.Context, v Version, socket *handoff.Socket, seen time.Time) error {
	have := g.serving(v.Fingerprint, socket)
	var fresh []*replica
	for range v.Replicas - len(have) {
		r, err := g.add(v, socket, seen)
		if err != nil {
			g.end(fresh)
			return err
		}
		fresh = append(fresh, r)
	}
	have = append(have, fresh...)
	for _, r := range have[:min(len(have), v.Replicas)] {
		if err := g.await(ctx, r); err != nil {
			g.end(fresh)
			return err
		}
	}
	return nil
}

// Stop drains every replica and returns when all have ended. At the deadline of
// ctx they are killed. If ctx is cancelled, which says that somebody else decides
// now, they drain on: call Stop or Apply again. The group may be applied again
// afterwards.
func (g *Group) Stop(ctx context.Context) error {
	g.turn.Lock()
	defer g.turn.Unlock()
	g.endDoze()
	g.awake()
	defer g.awaitParked(g.endParked())
	g.mu.Lock()
	rs := slices.Clone(g.replicas)
	g.mu.Unlock()
	g.end(rs)
	var err error
	for _, r := range rs {
		select {
		case <-r.done:
			continue
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return fmt.Errorf("drain: %w", ctx.Err())
			}
		}
		if err == nil {
			err = fmt.Errorf("drain: %w", ctx.Err())
			close(g.hurry)
		}
		<-r.done
	}
	if err != nil {
		g.hurry = make(chan struct{})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.current = Version{}
	g.setSocket(nil)
	return err
}
