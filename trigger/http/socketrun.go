package http

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/http/live"
)

// byeTime is how long a client may take to agree that a connection ends.
const byeTime = 5 * time.Second

// WriteHeader implements [http.ResponseWriter].
func (u *upgrader) WriteHeader(status int) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	if status != http.StatusSwitchingProtocols {
		u.header.Set("Connection", "close")
	}
	_ = u.header.Write(&b) // memory takes it
	b.WriteString("\r\n")
	_, _ = u.nc.Write(b.Bytes()) // the client has gone: reading says so
}

// Write implements [http.ResponseWriter].
func (u *upgrader) Write(b []byte) (int, error) { return u.nc.Write(b) }

// Hijack implements [http.Hijacker].
func (u *upgrader) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return u.nc, bufio.NewReadWriter(bufio.NewReaderSize(u.nc, 4<<10), bufio.NewWriterSize(u.nc, 4<<10)), nil
}

// carrySocket serves the WebSocket that c became, until it ends. handed says
// that the HTTP server has let go of it.
func (s *server) carrySocket(c *conn, handed bool) {
	k := c.socket
	defer k.client.End(live.ErrGone)
	if !handed {
		return
	}
	nc := <-k.conn
	defer close(k.done)
	c.enter(running) // without a timeout: it pings
	ws, err := websocket.Accept(&upgrader{&socketConn{c, nc}, http.Header{}}, &k.hand, &websocket.AcceptOptions{
		Subprotocols: s.cfg.WebSocket.Subprotocols, InsecureSkipVerify: true, // its origin was looked at
	})
	if err != nil {
		return // the client was told
	}
	defer func() { _ = ws.CloseNow() }() // it has ended
	ws.SetReadLimit(int64(s.cfg.WebSocket.MaxMessageSize))
	k.ws = ws
	k.run()
}

// socketConn reads what the HTTP server has read too far, and else is the
// connection itself: the one that the server hands over does not close.
type socketConn struct {
	*conn
	rest net.Conn
}

// Read implements [net.Conn].
func (c *socketConn) Read(b []byte) (int, error) { return c.rest.Read(b) }

// Close implements [net.Conn].
func (c *socketConn) Close() error { return c.Conn.Close() }

// talk is what the two goroutines of a WebSocket share.
type talk struct {
	*socket
	ctx   context.Context
	event sync.Mutex   // held while an event runs, until its answer is queued
	over  bool         // run no more; guarded by event
	runs  atomic.Int64 // events begun and ended
}

// run reads messages and hands each to the function, one after the other, while
// another goroutine writes.
func (k *socket) run() {
	ctx, cancel := context.WithCancel(k.s.ctx)
	t := &talk{socket: k, ctx: ctx}
	for _, m := range k.first {
		k.client.Put(m)
	}
	var wg sync.WaitGroup
	wg.Go(t.write)
	wg.Go(t.pings)
	for t.next() {
	}
	k.client.End(live.ErrGone)
	cancel()
	wg.Wait()
	if k.s.cfg.WebSocket.Lifecycle {
		c := k.event("close", nil, websocket.MessageText)
		if err := k.s.invoke(c); err != nil && event.Abandoned(err) {
			return
		}
		k.answer(&c.resp, websocket.MessageText) // for others
		c.clear()
		k.s.calls.Put(c)
	}
}

// next runs the function on the next message. It returns false at the end.
func (t *talk) next() bool {
	kind, body, err := t.ws.Read(context.Background()) // it ends with the connection
	if err != nil {
		return false
	}
	t.event.Lock()
	defer t.event.Unlock()
	if t.over {
		return false
	}
	t.runs.Add(1)
	defer t.runs.Add(1)
	c := t.socket.event("message", body, kind)
	err = t.s.invoke(c)
	if err != nil {
		if !errors.Is(err, event.ErrLater) {
			t.client.Put(failureOf(err))
		}
		if event.Abandoned(err) {
			return true
		}
	} else {
		for _, m := range t.answer(&c.resp, kind) {
			t.client.Put(m)
		}
	}
	c.clear()
	t.s.calls.Put(c)
	return true
}

// failureOf tells a client that the function failed on its message.
func failureOf(err error) *live.Message {
	status, text := http.StatusInternalServerError, err.Error()
	var own *event.Error
	switch {
	case errors.Is(err, event.ErrStopping), errors.Is(err, event.ErrBusy), errors.Is(err, event.ErrNotRun):
		status = http.StatusServiceUnavailable
	case errors.Is(err, event.ErrTimeout):
		status = http.StatusRequestTimeout
	case errors.Is(err, event.ErrCrashed):
		status = http.StatusBadGateway
	case errors.As(err, &own):
		if text = own.Message; own.Status >= 200 && own.Status <= 599 {
			status = own.Status
		}
	}
	b, _ := json.Marshal(map[string]any{"error": text, "status": status}) // it has a form
	return &live.Message{Body: b}
}

// answer does what the function's response says, and returns what is to be sent
// back.
func (k *socket) answer(resp *event.Response, kind websocket.MessageType) []*live.Message {
	w := wishesOf(resp)
	if resp.Stream != nil {
		_ = resp.Stream.Close() // an answer is one message
		return []*live.Message{failureOf(errors.New("function answered a message with a stream"))}
	}
	for _, name := range w.unsubscribe {
		k.client.Unsubscribe(name)
	}
	var out []*live.Message
	for _, name := range w.subscribe {
		if err := k.client.Subscribe(name); err != nil {
			out = append(out, failureOf(err))
		}
	}
	k.s.tell(&w, resp)
	if m := messageOf(&w, resp, asBinary(resp, kind)); len(m.Body) > 0 && !w.told() {
		m.Binary = m.Binary || !utf8.Valid(m.Body)
		out = append(out, m)
	}
	if w.close {
		out = append(out, &live.Message{Last: true})
	}
	return out
}

// asBinary says how an answer is sent: as its content type says, or else as the
// message was that it answers.
func asBinary(resp *event.Response, kind websocket.MessageType) bool {
	if resp.ContentType == "" {
		return kind == websocket.MessageBinary
	}
	return isBinary(resp)
}

// event makes the event of a message, or of the connection's beginning or end.
func (k *socket) event(kind string, body []byte, of websocket.MessageType) *call {
	c := k.s.calls.Get().(*call)
	ev := &c.ev
	ev.Time = time.Now()
	ev.Method = []byte(http.MethodGet) // what a handler may write on is the event's own
	ev.URL, ev.Path = []byte(k.url), []byte(k.path)
	ev.ContentType = []byte(textPlain)
	if of == websocket.MessageBinary {
		ev.ContentType = []byte("application/octet-stream")
	}
	ev.Body = body
	ev.Headers, ev.Fields = append(event.Pairs{{Key: socketKind, Value: []byte(kind)}, {Key: socketID, Value: []byte(k.client.ID)}}, k.headers...), nil
	if len(k.fields) > 0 {
		ev.Fields = k.fields
	}
	ev.ID, ev.LogAsked = nil, false
	c.name()
	return c
}
