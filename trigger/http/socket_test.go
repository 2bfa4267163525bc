package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/myelin-run/myelin/event"
)

const sockets = `{"drainLinger":"10ms","websocket":{}}`

func minute(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// openSocket opens a WebSocket.
func openSocket(t *testing.T, s *serving, path string, header ...string) *websocket.Conn {
	t.Helper()
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	c, resp, err := websocket.Dial(minute(t), "ws://"+s.addr+path, &websocket.DialOptions{HTTPHeader: h, Subprotocols: []string{"chat"}})
	if err != nil {
		t.Fatalf("open: %v (%v)", err, resp)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// say sends a message and returns what comes next.
func say(t *testing.T, c *websocket.Conn, text string) string {
	t.Helper()
	if err := c.Write(minute(t), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return hear(t, c)
}

func hear(t *testing.T, c *websocket.Conn) string {
	t.Helper()
	_, b, err := c.Read(minute(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// wantClosed reads until the connection ends, which is to be with the code.
func wantClosed(t *testing.T, c *websocket.Conn, code websocket.StatusCode) {
	t.Helper()
	for {
		_, _, err := c.Read(minute(t))
		if err == nil {
			continue
		}
		if got := websocket.CloseStatus(err); got != code {
			t.Errorf("the connection ended with %v (%v), want %v", got, err, code)
		}
		return
	}
}

// Each message is an event, with what the handshake said, and is answered on its
// connection in order.
func TestWebSocketMessages(t *testing.T) {
	events := make(chan *event.Event, 10)
	s := serve(t, `{"drainLinger":"10ms","websocket":{"subprotocols":["chat"]}}`, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		events <- ev.Clone()
		switch string(ev.Body) {
		case "fail":
			return event.Errorf(418, "no tea")
		case "panic":
			panic("planted")
		case "quiet":
			return nil
		}
		resp.Body = append(resp.Body, "got "+string(ev.Body)...)
		return nil
	})
	c := openSocket(t, s, "/room/a%20b?who=me", "X-Own", "1", "X-Myelin-Connection", "forged")
	if p := c.Subprotocol(); p != "chat" {
		t.Errorf("subprotocol %q", p)
	}
	if got := say(t, c, "hello"); got != "got hello" {
		t.Errorf("answered %q", got)
	}
	ev := <-events
	id := string(ev.Header("X-Myelin-Connection"))
	for what, both := range map[string][2]string{
		"path": {string(ev.Path), "/room/a b"}, "url": {string(ev.URL), "/room/a%20b?who=me"}, "field": {string(ev.Field("who")), "me"},
		"header": {string(ev.Header("x-own")), "1"}, "kind": {string(ev.Header("X-Myelin-Websocket")), "message"}, "type": {string(ev.ContentType), textPlain},
		"body": {string(ev.Body), "hello"}, "method": {string(ev.Method), "GET"},
	} {
		if both[0] != both[1] {
			t.Errorf("%s is %q, want %q", what, both[0], both[1])
		}
	}
	if id == "" || id == "forged" || string(ev.ID) == "" {
		t.Errorf("connection %q, event %q", id, ev.ID)
	}
	if got := say(t, c, "fail"); got != `{"error":"no tea","status":418}` {
		t.Errorf("a failure is told as %q", got)
	}
	if got := say(t, c, "panic"); got != `{"error":"handler panicked","status":500}` {
		t.Errorf("a panic is told as %q", got)
	}
	if err := c.Write(minute(t), websocket.MessageText, []byte("quiet")); err != nil {
		t.Fatal(err)
	}
	if err := c.Write(minute(t), websocket.MessageBinary, []byte("\xff\x00")); err != nil {
		t.Fatal(err)
	}
	kind, b, err := c.Read(minute(t))
	if err != nil || kind != websocket.MessageBinary || string(b) != "got \xff\x00" {
		t.Errorf("%v %q, %v", kind, b, err)
	}
	for range 4 {
		if ev = <-events; string(ev.Header("X-Myelin-Connection")) != id {
			t.Errorf("%q came on another connection", ev.Body)
		}
	}
	if string(ev.ContentType) != "application/octet-stream" {
		t.Errorf("a binary message is %q", ev.ContentType)
	}
	if resp, _ := do(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "POST", "http://"+s.addr+"/", "plain"); resp.StatusCode != 200 {
		t.Errorf("a request beside it: %d", resp.StatusCode)
	}
}

// The function says whether a connection may open, what is said first, and hears
// when it is over.
func TestWebSocketLifecycle(t *testing.T) {
	closed := make(chan string, 10)
	s := serve(t, `{"drainLinger":"10ms","websocket":{"lifecycle":true}}`, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		switch string(ev.Header("X-Myelin-Websocket")) {
		case "open":
			if string(ev.Header("Authorization")) == "" {
				resp.Status = 401
				resp.SetHeader("Www-Authenticate", "Bearer")
			}
			resp.Body = append(resp.Body, "welcome "+string(ev.Field("who"))...)
		case "close":
			closed <- string(ev.Field("who"))
		default:
			if string(ev.Body) == "bye" {
				resp.SetHeader("X-Myelin-Close", "1")
			}
			resp.Body = append(resp.Body, ev.Body...)
		}
		return nil
	})
	_, resp, err := websocket.Dial(minute(t), "ws://"+s.addr+"/?who=nobody", nil)
	if err == nil || resp == nil || resp.StatusCode != 401 || resp.Header.Get("Www-Authenticate") != "Bearer" {
		t.Fatalf("refused by the function: %v, %v", resp, err)
	}
	c := openSocket(t, s, "/?who=me", "Authorization", "yes")
	if got := hear(t, c); got != "welcome me" {
		t.Errorf("first it says %q", got)
	}
	if got := say(t, c, "bye"); got != "bye" {
		t.Errorf("answered %q", got)
	}
	wantClosed(t, c, websocket.StatusNormalClosure)
	gone := openSocket(t, s, "/?who=gone", "Authorization", "yes")
	_ = gone.CloseNow()
	got := map[string]bool{<-closed: true, <-closed: true}
	if !got["me"] || !got["gone"] {
		t.Errorf("closed %v", got)
	}
}

// A function tells any connection, and all of a channel, whoever called it.
func TestWebSocketPush(t *testing.T) {
	s := serve(t, sockets, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		switch verb, rest, _ := strings.Cut(string(ev.Body), " "); verb {
		case "join":
			resp.SetHeader("X-Myelin-Subscribe", rest)
			resp.Body = append(resp.Body, ev.Header("X-Myelin-Connection")...)
		case "leave":
			resp.SetHeader("X-Myelin-Unsubscribe", rest)
			resp.Body = append(resp.Body, "left"...)
		case "tell":
			to, text, _ := strings.Cut(rest, " ")
			resp.SetHeader("X-Myelin-Send", to)
			resp.Body = append(resp.Body, text...)
		case "all":
			to, text, _ := strings.Cut(rest, " ")
			resp.SetHeader("X-Myelin-Publish", to)
			resp.Body = append(resp.Body, text...)
		}
		return nil
	})
	a, b := openSocket(t, s, "/"), openSocket(t, s, "/")
	idA := say(t, a, "join red, blue")
	if idB := say(t, b, "join blue"); idA == idB {
		t.Fatalf("both are %q", idA)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for body, want := range map[string]string{"all blue 1": "2", "all red 2": "1", "all none 3": "0", "tell " + idA + " 4": "1", "tell nobody 5": "0"} {
		resp, got := do(t, client, "POST", "http://"+s.addr+"/", body)
		if n := resp.Header.Get("X-Myelin-Delivered"); n != want || got != body[len(body)-1:] {
			t.Errorf("%s: delivered %q, answered %q", body, n, got)
		}
		if resp.Header.Get("X-Myelin-Publish")+resp.Header.Get("X-Myelin-Send") != "" {
			t.Errorf("the caller sees %v", resp.Header)
		}
	}
	heard := map[string]bool{hear(t, a): true, hear(t, a): true, hear(t, a): true}
	if !heard["1"] || !heard["2"] || !heard["4"] {
		t.Errorf("the first heard %v", heard)
	}
	if got := hear(t, b); got != "1" {
		t.Errorf("the second heard %q", got)
	}
	if got := say(t, a, "leave blue"); got != "left" {
		t.Errorf("answered %q", got)
	}
	if err := b.Write(minute(t), websocket.MessageText, []byte("all blue 6")); err != nil {
		t.Fatal(err)
	}
	if got := hear(t, b); got != "6" { // it is in the channel itself
		t.Errorf("the second heard %q", got)
	}
	if got := say(t, a, "all red 7"); got != "7" {
		t.Errorf("the first heard %q", got)
	}
	if got := say(t, a, "join "+strings.Repeat("x", 300)); !strings.Contains(got, "channel: want") {
		t.Errorf("a wrong channel: %q", got)
	}
}

// Pages of other origins are refused unless they are listed.
func TestWebSocketOrigins(t *testing.T) {
	s := serve(t, `{"drainLinger":"10ms","websocket":{"origins":["*.example.com","https://app.test"]}}`, echo)
	for origin, want := range map[string]bool{
		"": true, "http://" + s.addr: true, "https://a.example.com": true, "https://app.test": true, "http://app.test": false,
		"https://example.com.evil.test": false, "https://evil.test": false, "null": false, "::": false,
	} {
		var h http.Header
		if origin != "" {
			h = http.Header{"Origin": {origin}}
		}
		c, resp, err := websocket.Dial(minute(t), "ws://"+s.addr+"/", &websocket.DialOptions{HTTPHeader: h})
		if (err == nil) != want {
			t.Errorf("origin %q: %v", origin, err)
		}
		if err == nil {
			_ = c.CloseNow()
		} else if resp == nil || resp.StatusCode != 403 {
			t.Errorf("origin %q: %v", origin, resp)
		}
	}
}

// A drain lets the event that runs be answered, and tells every client to go.
func TestWebSocketDrain(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	free := sync.OnceFunc(func() { close(goOn) })
	defer free()
	s := serve(t, sockets, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		if string(ev.Body) == "hold" {
			close(began)
			<-goOn
		}
		resp.Body = append(resp.Body, ev.Body...)
		return nil
	})
	idle, busy := openSocket(t, s, "/"), openSocket(t, s, "/")
	say(t, idle, "hello")
	if err := busy.Write(minute(t), websocket.MessageText, []byte("hold")); err != nil {
		t.Fatal(err)
	}
	<-began
	s.stop()
	wantClosed(t, idle, websocket.StatusGoingAway)
	select {
	case err := <-s.done:
		t.Fatalf("Run returned (%v) before the message was answered", err)
	default:
	}
	free()
	if got := hear(t, busy); got != "hold" {
		t.Errorf("answered %q", got)
	}
	wantClosed(t, busy, websocket.StatusGoingAway)
	if err := <-s.done; err != nil {
		t.Error(err)
	}
}

// A message that is too large, a client that does not read, too many clients,
// and half a handshake each end what they are of, and nothing else.
func TestWebSocketLimits(t *testing.T) {
	s := serve(t, `{"drainLinger":"10ms","websocket":{"maxMessageSize":1000},"live":{"maxClients":2,"maxQueued":100000}}`, func(_ context.Context, ev *event.Event, resp *event.Response) error {
		if string(ev.Body) == "join" {
			resp.SetHeader("X-Myelin-Subscribe", "all")
		}
		if string(ev.Method) == "POST" {
			resp.SetHeader("X-Myelin-Publish", "all")
		}
		resp.Body = append(resp.Body, ev.Body...)
		return nil
	})
	large := openSocket(t, s, "/")
	if err := large.Write(minute(t), websocket.MessageText, bytes.Repeat([]byte("x"), 2000)); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, large, websocket.StatusMessageTooBig)

	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	deaf := openSocket(t, s, "/")
	deaf.SetReadLimit(-1)
	say(t, deaf, "join")
	body := strings.Repeat("y", 50_000)
	for deadline := time.Now().Add(time.Minute); ; { // until what the kernel takes is full, and then the queue
		resp, _ := do(t, client, "POST", "http://"+s.addr+"/", body)
		if resp.Header.Get("X-Myelin-Delivered") == "0" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a client that does not read is kept")
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) { // until both have made room
		first, _, err := websocket.Dial(minute(t), "ws://"+s.addr+"/", nil)
		if err == nil {
			defer first.CloseNow()
			var second *websocket.Conn
			if second, _, err = websocket.Dial(minute(t), "ws://"+s.addr+"/", nil); err == nil {
				defer second.CloseNow()
				break
			}
			_ = first.CloseNow()
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	_, resp, err := websocket.Dial(minute(t), "ws://"+s.addr+"/", nil)
	if err == nil || resp == nil || resp.StatusCode != 503 {
		t.Errorf("one client too many: %v, %v", resp, err)
	}
}

// What is no handshake is told so, and frames that break the protocol end their
// connection only.
func TestWebSocketGarbage(t *testing.T) {
	s := serve(t, sockets, echo)
	for head, want := range map[string]int{
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n":                                                     400,
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 1\r\nSec-WebSocket-Key: x\r\n\r\n": 400,
	} {
		w := dial(t, s.addr)
		w.send(head)
		if resp, body := w.recv("GET"); resp.StatusCode != want {
			t.Errorf("%q: %d %q", head, resp.StatusCode, body)
		}
	}
	for _, frames := range []string{"\x81\x05hello", "\x83\x80\x00\x00\x00\x00", "\xf1\x80\x00\x00\x00\x00", "\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x81"} {
		w := dial(t, s.addr)
		w.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		if resp, err := http.ReadResponse(w.r, nil); err != nil || resp.StatusCode != 101 {
			t.Fatalf("%v, %v", resp, err)
		}
		w.send(frames)
		if frames == "\x81" {
			w.Close() // half a frame
			continue
		}
		_ = w.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.Copy(io.Discard, w.r); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%q: the connection goes on", frames)
		}
	}
	if got := say(t, openSocket(t, s, "/"), "x"); got != "x" {
		t.Errorf("the one after: %q", got)
	}
}

// Many connections are served beside each other, each in its order.
func TestWebSocketMany(t *testing.T) {
	s := serve(t, sockets, echo)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			c, _, err := websocket.Dial(minute(t), "ws://"+s.addr+"/", nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.CloseNow()
			for n := range 20 {
				text := fmt.Sprint(i, " ", n)
				_, b, err := []byte(nil), []byte(nil), c.Write(minute(t), websocket.MessageText, []byte(text))
				if err == nil {
					_, b, err = c.Read(minute(t))
				}
				if err != nil || string(b) != text {
					t.Errorf("%q came back as %q, %v", text, b, err)
					return
				}
			}
			if err := c.Close(websocket.StatusNormalClosure, ""); err != nil && !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A client that answers no pings is cut off.
func TestWebSocketPings(t *testing.T) {
	s := serve(t, `{"drainLinger":"10ms","websocket":{"pingInterval":"50ms"}}`, echo)
	dead := dial(t, s.addr) // which opens a WebSocket, and then only looks
	dead.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	_ = dead.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, dead.r); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("a client that answers no pings is kept")
	}
}
