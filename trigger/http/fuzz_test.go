package http

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

func settings() trigger.Settings { return trigger.Settings{Name: "web"} }

// No header of a function ends early or makes another.
func FuzzSetHeader(f *testing.F) {
	f.Add("X-A", "b\r\nX-Evil: 1")
	f.Add("X-A\r\nX-Evil", "\x00")
	f.Add("Content-Length", "7")
	f.Add("Trailer", "X-A")
	f.Add("Connection", "upgrade")
	f.Fuzz(func(t *testing.T, key, value string) {
		var out fasthttp.Response
		setHeader(&out, &event.Field{Key: key, Value: value}, false)
		out.Header.SetContentType(textPlain)
		head := strings.TrimSuffix(out.Header.String(), "\r\n\r\n")
		if n := strings.Count(head, "\r\n"); n > 4 || strings.Contains(head, "\r\n\r\n") || strings.ContainsAny(strings.ReplaceAll(head, "\r\n", ""), "\r\n\x00") {
			t.Errorf("%q: %q makes %q", key, value, head)
		}
	})
}

func FuzzLogsHeader(f *testing.F) {
	f.Add("message", "key", "value", 3)
	f.Add("\xff\x00\r\n", "level", strings.Repeat("\x7f", 3000), 100)
	f.Fuzz(func(t *testing.T, message, key, value string, n int) {
		if n < 0 || n > 200 {
			return
		}
		records := make([]event.LogRecord, n)
		for i := range records {
			records[i] = event.LogRecord{Message: message, With: []slog.Attr{slog.String(key, value)}}
		}
		b := logsHeader(records)
		var got []map[string]any
		if err := json.Unmarshal(b, &got); err != nil || len(b) > maxLogsHeader {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		for _, c := range b {
			if c < ' ' || c > '~' {
				t.Fatalf("byte %#x in %q", c, b)
			}
		}
	})
}

func FuzzCORS(f *testing.F) {
	f.Add("https://a.example", "PUT", "X-A, X-B")
	f.Add("null\r\nX-Evil: 1", "\x00", "*")
	p := newCORS(&CORS{Enabled: true, AllowOrigins: []string{"https://a.example"}, AllowHeaders: []string{"*"}})
	f.Fuzz(func(t *testing.T, origin, method, headers string) {
		var ctx fasthttp.RequestCtx
		ctx.Request.Header.SetMethod("OPTIONS")
		ctx.Request.Header.Set("Origin", origin)
		ctx.Request.Header.Set("Access-Control-Request-Method", method)
		ctx.Request.Header.Set("Access-Control-Request-Headers", headers)
		p.apply(&ctx)
		allowed := len(ctx.Response.Header.Peek("Access-Control-Allow-Origin")) > 0
		if allowed && !strings.EqualFold(strings.TrimSpace(origin), "https://a.example") {
			t.Errorf("%q is allowed", origin)
		}
		if strings.Contains(ctx.Response.Header.String(), "\nX-Evil") {
			t.Errorf("%q, %q made %q", origin, headers, ctx.Response.Header.String())
		}
	})
}
