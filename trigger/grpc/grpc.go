// Package grpc is the trigger that serves a function over gRPC: a message is an
// event, the outcome is the answer or the call's status. It owns the schemas,
// limits, the drain and what outcomes mean in gRPC; it knows nothing of workers,
// runtimes or of how a function is routed to.
package grpc

import (
	"context"
	"log/slog"
	"net"
	"sync"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/port"
)

// Kind is the trigger's name in a spec.
const Kind = "grpc"

// Factory makes gRPC triggers.
func Factory() trigger.Factory {
	return component.Define(Kind, "Serves the function over gRPC.", defaults, build)
}

func build(s trigger.Settings, cfg Config) (trigger.Trigger, error) {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	src := &event.Source{Kind: Kind, Class: string(trigger.Sync), Name: s.Name}
	return &Trigger{settings: s, cfg: cfg, source: src, ready: make(chan struct{})}, nil
}

// Trigger serves one function on one port. It implements [trigger.Trigger] and
// [trigger.Readier].
type Trigger struct {
	settings trigger.Settings
	cfg      Config
	source   *event.Source
	ready    chan struct{}

	mu   sync.Mutex
	addr net.Addr
}

// Ready is closed when the port listens.
func (t *Trigger) Ready() <-chan struct{} { return t.ready }

// Addr is where the trigger listens; nil until Ready is closed.
func (t *Trigger) Addr() net.Addr {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.addr
}

// Run serves calls until ctx is done; then it accepts no more, finishes the
// events that have begun and returns nil. It returns an error if the descriptor
// or the certificate cannot be used, or the port not be listened on.
func (t *Trigger) Run(ctx context.Context, h trigger.Handler) error {
	s, err := newServer(t.cfg, t.settings.Dir, t.source, t.settings.Log, h)
	if err != nil {
		return err
	}
	ln, err := port.Listen(port.Options{Given: t.settings.Listener, Host: t.cfg.Host, Port: t.cfg.Port, Max: t.cfg.MaxConnections,
		Namespace: t.settings.Namespace, Function: t.settings.Function})
	if err != nil {
		s.rpc.Stop() // its goroutines wait for calls
		return err
	}
	defer ln.Release()
	t.mu.Lock()
	t.addr = ln.Addr()
	t.mu.Unlock()
	close(t.ready)
	return s.run(ctx, ln)
}
