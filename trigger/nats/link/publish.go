package link

import (
	"context"
	"sync"
)

// Publisher is a connection for what is sent, made when it is first needed and
// anew when it was lost. Many goroutines may use it.
type Publisher struct {
	Dialer *Dialer

	mu   sync.Mutex
	conn *Conn
}

// Conn returns a connection that was not lost a moment ago.
func (p *Publisher) Conn(ctx context.Context) (*Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil && !p.conn.IsClosed() {
		return p.conn, nil
	}
	c, err := p.Dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	if p.conn != nil {
		p.conn.Close()
	}
	p.conn = c
	return c, nil
}

// Close ends the connection, if there is one.
func (p *Publisher) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}
