package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

// h2client speaks HTTP/2 without TLS from the first byte on.
func h2client(t testing.TB) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

func TestSuiteHTTP2(t *testing.T) {
	triggertest.Run(t, triggertest.Fixture{
		Class:   trigger.Sync,
		Forever: []string{"github.com/valyala/fasthttp.updateServerDate.func1"},
		New: func(t testing.TB) (trigger.Trigger, triggertest.Source) {
			trg := newTrigger(t, `{"port":0,"host":"127.0.0.1","drainLinger":"20ms"}`, nil)
			return trg, &source{trg, h2client(t)}
		},
	})
}

// do makes a request and returns the response with its body read.
func do(t *testing.T, c *http.Client, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

// A request of HTTP/2 is the same event as one of HTTP/1.1, and is answered the
// same.
func TestHTTP2IsTheSame(t *testing.T) {
	events := make(chan *event.Event, 1)
	s := serve(t, `{"cors":{"enabled":true,"allowOrigins":["http://a"],"exposeHeaders":["X-B"]}}`, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		events <- ev.Clone()
		resp.Status, resp.ContentType = 207, "text/x"
		resp.Header = append(resp.Header, event.Field{Key: "X-B", Value: "1"}, event.Field{Key: "Set-Cookie", Value: "c=d"}, event.Field{Key: "Connection", Value: "close"})
		resp.Body = append(resp.Body, "answer"...)
		return nil
	})
	type answer struct {
		status       int
		body, header string
		event        string
	}
	ask := func(c *http.Client) (answer, string) {
		resp, body := do(t, c, "PUT", "http://"+s.addr+"/a%20b/c?x=1&y=%20", "body", "Origin", "http://a", "X-Request-Id", "mine", "Content-Type", "text/y",
			"Cookie", "a=b; c=d", "X-Many", "1", "X-Many", "2", "User-Agent", "me", "Accept-Encoding", "identity")
		ev := <-events
		fields := []string{string(ev.Method), string(ev.Path), string(ev.URL), string(ev.ContentType), string(ev.Body), string(ev.ID), string(ev.Field("y"))}
		for _, k := range []string{"X-Many", "Cookie", "User-Agent", "Content-Type", "Content-Length", "Origin", "Host"} {
			fields = append(fields, k+"="+string(ev.Header(k)))
		}
		var h []string
		for _, k := range []string{"Content-Type", "X-B", "Set-Cookie", "X-Request-Id", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Vary", "Content-Length", "Server"} {
			h = append(h, k+"="+strings.Join(resp.Header[k], ","))
		}
		return answer{resp.StatusCode, body, strings.Join(h, "\n"), strings.Join(fields, "\n")}, resp.Proto
	}
	one, p1 := ask(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}})
	two, p2 := ask(h2client(t))
	if p1 != "HTTP/1.1" || p2 != "HTTP/2.0" {
		t.Errorf("protocols %s and %s", p1, p2)
	}
	if one != two {
		t.Errorf("by HTTP/1.1:\n%+v\nby HTTP/2:\n%+v", one, two)
	}
	if resp, _ := do(t, h2client(t), "GET", "http://"+s.addr+"/__internal/health", ""); resp.StatusCode != 200 {
		t.Errorf("health: %d", resp.StatusCode)
	}
}

// Limits are those of HTTP/1.1.
func TestHTTP2Limits(t *testing.T) {
	s := serve(t, `{"maxRequestBodySize":1000}`, echo)
	c := h2client(t)
	for n, want := range map[int]int{0: 200, 1000: 200, 1001: 413, 100_000: 413} {
		body := strings.Repeat("x", n)
		if resp, got := do(t, c, "POST", "http://"+s.addr+"/", body); resp.StatusCode != want || want == 200 && got != body {
			t.Errorf("%d bytes: %d %.20q", n, resp.StatusCode, got)
		}
		r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+s.addr+"/", struct{ io.Reader }{strings.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(r) // without a length
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("%d bytes of unknown length: %d, want %d", n, resp.StatusCode, want)
		}
	}
	stuck, more := io.Pipe() // a body that does not come
	defer more.Close()
	hasty := serve(t, `{"readTimeout":"2s"}`, echo)
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+hasty.addr+"/", stuck)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != 408 {
		t.Errorf("a body that does not come: %d", resp.StatusCode)
	}
	long, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.addr+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	long.Header.Set("X-Long", strings.Repeat("x", 40<<10))
	if resp, err = c.Do(long); err == nil {
		if _ = resp.Body.Close(); resp.StatusCode != 431 {
			t.Errorf("a header of 40 KiB: %d", resp.StatusCode)
		}
	}
}

