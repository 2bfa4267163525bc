package http

import (
	"net"
	"net/http"
	"net/netip"
)

// peerOf is the connection of a request of HTTP/2, of which fasthttp is told the
// addresses only.
type peerOf struct {
	net.Conn // none
	local    net.Addr
	remote   net.TCPAddr
}

func (p *peerOf) set(r *http.Request) {
	p.local, _ = r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	at, _ := netip.ParseAddrPort(r.RemoteAddr) // none: no address
	p.remote = net.TCPAddr{IP: at.Addr().AsSlice(), Port: int(at.Port())}
}

// LocalAddr implements [net.Conn].
func (p *peerOf) LocalAddr() net.Addr { return p.local }

// RemoteAddr implements [net.Conn].
func (p *peerOf) RemoteAddr() net.Addr { return &p.remote }
