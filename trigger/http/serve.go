package http

import (
	"bytes"
	"runtime/debug"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/event"
)

// The headers that a caller and a function of Nuclio know.
const (
	headerRequestID  = "X-Request-Id"
	headerLogLevel   = "X-Nuclio-Log-Level"
	headerLogs       = "X-Nuclio-Logs"
	headerFile       = "X-Nuclio-Filestream-Path"
	headerFileDelete = "X-Nuclio-Filestream-Delete-After-Send"
)

var healthPath = []byte("/__internal/health")

// serve answers one request.
func (s *server) serve(ctx *fasthttp.RequestCtx) {
	if c, ok := ctx.Conn().(*conn); ok { // its whole request is here
		c.enter(running)
	}
	switch {
	case s.cors != nil && s.cors.apply(ctx):
	case bytes.HasPrefix(pathOf(ctx), healthPath):
		ctx.Response.SetBodyString("OK")
	case s.cfg.WebSocket != nil && asksSocket(ctx):
		s.open(ctx)
	case s.cfg.MaxHeaderBytes > 0 && len(ctx.Request.Header.RawHeaders()) > int(s.cfg.MaxHeaderBytes):
		fail(&ctx.Response, fasthttp.StatusRequestHeaderFieldsTooLarge, "request headers are too large")
	case s.cfg.Concurrency > 0:
		s.limited(ctx)
	default:
		s.handle(ctx)
	}
	if l := s.loanOf(&ctx.Request); l != nil {
		s.giveBack(l, &ctx.Request)
	}
	if s.draining.Load() {
		answer(ctx).SetConnectionClose()
	}
}

func (s *server) limited(ctx *fasthttp.RequestCtx) {
	defer s.running.Add(-1)
	if s.running.Add(1) > int64(s.cfg.Concurrency) {
		s.refused(&ctx.Response, event.ErrBusy)
		return
	}
	s.handle(ctx)
}

// handle runs the function. What the function may still use after an abandoned
// outcome, ctx and the call, is neither used nor reused.
func (s *server) handle(ctx *fasthttp.RequestCtx) {
	c := s.calls.Get().(*call)
	c.fill(ctx)
	if l := s.loanOf(&ctx.Request); l != nil {
		c.ev.Loan = l.Loan
	}
	err := s.invoke(c)
	if err != nil && event.Abandoned(err) {
		s.abandon(ctx, err)
		return
	}
	s.respond(ctx, c, err)
	c.clear()
	s.calls.Put(c)
}

// invoke hands the event to the function. A panic is that event's failure.
func (s *server) invoke(c *call) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("handler panicked", "panic", p, "stack", string(debug.Stack()))
			err = event.Errorf(fasthttp.StatusInternalServerError, "handler panicked")
		}
	}()
	return s.h.Handle(s.ctx, &c.ev, &c.resp)
}

// abandon answers for a function that still runs: ctx is left to it, and the
// connection goes on with a new one.
func (s *server) abandon(ctx *fasthttp.RequestCtx, err error) {
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	resp.SkipBody = ctx.IsHead()
	if s.cors != nil {
		copyHeaders(resp, &ctx.Response)
	}
	s.refused(resp, err)
	ctx.TimeoutErrorWithResponse(resp)
}

func copyHeaders(dst, src *fasthttp.Response) { src.Header.CopyTo(&dst.Header) }

// answer is the response that will be sent for ctx.
func answer(ctx *fasthttp.RequestCtx) *fasthttp.Response {
	if r := ctx.LastTimeoutErrorResponse(); r != nil {
		return r
	}
	return &ctx.Response
}
