package http

import (
	"io"
	"net"

	"github.com/myelin-run/myelin/processor/trunk"
)

// mayLead says whether a connection may become a trunk: none that is on a trunk
// itself, and none from another machine, whose client would have many
// connections for the price of one.
func mayLead(nc net.Conn) bool {
	if _, on := nc.(*trunk.Conn); on {
		return false
	}
	from, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return true // a socket of this machine
	}
	to, ok := nc.LocalAddr().(*net.TCPAddr)
	return from.IP.IsLoopback() || ok && from.IP.Equal(to.IP)
}

// plainOnly says that a connection cannot begin as anything but HTTP/1.
func (s *server) plainOnly(nc net.Conn) bool {
	if _, on := nc.(*trunk.Conn); on {
		return true
	}
	return s.h2 == nil && !mayLead(nc)
}

// carry serves the connections on the trunk that c became, until it ends.
func (s *server) carry(c *conn) {
	defer c.Conn.Close()
	if !c.greeted() {
		return
	}
	c.enter(running) // without a timeout: its connections have theirs
	w := &crew{s: s}
	w.t = trunk.New(c.Conn, func(v *trunk.Conn) { s.take(v, w) })
	w.t.Settle(w.settle)
	t := w.t
	s.mu.Lock()
	c.trunk = t
	s.mu.Unlock()
	if s.draining.Load() {
		t.Leave()
	}
	_ = t.Run() // the other side sees as much
	w.end()
}

// greeted reads the rest of the preface and answers it.
func (c *conn) greeted() bool {
	rest := make([]byte, max(len(trunk.Preface)-len(c.lead), 0))
	if _, err := io.ReadFull(c, rest); err != nil || string(c.lead)+string(rest) != trunk.Preface {
		return false
	}
	_, err := io.WriteString(c, trunk.Preface)
	return err == nil
}

// leave tells the trunks' other ends to open no more connections, and those who
// hear what functions say that they will hear no more.
func (s *server) leave() {
	if s.hub != nil {
		s.hub.End()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.trunk != nil {
			c.trunk.Leave()
		}
	}
}
