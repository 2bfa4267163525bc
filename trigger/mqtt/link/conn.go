// Package link is a client's connection to an MQTT broker: packets of version 5
// and 3.1.1, signs of life, and publishing with the broker's confirmation. It is
// what the trigger and the binding share, and knows neither.
package link

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is one connection that the broker has let in. Its life: Enter makes it;
// Run starts to read and to give signs of life; the first error ends it, and so
// does Bye, which waits.
type Conn struct {
	// Codec is that of the version which both talk; Welcome is the broker's connack.
	Codec   Codec
	Welcome Packet

	net     net.Conn
	r       *bufio.Reader
	most    int           // bytes of a packet that is read
	alive   time.Duration // how long it may be silent
	timeout time.Duration // of a write

	tasks sync.WaitGroup
	heard atomic.Int64 // when something was read last, in nanoseconds
	full  atomic.Bool  // nothing is read, for there is no room
	ended chan struct{}
	once  sync.Once
	err   error // once ended

	mu     sync.Mutex
	w      *bufio.Writer
	broken error // of a write
	ids    uint16
	pings  int64 // sent
}

// What a broker, or what is none, does not do.
var (
	ErrSilent  = errors.New("the broker is silent")
	ErrOld     = errors.New("the broker does not know MQTT 5")
	ErrNotMQTT = errors.New("what answers is no MQTT broker")
)

// New is a connection over which nothing was said yet.
func New(nc net.Conn, c Codec, h Hello, timeout time.Duration) *Conn {
	return &Conn{net: nc, r: bufio.NewReaderSize(nc, 64<<10), w: bufio.NewWriterSize(nc, 32<<10), Codec: c, most: int(h.Most),
		alive: time.Duration(h.KeepAlive) * time.Second, timeout: timeout, ended: make(chan struct{})}
}

// Ended is closed once the connection has ended; Err is then why.
func (c *Conn) Ended() <-chan struct{} { return c.ended }

// Err is why the connection has ended; it is asked for after Ended only.
func (c *Conn) Err() error { return c.err }

// Hold says whether the reader waits for room, which is no silence of the broker.
func (c *Conn) Hold(waits bool) { c.full.Store(waits) }

// Enter shakes hands over a new connection. It knows no ctx: the caller bounds it.
func Enter(nc net.Conn, c Codec, h Hello, timeout time.Duration) (*Conn, error) {
	k := New(nc, c, h, timeout)
	if err := k.Send(func(w io.Writer) error { return c.Hello(w, h) }); err != nil {
		return nil, err
	}
	head, err := k.r.Peek(4)
	if err != nil {
		return nil, err
	}
	if head[0] != Connack<<4 {
		return nil, ErrNotMQTT
	}
	if c.Version() == 5 && head[1] == 2 { // as 3.1.1 has it
		return nil, ErrOld
	}
	p, err := k.Next()
	switch {
	case err != nil:
		return nil, err
	case p.OldCode != 0:
		return nil, &Refusal{Code: oldReasons[p.OldCode]}
	case p.Code >= 0x80:
		return nil, p.Refused(p.Code)
	}
	if p.Props != nil && p.Props.ServerKeepAlive != nil && *p.Props.ServerKeepAlive > 0 {
		k.alive = time.Duration(*p.Props.ServerKeepAlive) * time.Second
	}
	k.Welcome = p
	return k, nil
}

// Next reads a packet. Of a message that is larger than it may be it reads the
// beginning only.
func (c *Conn) Next() (p Packet, err error) {
	defer func() {
		if r := recover(); r != nil { // what the decoder did not expect
			err = fmt.Errorf("%w: %v", ErrNotMQTT, r)
		}
	}()
	kind, head, length, err := c.peek()
	if err != nil {
		return p, err
	}
	if head+length <= c.most {
		if p, err = c.Codec.Read(c.r); errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: a packet of kind %d ends early", ErrNotMQTT, kind>>4)
		}
		return p, err
	}
	if kind>>4 != Publish {
		return p, fmt.Errorf("%w: a packet of kind %d has %d bytes", ErrNotMQTT, kind>>4, length)
	}
	return c.skip(kind, head, length)
}

// peek looks at the kind of the packet to come, and how long it is.
func (c *Conn) peek() (kind byte, head, length int, err error) {
	for n := 2; n <= 5; n++ {
		b, err := c.r.Peek(n)
		if err != nil {
			return 0, 0, 0, err
		}
		if b[n-1] < 0x80 {
			for i := n - 1; i > 0; i-- {
				length = length<<7 | int(b[i]&0x7f)
			}
			return b[0], n, length, nil
		}
	}
	return 0, 0, 0, fmt.Errorf("%w: a packet without a length", ErrNotMQTT)
}

// skip reads topic and id of a message and drops the rest.
func (c *Conn) skip(kind byte, head, length int) (p Packet, err error) {
	p.Kind, p.Skipped = Publish, length
	p.Message.QoS = kind >> 1 & 3
	b := make([]byte, head+2)
	if _, err = io.ReadFull(c.r, b); err != nil {
		return p, err
	}
	topic := make([]byte, int(b[head])<<8|int(b[head+1]))
	left := length - 2 - len(topic)
	if p.Message.QoS > 0 {
		left -= 2
	}
	if left < 0 {
		return p, ErrNotMQTT
	}
	if _, err = io.ReadFull(c.r, topic); err != nil {
		return p, err
	}
	p.Message.Topic = string(topic)
	if p.Message.QoS > 0 {
		if _, err = io.ReadFull(c.r, b[:2]); err != nil {
			return p, err
		}
		p.Message.ID = uint16(b[0])<<8 | uint16(b[1])
	}
	_, err = io.CopyN(io.Discard, c.r, int64(left))
	return p, err
}

