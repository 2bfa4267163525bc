// Package fault stands between a client and a server on loopback and spoils
// their connection: cut, refused, slow, narrow, silent, half closed. It passes
// bytes on and knows no protocol.
package fault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/myelin-run/myelin/test/port"
)

// Proxy passes TCP connections on to a target. All methods may be called at any
// time by any goroutine; what they change holds for the connections there are
// and for those to come.
type Proxy struct {
	port   *port.Port
	target string

	mu       sync.Mutex
	listener net.Listener // nil while it refuses
	closed   bool
	weather  weather
	changed  chan struct{} // closed and renewed with each change of the weather
	pairs    map[*pair]struct{}
	tap      func(Passed)
	taken    uint64
	running  sync.WaitGroup
}

// weather is what happens to bytes on their way.
type weather struct {
	delay, jitter time.Duration
	perSecond     int // bytes, each way of each connection; 0 is no limit
	hole          bool
}

// Listen starts a proxy to target on a free port of loopback.
func Listen(target string) (*Proxy, error) {
	own, err := port.Take()
	if err != nil {
		return nil, err
	}
	p := &Proxy{port: own, target: target, pairs: map[*pair]struct{}{}, changed: make(chan struct{})}
	if err := p.listen(); err != nil {
		return nil, errors.Join(err, own.Release())
	}
	return p, nil
}

// Addr is where clients connect.
func (p *Proxy) Addr() string { return p.port.Addr() }

// Cut resets every connection and refuses new ones until Restore.
func (p *Proxy) Cut() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.deafen()
	p.reset()
	return err
}

// Reset resets every connection there is; new ones are taken.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reset()
}

// Restore undoes Cut, Blackhole, Delay and Limit. Connections that a blackhole
// swallowed bytes of are reset, for what was lost cannot be made good.
func (p *Proxy) Restore() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	if p.weather.hole {
		p.reset()
	}
	p.change(weather{})
	if p.listener != nil {
		return nil
	}
	return p.listen()
}

// Delay holds back all bytes for d, give or take up to jitter, in order.
func (p *Proxy) Delay(d, jitter time.Duration) {
	p.alter(func(w *weather) { w.delay, w.jitter = d, min(jitter, d) })
}

// Limit lets each connection carry so many bytes a second each way; 0 lifts it.
func (p *Proxy) Limit(perSecond int) { p.alter(func(w *weather) { w.perSecond = perSecond }) }

// Blackhole takes connections and bytes and passes nothing on, not even an end.
func (p *Proxy) Blackhole() { p.alter(func(w *weather) { w.hole = true }) }

// HalfClose ends every connection in one direction: the servers read an end,
// the clients go on being answered, and what they still send is lost.
func (p *Proxy) HalfClose() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for pair := range p.pairs {
		errs = append(errs, pair.halfClose())
	}
	return errors.Join(errs...)
}

// Connections is how many it carries now.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pairs)
}

// Close resets what it carries and waits for its goroutines.
func (p *Proxy) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	err := p.deafen()
	p.reset()
	p.mu.Unlock()
	p.running.Wait()
	if first {
		err = errors.Join(err, p.port.Release())
	}
	return err
}

func (p *Proxy) alter(f func(*weather)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.weather
	f(&w)
	p.change(w)
}

func (p *Proxy) change(w weather) {
	p.weather = w
	close(p.changed)
	p.changed = make(chan struct{})
}

// now is the weather, and a channel that is closed when it changes.
func (p *Proxy) now() (weather, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.weather, p.changed
}

func (p *Proxy) deafen() error {
	if p.listener == nil {
		return nil
	}
	err := p.listener.Close()
	p.listener = nil
	return err
}

// listen takes the address again after a Cut, though connections of before
// still fade.
func (p *Proxy) listen() error {
	l, err := net.Listen("tcp", p.Addr())
	if err != nil {
		return fmt.Errorf("listen for %s: %w", p.target, err)
	}
	p.listener = l
	p.running.Go(func() { p.accept(l) })
	return nil
}

func (p *Proxy) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed by deafen
		}
		p.running.Go(func() { p.carry(l, conn.(*net.TCPConn)) })
	}
}

// carry passes one connection on until both sides have ended.
func (p *Proxy) carry(l net.Listener, client *net.TCPConn) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	pair := &pair{proxy: p, client: client, ctx: ctx, stop: stop}
	if !p.add(l, pair) {
		reset(client)
		return
	}
	defer p.remove(pair)
	pair.run()
}

// add counts a connection in, unless it came before a Cut and is seen after.
func (p *Proxy) add(l net.Listener, c *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != l {
		return false
	}
	p.taken++
	c.tap, c.number = p.tap, p.taken
	p.pairs[c] = struct{}{}
	return true
}

func (p *Proxy) remove(c *pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pairs, c)
}

func (p *Proxy) reset() {
	for pair := range p.pairs {
		pair.reset()
	}
}
