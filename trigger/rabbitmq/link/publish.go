package link

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/myelin-run/myelin/event"
)

// ErrNoRoute says that the broker has no queue for what was published.
var ErrNoRoute = errors.New("no queue takes it")

// Publisher publishes with the broker's confirmation. It connects when it is
// first used, and again after it lost its channel. Many goroutines may use it.
type Publisher struct {
	Dial     func(context.Context) (*amqp.Connection, error)
	Patience time.Duration // for a confirmation; 0: 30s

	mu     sync.Mutex
	link   *link
	closed bool
}

// Out is a message and where it goes. Its MessageId is no other's that is on
// its way.
type Out struct {
	Exchange, Key string
	Message       amqp.Publishing
}

// Publish returns nil once the broker has the message, in every queue that it
// goes to. What cannot ever be published is a permanent error.
func (p *Publisher) Publish(ctx context.Context, exchange, key string, m amqp.Publishing) error {
	return p.PublishAll(ctx, []Out{{exchange, key, m}})[0]
}

// PublishAll is Publish for several messages, which are on their way together
// in their order. It returns an error for each, nil for those that the broker has.
func (p *Publisher) PublishAll(ctx context.Context, outs []Out) []error {
	errs := make([]error, len(outs))
	l, err := p.open(ctx)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	patience := p.Patience
	if patience == 0 {
		patience = 30 * time.Second
	}
	late := time.AfterFunc(patience, func() { Discard(l.conn) }) // others that wait on it do so no less in vain
	defer late.Stop()
	sent := make([]*waiter, len(outs))
	for i := range outs {
		if sent[i], err = l.send(outs[i].Exchange, outs[i].Key, outs[i].Message); err != nil {
			errs[i] = fmt.Errorf("publish: %w", err)
		}
	}
	began := time.Now()
	for i, w := range sent {
		if w == nil {
			continue
		}
		errs[i] = w.wait(ctx, len(outs[i].Message.Body))
		if errs[i] != nil && ctx.Err() == nil && time.Since(began) >= patience {
			errs[i] = fmt.Errorf("publish: RabbitMQ has not confirmed within %v%s", patience, l.blocked())
		}
	}
	return errs
}

// wait returns what the broker said of a message of that size.
func (w *waiter) wait(ctx context.Context, size int) error {
	select {
	case <-w.done:
		return explainPublish(w.err, size)
	default:
	}
	select {
	case <-w.done:
		return explainPublish(w.err, size)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Connect connects, unless that is done.
func (p *Publisher) Connect(ctx context.Context) error {
	_, err := p.open(ctx)
	return err
}

// explainPublish finds errors that come again.
func explainPublish(err error, size int) error {
	var e *amqp.Error
	if errors.As(err, &e) && e.Code == amqp.PreconditionFailed && strings.Contains(e.Reason, "message size "+strconv.Itoa(size)) {
		return event.Permanent(fmt.Errorf("publish: the message is too large for RabbitMQ: %w", err))
	}
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// open returns the link, a new one if there is none that lives.
func (p *Publisher) open(ctx context.Context) (*link, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("publish: it has ended")
	}
	if p.link != nil && !p.link.ch.IsClosed() {
		return p.link, nil
	}
	p.drop()
	conn, err := p.Dial(ctx)
	if err != nil {
		return nil, err
	}
	l, err := newLink(conn)
	if err != nil {
		Discard(conn)
		return nil, fmt.Errorf("open channel: %w", err)
	}
	p.link = l
	return l, nil
}

func (p *Publisher) drop() {
	if p.link != nil {
		p.link.close()
		p.link = nil
	}
}

// Close ends the connection, and what still waits for a confirmation.
func (p *Publisher) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.drop()
}

// link is one connection with a channel in confirm mode.
type link struct {
	conn     *amqp.Connection
	ch       *amqp.Channel
	returns  chan amqp.Return
	confirms chan amqp.Confirmation
	closes   chan *amqp.Error
	blocks   chan amqp.Blocking
	ended    chan struct{}

	sending sync.Mutex // the numbers of what is sent are in its order

	mu      sync.Mutex
	waiting map[uint64]*waiter
	byID    map[string]uint64
	block   string // why the broker takes nothing
	err     error
}

type waiter struct {
	id   string
	err  error // valid once done is closed
	done chan struct{}
}

func newLink(conn *amqp.Connection) (*link, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	if err := ch.Confirm(false); err != nil {
		return nil, err
	}
	// Neither has a buffer: a return is seen before the confirmation behind it.
	l := &link{conn: conn, ch: ch, returns: ch.NotifyReturn(make(chan amqp.Return)), confirms: ch.NotifyPublish(make(chan amqp.Confirmation)),
		closes: ch.NotifyClose(make(chan *amqp.Error, 1)), blocks: conn.NotifyBlocked(make(chan amqp.Blocking, 8)),
		ended: make(chan struct{}), waiting: map[uint64]*waiter{}, byID: map[string]uint64{}}
	go l.watch()
	return l, nil
}

// send publishes and returns who waits for the confirmation.
func (l *link) send(exchange, key string, m amqp.Publishing) (*waiter, error) {
	l.sending.Lock()
	defer l.sending.Unlock()
	n := l.ch.GetNextPublishSeqNo()
	w := &waiter{id: m.MessageId, done: make(chan struct{})}
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return nil, l.err
	}
	l.waiting[n], l.byID[w.id] = w, n
	l.mu.Unlock()
	if err := l.ch.Publish(exchange, key, true, false, m); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.waiting, n)
		return nil, err
	}
	return w, nil
}

// watch hears the broker until the channel is closed, and then ends all waits.
func (l *link) watch() {
	defer close(l.ended)
	returns, blocks := l.returns, l.blocks
	for {
		select {
		case r, ok := <-returns:
			if !ok {
				returns = nil
				continue
			}
			l.returned(r)
		case b, ok := <-blocks:
			if !ok {
				blocks = nil
				continue
			}
			l.mu.Lock()
			l.block = b.Reason
			l.mu.Unlock()
		case c, ok := <-l.confirms:
			if !ok {
				l.fail()
				return
			}
			l.confirmed(c)
		}
	}
}

func (l *link) returned(r amqp.Return) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.waiting[l.byID[r.MessageId]]; w != nil {
		w.err = fmt.Errorf("%w: exchange %q, routing key %q: %s", ErrNoRoute, r.Exchange, r.RoutingKey, r.ReplyText)
	}
}

func (l *link) confirmed(c amqp.Confirmation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.waiting[c.DeliveryTag]
	if w == nil {
		return
	}
	if !c.Ack {
		w.err = errors.New("RabbitMQ could not take it")
	}
	l.forget(c.DeliveryTag, w)
}

func (l *link) forget(n uint64, w *waiter) {
	delete(l.waiting, n)
	if l.byID[w.id] == n {
		delete(l.byID, w.id)
	}
	close(w.done)
}

func (l *link) fail() {
	var err error = amqp.ErrClosed
	if e := <-l.closes; e != nil {
		err = e
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	for n, w := range l.waiting {
		w.err = err
		l.forget(n, w)
	}
}

func (l *link) blocked() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.block == "" {
		return ""
	}
	return " (it takes nothing: " + l.block + ")"
}

// close ends the connection and waits for watch.
func (l *link) close() {
	_ = l.conn.CloseDeadline(time.Now().Add(2 * time.Second))
	<-l.ended
}
