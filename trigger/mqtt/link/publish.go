package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/myelin-run/myelin/event"
)

// Publisher sends messages and waits until the broker has them. It connects
// when it is first used, and again after it lost the connection. Many goroutines
// may use it; its fields are not changed once it is used.
type Publisher struct {
	Dial     func(context.Context) (*Conn, error)
	Connects time.Duration     // how long an attempt to connect may take
	Patience time.Duration     // for a confirmation
	Means    func(error) error // says what the end of a connection means; may be nil

	mu     sync.Mutex
	line   *line
	closed bool
}

// Connect connects, unless that is done.
func (p *Publisher) Connect(ctx context.Context) error {
	_, err := p.open(ctx)
	return err
}

func (p *Publisher) open(ctx context.Context) (*line, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("publish: it has ended")
	}
	if p.line != nil {
		select {
		case <-p.line.ended:
			_ = p.line.Bye(false)
			p.line = nil
		default:
			return p.line, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, p.Connects)
	defer cancel()
	c, err := p.Dial(ctx)
	if err != nil {
		return nil, err
	}
	p.line = newLine(c)
	return p.line, nil
}

// Publish returns nil once the broker has the message, which is sent with its
// quality of service or the broker's highest. What cannot ever be published is a
// permanent error.
func (p *Publisher) Publish(ctx context.Context, m Message) error {
	return p.PublishAll(ctx, []Message{m})[0]
}

// PublishAll is Publish for several messages, which are on their way together
// in their order. It returns an error for each, nil for those that the broker has.
func (p *Publisher) PublishAll(ctx context.Context, ms []Message) []error {
	errs := make([]error, len(ms))
	l, err := p.open(ctx)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	late := time.AfterFunc(p.Patience, func() { l.Fail(errUnconfirmed) }) // others that wait on it do so no less in vain
	defer late.Stop()
	l.all(ctx, ms, errs)
	for i, err := range errs {
		errs[i] = p.means(err)
	}
	return errs
}

var errUnconfirmed = errors.New("the broker does not confirm what is published")

func (p *Publisher) means(err error) error {
	switch {
	case err == nil:
		return nil
	case p.Means != nil:
		return p.Means(err)
	case errors.Is(err, io.EOF):
		return errors.New("the broker closed the connection")
	}
	return err
}

// Close ends the connection, and what still waits for a confirmation.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.line == nil {
		return nil
	}
	_ = p.line.Bye(false) // all that was sent is confirmed or has failed
	return nil
}

// encode is a message as a packet.
func (l *line) encode(m *Message) ([]byte, error) {
	var raw bytes.Buffer
	if err := l.Codec.Publish(&raw, m); err != nil {
		return nil, event.Permanent(fmt.Errorf("encode message: %w", err))
	}
	if w := l.Welcome.Props; w != nil && w.MaximumPacketSize != nil && raw.Len() > int(*w.MaximumPacketSize) || raw.Len() > Largest {
		return nil, event.Permanent(fmt.Errorf("the message has %d bytes, more than the broker takes", raw.Len()))
	}
	return raw.Bytes(), nil
}