// A connection of HTTP/2 that does not go on, as it begins or as it is written to,
// ends.
func TestHTTP2Timeouts(t *testing.T) {
	cancelled := make(chan struct{})
	s := serve(t, `{"readTimeout":"300ms","writeTimeout":"300ms","drainLinger":"20ms"}`, func(_ context.Context, _ *event.Event, resp *event.Response) error {
		resp.Stream = &endless{told{cancelled: cancelled}}
		return nil
	})
	begun, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer begun.Close()
	_ = begun.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(begun, h2preface[:10]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, begun); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("half a preface is waited for without an end")
	}
	deaf, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	_ = deaf.SetDeadline(time.Now().Add(time.Minute))
	var b bytes.Buffer
	b.WriteString(h2preface)
	f := http2.NewFramer(&b, nil)
	var block bytes.Buffer
	pack := hpack.NewEncoder(&block)
	for _, h := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "h"}} {
		if err := pack.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			t.Fatal(err)
		}
	}
	const all = 1<<31 - 1
	if err := errors.Join(f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: all}), f.WriteWindowUpdate(0, all-65535),
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})); err != nil {
		t.Fatal(err)
	}
	if _, err := deaf.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-cancelled:
	case <-time.After(time.Minute):
		t.Error("a client that does not read is written to without an end")
	}
}

// endless is a stream that goes on until it is cancelled.
type endless struct{ told }

func (s *endless) Read(b []byte) (int, error) {
	select {
	case <-s.cancelled:
		return 0, io.ErrUnexpectedEOF
	default:
		return len(b), nil
	}
}

// Many requests share a connection, and each gets its own answer.
func TestHTTP2Multiplexes(t *testing.T) {
	s := serve(t, `{"maxConnections":1}`, echo)
	c := h2client(t)
	do(t, c, "POST", "http://"+s.addr+"/", "first")
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			body := strings.Repeat(fmt.Sprint(i, " "), 1+i*50)
			resp, err := c.Post("http://"+s.addr+"/", "text/plain", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); err != nil || string(got) != body {
				t.Errorf("request %d: %v, %d bytes for %d", i, err, len(got), len(body))
			}
		})
	}
	wg.Wait()
}

// A stream comes as it is made; one that breaks, and one that nobody reads, end.
func TestHTTP2Streams(t *testing.T) {
	parts, cancelled := make(chan string), make(chan struct{})
	s := serve(t, quick, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		if string(ev.Path) == "/broken" {
			resp.Stream = io.NopCloser(io.MultiReader(strings.NewReader("half"), broken{}))
			return nil
		}
		resp.Stream = &told{parts: parts, cancelled: cancelled}
		return nil
	})
	c := h2client(t)
	resp, err := c.Get("http://" + s.addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"one", "two"} {
		parts <- part
		b := make([]byte, 3)
		if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != part {
			t.Fatalf("%q, %v", b, err)
		}
	}
	_ = resp.Body.Close() // the client goes
	select {
	case <-cancelled:
	case <-time.After(time.Minute):
		t.Error("who makes the stream was not told")
	}
	if resp, err = c.Get("http://" + s.addr + "/broken"); err != nil {
		return // it may break before there is an answer
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("a broken stream looks whole: %q", b)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken") }

// told is a stream that can be cancelled.
type told struct {
	parts     chan string
	cancelled chan struct{}
	once      sync.Once
}

func (s *told) Read(b []byte) (int, error) {
	select {
	case p := <-s.parts:
		return copy(b, p), nil
	case <-s.cancelled:
		return 0, io.ErrUnexpectedEOF
	}
}

func (s *told) Cancel() { s.once.Do(func() { close(s.cancelled) }) }

func (s *told) Close() error {
	s.Cancel()
	return nil
}

// A drain answers what has begun, and its client opens another connection then.
func TestHTTP2Drain(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	free := sync.OnceFunc(func() { close(goOn) })
	defer free()
	trg := newTrigger(t, `{"port":0,"host":"127.0.0.1","drainLinger":"50ms"}`, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- trg.Run(ctx, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, resp *event.Response) error {
			close(began)
			<-goOn
			resp.Body = append(resp.Body, ev.Body...)
			return nil
		}))
	}()
	<-trg.Ready()
	answered := make(chan error, 1)
	c := h2client(t)
	go func() {
		resp, err := c.Post("http://"+trg.Addr().String()+"/", "text/plain", strings.NewReader("held"))
		if err == nil {
			var b []byte
			b, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err == nil && string(b) != "held" {
				err = fmt.Errorf("answered %q", b)
			}
		}
		answered <- err
	}()
	<-began
	cancel()
	select {
	case err := <-done:
		t.Fatalf("Run returned (%v) before the request was answered", err)
	case <-time.After(100 * time.Millisecond): // no condition to await: it must not come
	}
	free()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// With http2 false it is no request.
