package http

import (
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// tells answers with all that it was given.
func tells(_ context.Context, ev *event.Event, resp *event.Response) error {
	var headers, fields []string
	for k, v := range ev.Headers.All() {
		headers = append(headers, fmt.Sprintf("%q=%q", k, v))
	}
	if ev.Fields != nil {
		for k, v := range ev.Fields.All() {
			fields = append(fields, fmt.Sprintf("%q=%q", k, v))
		}
	}
	slices.Sort(headers) // fasthttp gives some first
	resp.Body = fmt.Appendf(resp.Body, "%s %q %q %q %q %v %v %q", ev.Method, ev.Path, ev.URL, ev.ContentType, ev.Body, headers, fields, ev.Header("x-a"))
	switch {
	case strings.HasSuffix(string(ev.Path), "/fail"):
		return event.Errorf(418, "failed")
	case strings.HasSuffix(string(ev.Path), "/none"):
		resp.Status = 204
	case strings.HasSuffix(string(ev.Path), "/odd"):
		resp.SetHeader("set-cookie", "a=b")
		resp.SetHeader("x-more", "1\n2")
	}
	return nil
}

// varies is what differs between two runs of the same.
var varies = regexp.MustCompile(`(?m)^(Date|X-Request-Id): .*\r\n`)

// converse sends text in two parts, says that this was all, and returns what
// came of it, with the lines of each head in order.
func converse(t *testing.T, addr, text string, cut int) string {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = io.WriteString(nc, text[:cut]) // it may be refused before it is all sent
	_, _ = io.WriteString(nc, text[cut:])
	_ = nc.(*net.TCPConn).CloseWrite()
	all, _ := io.ReadAll(nc) // a reset is an end too
	lines := strings.SplitAfter(varies.ReplaceAllString(string(all), ""), "\r\n")
	for from := 0; from < len(lines); from++ {
		to := from
		for to < len(lines) && strings.Contains(lines[to], ": ") {
			to++
		}
		slices.Sort(lines[from:to])
		from = to
	}
	return strings.Join(lines, "")
}

// FuzzEngines sends the same bytes to both engines, which answer the same.
func FuzzEngines(f *testing.F) {
	for _, text := range []string{
		request,
		request + request,
		"GET /a?b=c&d HTTP/1.1\r\nHost: h\r\nx-a: 1\r\nX-A: 2\r\ncookie: a=b; c=d\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /c HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /fail HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /x HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /none HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\nGET /odd HTTP/1.1\r\nHost: h\r\n\r\nGET /y HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /z HTTP/1.1\r\nHost: h\r\n\r\n",
		"HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET /%41/../b//c HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", 100000),
		"GET / HTTP/1.0\r\n\r\n", "GET /\r\n\r\n", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabc", "GET / HTTP/1.1\nHost: h\n\n",
		"GET http://h/p HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "GET /__internal/health HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		f.Add(text, uint16(len(text)/2))
	}
	var addrs []string
	for _, engine := range []string{EngineGoroutines, EngineLoop} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			f.Fatal(err)
		}
		trg, err := Factory().New(trigger.Settings{Name: "web", Listener: ln}, []byte(`{"drainLinger":"10ms","engine":"`+engine+`"}`))
		if err != nil {
			f.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- trg.Run(ctx, submits{trigger.HandlerFunc(tells)}) }()
		f.Cleanup(func() {
			stop()
			if err := <-done; err != nil {
				f.Error(err)
			}
		})
		addrs = append(addrs, ln.Addr().String())
	}
	f.Fuzz(func(t *testing.T, text string, cut uint16) {
		if text == "" || strings.Contains(strings.ToLower(text), "x-nuclio") {
			return
		}
		at := int(cut) % len(text)
		if a, b := converse(t, addrs[0], text, at), converse(t, addrs[1], text, at); a != b {
			t.Errorf("%q, cut at %d:\ngoroutines: %q\nloop:       %q", text, at, a, b)
		}
	})
}
