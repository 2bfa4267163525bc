package http

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

const request = "POST /a/path?x=1&y=2 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: test\r\nAccept: */*\r\n" +
	"Content-Type: application/json\r\nX-Other: value\r\nContent-Length: 15\r\n\r\n{\"hello\": true}"

func testServer(cfg Config, h trigger.HandlerFunc) *server {
	return newServer(context.Background(), cfg, &event.Source{Kind: Kind, Class: "sync", Name: "web"}, slog.New(slog.DiscardHandler), h)
}

// busyHandler does what a native function does at most: it reads everything and
// answers with a header and a body.
func busyHandler(_ context.Context, ev *event.Event, resp *event.Response) error {
	n := len(ev.Header("X-Other")) + len(ev.Field("y")) + len(ev.ID) + len(ev.Path)
	ev.Headers.All()(visit) // a range statement's closure would be the handler's own allocation
	ev.Fields.All()(visit)
	if n == 0 {
		return event.ErrBusy
	}
	resp.Status = 201
	resp.ContentType = "application/json"
	resp.Header = append(resp.Header, event.Field{Key: "X-Answer", Value: "42"})
	resp.Body = append(resp.Body, ev.Body...)
	return nil
}

func visit(k, v []byte) bool { return len(k)+len(v) > 0 }

func fillRequest(ctx *fasthttp.RequestCtx, header, value string) {
	ctx.Init2(nil, nil, false) // keeps the response's buffer, as a server does
	ctx.Request.Header.SetMethod("POST")
	ctx.Request.SetRequestURI("/a/path?x=1&y=2")
	ctx.Request.Header.Set("X-Other", "value")
	ctx.Request.SetBodyString("{\"hello\": true}")
	if header != "" {
		ctx.Request.Header.Set(header, value)
	}
}

func BenchmarkServe(b *testing.B) {
	s := testServer(defaults(), busyHandler)
	var ctx fasthttp.RequestCtx
	fillRequest(&ctx, "", "")
	b.ReportAllocs()
	for b.Loop() {
		ctx.Response.Reset()
		s.serve(&ctx)
	}
}

func BenchmarkConnection(b *testing.B) {
	b.Run("Trigger", func(b *testing.B) {
		ln := fasthttputil.NewInmemoryListener()
		trg := newTrigger(b, `{}`, ln)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() {
			done <- trg.Run(ctx, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, resp *event.Response) error {
				resp.Body = append(resp.Body, ev.Body...)
				return nil
			}))
		}()
		roundTrips(b, ln.Dial)
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	b.Run("Bare", func(b *testing.B) {
		ln := fasthttputil.NewInmemoryListener()
		srv := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetBody(ctx.PostBody()) }}
		done := make(chan error, 1)
		go func() { done <- srv.Serve(ln) }()
		roundTrips(b, ln.Dial)
		ln.Close()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
}

func roundTrips(b *testing.B, dial func() (net.Conn, error)) {
	c, err := dial()
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.WriteString(c, request); err != nil {
			b.Fatal(err)
		}
		if n, err := c.Read(buf); err != nil || n < len("HTTP/1.1 200") || string(buf[9:12]) != "200" {
			b.Fatal(n, err)
		}
	}
}
