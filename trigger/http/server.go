package http

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/http/live"
)

// server is one Run of a trigger.
type server struct {
	cfg    Config
	source *event.Source
	log    *slog.Logger
	ctx    context.Context // of each event; never done
	h      trigger.Handler
	cors   *cors // nil if off
	http   *fasthttp.Server
	calls  sync.Pool    // *call
	bodies sync.Pool    // *lentBody
	lender event.Lender // of memory for large bodies; nil if h is none
	loans  loans

	ticks    atomic.Int64  // the coarse clock: of tick each
	tick     time.Duration // 0: nothing is timed
	limits   [phases]int64 // ticks that a phase may last, 0: for ever
	running  atomic.Int64  // requests in the function, counted if cfg.Concurrency > 0
	draining atomic.Bool   // answer with Connection: close
	closing  atomic.Bool   // close connections without a request
	refusals atomic.Int64  // connections that are told that they are too many

	h2     *h2          // nil if there is none
	hub    *live.Hub    // of clients that hear; nil if there are none
	loop   *loop        // nil if every connection has a goroutine
	looped atomic.Int64 // connections that the loop has

	mu    sync.Mutex
	conns map[*conn]struct{}
	wg    sync.WaitGroup // connections
}

func newServer(ctx context.Context, cfg Config, src *event.Source, log *slog.Logger, h trigger.Handler) *server {
	s := &server{cfg: cfg, source: src, log: log, ctx: ctx, h: h, conns: map[*conn]struct{}{}}
	s.cors = newCORS(cfg.CORS)
	s.calls.New = func() any { return newCall(src) }
	s.bodies.New = func() any { return &lentBody{s: s} }
	s.http = &fasthttp.Server{
		Handler:                      s.serve,
		ErrorHandler:                 refuseBroken,
		ExpectHandler:                s.expect,
		ConnState:                    connState,
		Concurrency:                  cfg.MaxConnections + maxRefusals,
		ReadBufferSize:               cfg.bufferSize(),
		MaxRequestBodySize:           int(cfg.MaxRequestBodySize),
		ReduceMemoryUsage:            cfg.ReduceMemoryUsage,
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		SecureErrorLogMessage:        true,
		Logger:                       quiet{},
	}
	if l, ok := h.(event.Lender); ok && !cfg.ReduceMemoryUsage {
		s.lender = l
		s.http.HeaderReceived = s.headerReceived
		s.http.ErrorHandler = s.lostBody
	}
	if cfg.WebSocket != nil || cfg.Events {
		s.hub = live.New(cfg.Live.MaxClients, int(cfg.Live.MaxQueued))
	}
	if cfg.HTTP2 {
		s.h2 = newH2(s)
	}
	s.time()
	return s
}

// quiet drops what fasthttp would print: what matters of it reaches the client
// as a status or the host as an error.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// expect answers "Expect: 100-continue": a body that is too large is refused
// before the client sends it.
func (s *server) expect(ctx *fasthttp.RequestCtx) int {
	if ctx.Request.Header.ContentLength() > int(s.cfg.MaxRequestBodySize) {
		return fasthttp.StatusRequestEntityTooLarge
	}
	return fasthttp.StatusContinue
}
