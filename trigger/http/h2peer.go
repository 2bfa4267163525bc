package http

import (
	"net"
	"net/http"
)

// peerOf is the connection of requests of HTTP/2, of which fasthttp is told the
// addresses only. All requests of a connection share one.
type peerOf struct {
	net.Conn      // none
	local, remote net.Addr
}

// peerKey is what a request's context has it under.
type peerKey struct{}

func newPeer(c net.Conn) *peerOf { return &peerOf{local: c.LocalAddr(), remote: c.RemoteAddr()} }

// peerH2 is the connection of r.
func peerH2(r *http.Request) *peerOf {
	p, _ := r.Context().Value(peerKey{}).(*peerOf)
	return p
}

// LocalAddr implements [net.Conn].
func (p *peerOf) LocalAddr() net.Addr { return p.local }

// RemoteAddr implements [net.Conn].
func (p *peerOf) RemoteAddr() net.Addr { return p.remote }
