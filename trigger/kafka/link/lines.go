package link

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// Lines are the connections of clients that can be cut all at once. The
// client waits for answers longer than its callers do: a broker that says
// nothing would hold up Connect and Close.
type Lines struct {
	tls     *tls.Config // nil for none
	timeout time.Duration

	mu   sync.Mutex
	open map[*line]struct{}
	over bool
}

type line struct {
	net.Conn
	of *Lines
}

func (l *line) Close() error {
	l.of.mu.Lock()
	delete(l.of.open, l)
	l.of.mu.Unlock()
	return l.Conn.Close()
}

// dial opens a connection, unless all were cut.
func (ls *Lines) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: ls.timeout}
	var c net.Conn
	var err error
	if ls.tls != nil {
		ctx, cancel := context.WithTimeout(ctx, ls.timeout)
		defer cancel()
		c, err = (&tls.Dialer{NetDialer: d, Config: ls.tls}).DialContext(ctx, network, addr)
	} else {
		c, err = d.DialContext(ctx, network, addr)
	}
	if err != nil {
		return nil, err
	}
	l := &line{c, ls}
	if !ls.keep(l) {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	return l, nil
}

func (ls *Lines) keep(l *line) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if !ls.over {
		if ls.open == nil {
			ls.open = map[*line]struct{}{}
		}
		ls.open[l] = struct{}{}
	}
	return !ls.over
}

// Cut closes what is open and lets nothing be opened any more.
func (ls *Lines) Cut() {
	ls.mu.Lock()
	ls.over = true
	open := ls.open
	ls.open = nil
	ls.mu.Unlock()
	for l := range open {
		_ = l.Conn.Close()
	}
}
