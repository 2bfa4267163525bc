package http

import (
	"errors"
	"fmt"
	"net"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/event"
)

const (
	textPlain = "text/plain; charset=utf-8"
	jsonType  = "application/json"
)

var requestID = []byte(headerRequestID)

// respond turns the function's outcome into the response.
func (s *server) respond(ctx *fasthttp.RequestCtx, c *call, err error) {
	out := &ctx.Response
	out.Header.SetCanonical(requestID, c.ev.ID)
	if c.ev.LogAsked {
		out.Header.SetBytesV(headerLogs, logsHeader(c.resp.Logs))
	}
	if err != nil {
		if c.resp.Stream != nil {
			_ = c.resp.Stream.Close() // the function failed after it opened it
		}
		s.refused(out, err)
		return
	}
	s.fulfil(ctx, c)
}

// fulfil sends what the function answered.
func (s *server) fulfil(ctx *fasthttp.RequestCtx, c *call) {
	out, resp := &ctx.Response, &c.resp
	if s.hub != nil {
		s.steer(ctx, resp)
	}
	if resp.Status != 0 && (resp.Status < 200 || resp.Status > 599) {
		if resp.Stream != nil {
			_ = resp.Stream.Close() // nobody will read it
		}
		fail(out, fasthttp.StatusInternalServerError, fmt.Sprintf("function answered status %d, which is not between 200 and 599", resp.Status))
		return
	}
	if resp.Status != 0 {
		out.SetStatusCode(resp.Status)
	}
	if resp.ContentType == "" {
		out.Header.SetContentType(textPlain)
	} else {
		out.Header.SetContentType(clean(resp.ContentType))
	}
	for i := range resp.Header {
		setHeader(out, &resp.Header[i], resp.ContentType != "")
	}
	switch {
	case s.cfg.FileStreamRoot != "" && s.sendFile(out):
	case resp.Owner != nil:
		out.SetBodyStream(s.lent(resp), len(resp.View))
		resp.View, resp.Owner = nil, nil // they are the response's now
	case resp.Stream != nil && ctx.Request.Header.IsHTTP11():
		out.SetBodyStream(watch(ctx.Conn(), resp.Stream), -1)
	case resp.Stream != nil:
		readStream(out, resp.Stream)
	default:
		resp.Body = out.SwapBody(resp.Body)
	}
}

// refused answers an outcome other than success.
func (s *server) refused(out *fasthttp.Response, err error) {
	var failed *event.Error
	switch {
	case errors.Is(err, event.ErrStopping):
		out.SetConnectionClose()
		out.Header.Set(fasthttp.HeaderRetryAfter, "1")
		failJSON(out, fasthttp.StatusServiceUnavailable, event.ErrStopping)
	case errors.Is(err, event.ErrBusy), errors.Is(err, event.ErrNotRun):
		out.Header.Set(fasthttp.HeaderRetryAfter, "1")
		failJSON(out, fasthttp.StatusServiceUnavailable, event.ErrBusy)
	case errors.Is(err, event.ErrTimeout):
		failJSON(out, fasthttp.StatusRequestTimeout, event.ErrTimeout)
	case errors.Is(err, event.ErrCrashed):
		failJSON(out, fasthttp.StatusBadGateway, event.ErrCrashed)
	case errors.Is(err, event.ErrLater):
		out.SetStatusCode(fasthttp.StatusAccepted)
		out.ResetBody()
	case errors.As(err, &failed):
		status := failed.Status
		if status < 200 || status > 599 {
			status = fasthttp.StatusInternalServerError
		}
		fail(out, status, failed.Message)
	default:
		fail(out, fasthttp.StatusInternalServerError, err.Error())
	}
}

func fail(out *fasthttp.Response, status int, message string) {
	out.SetStatusCode(status)
	out.Header.SetContentType(textPlain)
	out.SetBodyString(message)
}

// failJSON answers with a fixed error, whose text needs no escaping.
func failJSON(out *fasthttp.Response, status int, err error) {
	out.SetStatusCode(status)
	out.Header.SetContentType(jsonType)
	out.SetBodyString(`{"error": "` + err.Error() + `"}`)
}

// refuseBroken answers a request that could not be read. fasthttp closes the
// connection after it.
func refuseBroken(ctx *fasthttp.RequestCtx, err error) {
	if c, ok := ctx.Conn().(*conn); ok {
		c.early = true
	}
	var small *fasthttp.ErrSmallBuffer
	var netErr net.Error
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		fail(&ctx.Response, fasthttp.StatusRequestEntityTooLarge, "request body is too large")
	case errors.As(err, &small):
		fail(&ctx.Response, fasthttp.StatusRequestHeaderFieldsTooLarge, "request headers are too large")
	case errors.As(err, &netErr) && netErr.Timeout():
		fail(&ctx.Response, fasthttp.StatusRequestTimeout, "request did not arrive in time")
	default:
		fail(&ctx.Response, fasthttp.StatusBadRequest, "request is not well-formed HTTP")
	}
}