func TestHTTP2Off(t *testing.T) {
	s := serve(t, `{"http2":false}`, echo)
	if resp, err := h2client(t).Get("http://" + s.addr + "/"); err == nil {
		_ = resp.Body.Close()
		t.Errorf("answered %d", resp.StatusCode)
	}
	if resp, _ := do(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "GET", "http://"+s.addr+"/", ""); resp.StatusCode != 200 {
		t.Errorf("HTTP/1.1: %d", resp.StatusCode)
	}
}

// The preface may come a byte at a time, and what only begins like it is HTTP/1.
func TestPrefaceInPieces(t *testing.T) {
	s := serve(t, quick, echo)
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	for i := range len(h2preface) {
		if _, err := nc.Write([]byte(h2preface[i : i+1])); err != nil {
			t.Fatal(err)
		}
	}
	f := http2.NewFramer(nc, nc)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	for acked := false; !acked; {
		fr, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		st, ok := fr.(*http2.SettingsFrame)
		acked = ok && st.IsAck()
	}
	for _, method := range []string{"P", "PR", "POST", "PRO"} {
		w := dial(t, s.addr)
		for _, piece := range []string{method[:1], method[1:], " / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"} {
			w.send(piece)
		}
		if resp, body := w.recv(method); resp.StatusCode != 200 || body != "x" {
			t.Errorf("%s: %d %q", method, resp.StatusCode, body)
		}
	}
}

// Frames that break the protocol end their stream or connection, and nothing
// else.
func TestHTTP2BrokenFrames(t *testing.T) {
	s := serve(t, quick, echo)
	c := h2client(t)
	var wg sync.WaitGroup
	for _, frames := range []string{
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00",                 // DATA on stream 0
		"\x00\x00\x01\x01\x04\x00\x00\x00\x01\xff",             // HEADERS that cannot be decompressed
		"\x00\x00\x05\x04\x00\x00\x00\x00\x00abcde",            // SETTINGS of a wrong length
		"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00", // WINDOW_UPDATE by 0
		"\xff\xff\xff\x00\x00\x00\x00\x00\x01",                 // a frame of 16 MiB
		"\x00\x00\x08\x06\x00\x00\x00\x00\x01abcdefgh",         // PING on a stream
		"nonsense, and more of it, for it to be a frame",
	} {
		wg.Go(func() { s.breaks(t, frames) })
	}
	wg.Wait()
	if resp, body := do(t, c, "POST", "http://"+s.addr+"/", "x"); resp.StatusCode != 200 || body != "x" {
		t.Errorf("the request after: %d %q", resp.StatusCode, body)
	}
}

// breaks sends frames on a connection of their own, which is to end.
func (s *serving) breaks(t *testing.T, frames string) {
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Error(err)
		return
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	var b bytes.Buffer
	b.WriteString(h2preface)
	if err := http2.NewFramer(&b, nil).WriteSettings(); err != nil {
		t.Error(err)
	}
	b.WriteString(frames)
	if _, err := nc.Write(b.Bytes()); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q: the connection goes on", frames)
	}
}

// A file and a response to HEAD go out as they do by HTTP/1.1.
func TestHTTP2Files(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte(strings.Repeat("file ", 10_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, `{"fileStreamRoot":"`+dir+`"}`, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		if string(ev.Path) == "/f" {
			resp.SetHeader("X-nuclio-filestream-path", "f")
		}
		resp.Body = append(resp.Body, "body"...)
		return nil
	})
	c := h2client(t)
	if resp, body := do(t, c, "GET", "http://"+s.addr+"/f", ""); resp.StatusCode != 200 || len(body) != 50_000 {
		t.Errorf("file: %d, %d bytes", resp.StatusCode, len(body))
	}
	if resp, body := do(t, c, "HEAD", "http://"+s.addr+"/", ""); resp.StatusCode != 200 || body != "" {
		t.Errorf("HEAD: %d %q", resp.StatusCode, body)
	}
}
