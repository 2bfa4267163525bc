// Package http is the trigger that serves a function over HTTP/1.1: the event
// is the request, the outcome is the response. It owns connections, limits,
// CORS and the mapping of outcomes to statuses; it knows nothing of workers,
// runtimes or of how a function is routed to.
package http

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// Kind is the trigger's name in a spec.
const Kind = "http"

// Factory makes HTTP triggers.
func Factory() trigger.Factory {
	return component.Define(Kind, "Serves the function over HTTP.", defaults, build)
}

func build(s trigger.Settings, cfg Config) (trigger.Trigger, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	src := &event.Source{Kind: Kind, Class: string(trigger.Sync), Name: s.Name}
	return &Trigger{settings: s, cfg: cfg, source: src, ready: make(chan struct{}), closed: make(chan struct{})}, nil
}

// Trigger serves one function on one socket. It implements [trigger.Trigger]
// and [trigger.Readier].
type Trigger struct {
	settings trigger.Settings
	cfg      Config
	source   *event.Source
	ready    chan struct{}
	closed   chan struct{}

	mu   sync.Mutex
	addr net.Addr
}

// Ready is closed when the socket listens.
func (t *Trigger) Ready() <-chan struct{} { return t.ready }

// Closed is closed when Run takes no more connections; it may still answer on those
// that it has.
func (t *Trigger) Closed() <-chan struct{} { return t.closed }

// Addr is where the trigger listens; nil until Ready is closed.
func (t *Trigger) Addr() net.Addr {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.addr
}

// Run serves requests until ctx is done; then it closes the socket, answers
// what it has taken and returns nil. It returns an error if it cannot listen
// or if the socket fails for good.
func (t *Trigger) Run(ctx context.Context, h trigger.Handler) error {
	ln, err := t.listen()
	if err != nil {
		return err
	}
	s := newServer(context.WithoutCancel(ctx), t.cfg, t.source, t.settings.Log, h)
	t.mu.Lock()
	t.addr = ln.Addr()
	t.mu.Unlock()
	close(t.ready)
	return s.run(ctx, ln, t.closed)
}

func (t *Trigger) listen() (net.Listener, error) {
	if t.settings.Listener != nil {
		return t.settings.Listener, nil
	}
	ln, err := net.Listen("tcp", t.cfg.address())
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", t.cfg.address(), cause(err))
	}
	return ln, nil
}

// cause strips what the net package says again: the address and "listen".
func cause(err error) error {
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		return sys.Err
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
