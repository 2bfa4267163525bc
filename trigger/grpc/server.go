package grpc

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/port"
)

const (
	handshakeTime = 20 * time.Second // from a connection to its first words
	pingEvery     = time.Minute      // a connection on which nothing comes
	pingTime      = 20 * time.Second // that a ping may take, before the peer is gone
	leastPings    = 10 * time.Second // between a client's pings; one that sends more is told off
	flushTime     = time.Second      // for the last answers to be read, at least
	streamWorkers = 64               // goroutines that serve one call after the other: a new one has to grow its stack each time
)

// server is one Run of a trigger.
type server struct {
	cfg       Config
	log       *slog.Logger
	h         trigger.Handler
	rpc       *rpc.Server
	health    *health.Server
	calls     sync.Pool // *call
	gate      gate
	over      chan struct{} // closed when streams are to end
	receivers sync.WaitGroup
	draining  atomic.Bool
}

func newServer(cfg Config, dir string, src *event.Source, log *slog.Logger, h trigger.Handler) (*server, error) {
	s := &server{cfg: cfg, log: log, h: h, health: health.NewServer(), over: make(chan struct{})}
	s.calls.New = func() any { return newCall(src) }
	o, err := options(&cfg)
	if err != nil {
		return nil, err
	}
	served, err := generic()
	if cfg.Descriptor != "" {
		served, err = described(dir, cfg.Descriptor, cfg.Service)
	}
	if err != nil {
		return nil, err
	}
	s.rpc = rpc.NewServer(o...)
	for _, d := range served.services {
		desc := s.describe(d)
		s.rpc.RegisterService(&desc, nil)
		s.health.SetServingStatus(desc.ServiceName, healthpb.HealthCheckResponse_SERVING)
	}
	healthpb.RegisterHealthServer(s.rpc, s.health)
	if cfg.Reflection {
		o := reflection.ServerOptions{Services: s.rpc, DescriptorResolver: served}
		reflectionv1.RegisterServerReflectionServer(s.rpc, reflection.NewServerV1(o))
		reflectionv1alpha.RegisterServerReflectionServer(s.rpc, reflection.NewServer(o))
	}
	return s, nil
}

func options(cfg *Config) ([]rpc.ServerOption, error) {
	o := []rpc.ServerOption{
		rpc.ForceServerCodecV2(newCodec()),
		rpc.MaxRecvMsgSize(int(cfg.MaxMessageSize)), rpc.MaxSendMsgSize(math.MaxInt32),
		rpc.MaxConcurrentStreams(uint32(min(cfg.MaxStreams, math.MaxInt32))), //nolint:gosec // at least 1
		rpc.MaxHeaderListSize(uint32(cfg.MaxHeaderBytes)),                    //nolint:gosec // at most 16 MiB
		rpc.ConnectionTimeout(handshakeTime),
		rpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: cfg.IdleTimeout.Std(), Time: pingEvery, Timeout: pingTime}),
		rpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: leastPings, PermitWithoutStream: true}),
		rpc.WaitForHandlers(true),
		rpc.NumStreamWorkers(streamWorkers),
	}
	if cfg.TLS != nil {
		conf, err := cfg.TLS.config()
		if err != nil {
			return nil, err
		}
		o = append(o, rpc.Creds(credentials.NewTLS(conf)))
	}
	return o, nil
}

// describe says how a service is served.
func (s *server) describe(d protoreflect.ServiceDescriptor) rpc.ServiceDesc {
	desc := rpc.ServiceDesc{ServiceName: string(d.FullName()), Metadata: d.ParentFile().Path()}
	for i := range d.Methods().Len() {
		m := d.Methods().Get(i)
		var f form = own(fmt.Sprintf("/%s/%s", d.FullName(), m.Name()))
		if desc.ServiceName == functionName {
			f = general{}
		}
		name := string(m.Name())
		if !m.IsStreamingClient() && !m.IsStreamingServer() {
			desc.Methods = append(desc.Methods, rpc.MethodDesc{MethodName: name,
				Handler: func(_ any, ctx context.Context, read func(any) error, _ rpc.UnaryServerInterceptor) (any, error) {
					return s.unary(ctx, f, read)
				}})
			continue
		}
		st := rpc.StreamDesc{StreamName: name, ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer(),
			Handler: func(any, rpc.ServerStream) error { return oneSided(name) }}
		if st.ClientStreams && st.ServerStreams {
			st.Handler = func(_ any, stream rpc.ServerStream) error { return s.stream(stream, f) }
		}
		desc.Streams = append(desc.Streams, st)
	}
	return desc
}

// run serves until ctx is done or l fails, then drains.
func (s *server) run(ctx context.Context, l *port.Listener) error {
	served := make(chan error, 1)
	go func() { served <- s.rpc.Serve(l) }()
	var lost error
	select {
	case lost = <-served:
		lost = fmt.Errorf("accept on %s: %w", l.Addr(), port.Cause(lost))
		s.draining.Store(true)
		s.health.Shutdown()
	case <-ctx.Done():
		s.draining.Store(true)
		s.health.Shutdown()
		l.LastCall()
		s.log.Debug("accepting has ended", "why", <-served) // by the last call
	}
	s.drain(l)
	return lost
}

// drain tells clients to go elsewhere, and returns when all that has begun is
// answered and every connection closed. Calls whose message has not come, and
// streams, end after DrainLinger; running events have the time they need.
func (s *server) drain(l *port.Listener) {
	defer s.receivers.Wait()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.rpc.GracefulStop()
	}()
	if within(gone, s.cfg.DrainLinger.Std()) {
		return
	}
	close(s.over)
	select {
	case <-s.gate.shut():
	case <-gone:
		return
	}
	if !within(gone, max(flushTime, 10*s.cfg.DrainLinger.Std())) {
		l.Cut()
		s.rpc.Stop()
		<-gone
	}
}

// within waits for ch to be closed, and reports whether it was in time.
func within(ch <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ch:
		return true
	case <-t.C:
		return false
	}
}
