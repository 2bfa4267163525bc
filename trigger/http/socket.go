package http

import (
	"bytes"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/coder/websocket"
	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger/http/live"
)

// The headers of an event of a WebSocket.
const (
	socketKind = "X-Myelin-Websocket"  // "open", "message" or "close"
	socketID   = "X-Myelin-Connection" // the connection's
)

// socket is a connection that became a WebSocket, or is about to.
type socket struct {
	s       *server
	client  *live.Client
	url     string // of the handshake, as are path, headers and fields
	path    string
	fields  event.Pairs // not changed, as are the headers
	headers event.Pairs
	hand    http.Request    // the same, for the library
	first   []*live.Message // what the function answered to it
	conn    chan net.Conn   // gets it when it was handed over
	done    chan struct{}   // closed when it is not needed any more
	ws      *websocket.Conn
}

// asksSocket says that a request is a handshake.
func asksSocket(ctx *fasthttp.RequestCtx) bool {
	return ctx.IsGet() && ctx.Request.Header.ConnectionUpgrade() && strings.EqualFold(string(ctx.Request.Header.Peek(fasthttp.HeaderUpgrade)), "websocket")
}

// open answers a handshake. If it agrees, the connection goes on with carry.
func (s *server) open(ctx *fasthttp.RequestCtx) {
	c, ok := ctx.Conn().(*conn)
	switch {
	case !ok:
		fail(&ctx.Response, fasthttp.StatusNotImplemented, "no WebSocket can be opened here")
		return
	case s.draining.Load():
		s.refused(&ctx.Response, event.ErrStopping)
		return
	case !s.cfg.WebSocket.allows(string(ctx.Request.Header.Peek(fasthttp.HeaderOrigin)), string(ctx.Request.Host())):
		fail(&ctx.Response, fasthttp.StatusForbidden, "a page of this origin may not open a WebSocket here (websocket.origins)")
		return
	}
	client, err := s.hub.Open()
	if err != nil {
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "1")
		fail(&ctx.Response, fasthttp.StatusServiceUnavailable, err.Error())
		return
	}
	k := &socket{s: s, client: client, conn: make(chan net.Conn, 1), done: make(chan struct{})}
	k.take(ctx)
	if s.cfg.WebSocket.Lifecycle && !k.welcome(ctx) {
		client.End(live.ErrGone)
		return
	}
	c.socket = k
	ctx.HijackSetNoResponse(true) // the library answers
	ctx.Hijack(func(nc net.Conn) {
		k.conn <- nc
		<-k.done
	})
}

// take keeps what of the handshake its events have.
func (k *socket) take(ctx *fasthttp.RequestCtx) {
	k.url, k.path = string(ctx.RequestURI()), string(pathOf(ctx))
	k.hand = http.Request{Method: http.MethodGet, ProtoMajor: 1, ProtoMinor: 1, Host: string(ctx.Host()), URL: &url.URL{}, Header: http.Header{}}
	ctx.Request.Header.VisitAll(func(key, value []byte) {
		k.hand.Header.Add(string(key), string(value))
		if name := string(key); name != socketKind && name != socketID { // these are ours to say
			k.headers = append(k.headers, event.Pair{Key: name, Value: bytes.Clone(value)})
		}
	})
	ctx.QueryArgs().VisitAll(func(key, value []byte) {
		k.fields = append(k.fields, event.Pair{Key: string(key), Value: bytes.Clone(value)})
	})
}

// welcome has the function say whether it wants the connection, and answers the
// client if it does not.
func (k *socket) welcome(ctx *fasthttp.RequestCtx) bool {
	c := k.event("open", nil, websocket.MessageText)
	err := k.s.invoke(c)
	if err != nil && event.Abandoned(err) {
		k.s.refused(&ctx.Response, err)
		return false
	}
	defer k.s.calls.Put(c)
	defer c.clear()
	if err != nil || c.resp.Status >= 300 {
		k.s.respond(ctx, c, err)
		return false
	}
	k.first = k.answer(&c.resp, websocket.MessageText)
	return true
}

// allows says whether a page of an origin may open a WebSocket to host. Clients
// that are no browsers say no origin.
func (w *WebSocket) allows(origin, host string) bool {
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	if strings.EqualFold(u.Host, host) {
		return true
	}
	for _, pattern := range w.Origins {
		of := u.Host
		if strings.Contains(pattern, "://") {
			of = u.Scheme + "://" + u.Host
		}
		if ok, _ := path.Match(strings.ToLower(pattern), strings.ToLower(of)); ok { // it was validated
			return true
		}
	}
	return false
}

// upgrader lets the library answer the handshake on a connection that is no
// longer the HTTP server's.
type upgrader struct {
	nc     net.Conn
	header http.Header
}

// Header implements [http.ResponseWriter].
func (u *upgrader) Header() http.Header { return u.header }