// Run begins to read, and calls on with what comes, until on or the connection
// fails.
func (c *Conn) Run(on func(*Packet) error) {
	c.heard.Store(time.Now().UnixNano())
	c.tasks.Go(func() {
		for {
			p, err := c.Next()
			c.heard.Store(time.Now().UnixNano())
			if err == nil && p.Kind == Disconnect {
				err = p.Refused(p.Code)
			}
			if err == nil {
				err = on(&p)
			}
			if err != nil {
				c.Fail(c.better(err))
				return
			}
		}
	})
	c.tasks.Go(c.pulse)
}

// better is why a write failed, if that is why the reader was ended.
func (c *Conn) better(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		return c.broken
	}
	return err
}

// pulse gives signs of life, and wants some.
func (c *Conn) pulse() {
	tick := time.NewTicker(c.alive / 3)
	defer tick.Stop()
	for {
		select {
		case <-c.ended:
			return
		case <-tick.C:
		}
		if c.full.Load() {
			c.heard.Store(time.Now().UnixNano())
		}
		if silent := time.Since(time.Unix(0, c.heard.Load())); silent > c.alive {
			c.Fail(fmt.Errorf("%w for %v", ErrSilent, silent.Round(time.Millisecond)))
			return
		}
		c.Ping()
	}
}

// Ping asks for a sign of life; it returns the number of the question.
func (c *Conn) Ping() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pings++
	_, _ = c.w.Write([]byte{Pingreq << 4, 0}) // an error stays in w
	_ = c.flush()
	return c.pings
}

// Send writes a packet.
func (c *Conn) Send(write func(w io.Writer) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.net.SetWriteDeadline(time.Now().Add(c.timeout)) // for what does not fit
	if err := write(c.w); err != nil {
		c.tear(err)
		return err
	}
	return c.flush()
}

// Put writes a packet that has nothing but an id, which is the same in both
// versions, and leaves it to a later flush.
func (c *Conn) Put(kind byte, id uint16) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.w.Available() < 4 {
		if err := c.flush(); err != nil {
			return err
		}
	}
	flags := byte(0)
	if kind == Pubrel {
		flags = 2
	}
	for _, b := range [...]byte{kind<<4 | flags, 2, byte(id >> 8), byte(id)} {
		_ = c.w.WriteByte(b) // it fits
	}
	return nil
}

// Tell sends what put has left.
func (c *Conn) Tell() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.flush()
}

// Leave writes a whole packet, of which as much as there is room for is left to
// a later flush.
func (c *Conn) Leave(raw []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.net.SetWriteDeadline(time.Now().Add(c.timeout)) // for what does not fit
	if _, err := c.w.Write(raw); err != nil {
		c.tear(err)
		return err
	}
	return nil
}

func (c *Conn) flush() error {
	if c.w.Buffered() == 0 {
		return nil
	}
	_ = c.net.SetWriteDeadline(time.Now().Add(c.timeout))
	if err := c.w.Flush(); err != nil {
		c.tear(err)
		return err
	}
	return nil
}

// lastWords is how long the reader may still find out, once nothing can be
// written, why the broker has closed the connection.
const lastWords = 200 * time.Millisecond

// tear notes that nothing can be written any more; mu is held.
func (c *Conn) tear(err error) {
	if c.broken == nil {
		c.broken = err
		_ = c.net.SetReadDeadline(time.Now().Add(lastWords))
	}
}

// Cause says why a write failed: what the reader found, or else err.
func (c *Conn) Cause(err error) error {
	t := time.NewTimer(2 * lastWords)
	defer t.Stop()
	select {
	case <-c.ended:
	case <-t.C: // it does not read, for there is no room
		c.Fail(err)
	}
	return c.err
}

// Number is an id for what is sent next.
func (c *Conn) Number() uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ids++; c.ids == 0 {
		c.ids = 1
	}
	return c.ids
}

// Fail ends the connection.
func (c *Conn) Fail(err error) {
	c.once.Do(func() {
		c.err = err
		close(c.ended)
		_ = c.net.Close() // nobody waits for it
	})
}

// partTime is how long the broker may take to close a connection after goodbye.
const partTime = 2 * time.Second

// Bye says goodbye, if anybody hears, and waits for the end. The broker is left
// to close the connection: to close it first, while messages come, is a reset,
// and that can overtake the acks before the goodbye.
func (c *Conn) Bye(forGood bool) error {
	var err error
	select {
	case <-c.ended:
	default:
		err = c.Send(func(w io.Writer) error { return c.Codec.Bye(w, forGood) })
	}
	if err == nil {
		t := time.NewTimer(partTime)
		defer t.Stop()
		select {
		case <-c.ended:
		case <-t.C:
		}
	}
	c.Fail(net.ErrClosed)
	c.tasks.Wait()
	return err
}

// Await waits for one of what a reader hands over.
func Await[T any](ctx context.Context, c *Conn, what string, ch <-chan T) (v T, err error) {
	select {
	case v = <-ch:
		return v, nil
	case <-c.ended:
		return v, c.err
	case <-ctx.Done():
		return v, fmt.Errorf("wait for %s: %w", what, ctx.Err())
	}
}
