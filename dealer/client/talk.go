package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/myelin-run/myelin/dealer"
)

const dialTime = 2 * time.Second

// talk connects to a dealer and beats until the connection or the membership
// ends. It returns nil in the latter case.
func (c *Client) talk(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, lines := io.Pipe()
	defer lines.Close()
	transport, req, err := c.request(ctx, body)
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	giveUp := time.AfterFunc(writeTime, cancel) // the transport's own time begins with the end of the body
	resp, err := transport.RoundTrip(req)       //nolint:bodyclose // it is closed below, before listen ends
	giveUp.Stop()
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("connect: %s", resp.Status)
	}
	replies, ended := make(chan []dealer.Reply), make(chan error, 1)
	over := make(chan struct{})
	go func() {
		defer close(over)
		ended <- listen(ctx, resp.Body, replies)
	}()
	err = c.serve(ctx, &patient{lines, cancel}, replies, ended)
	cancel() // ends listen and whatever still writes
	_ = lines.Close()
	_ = resp.Body.Close()
	<-over
	return err
}

func (c *Client) request(ctx context.Context, body io.Reader) (*http.Transport, *http.Request, error) {
	network, addr := "tcp", c.o.Addresses[c.at]
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTime}).DialContext(ctx, network, addr)
		},
		DisableCompression: true,
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://dealer"+dealer.Path, body)
	if err != nil {
		return nil, nil, fmt.Errorf("connect: %w", err)
	}
	return t, req, nil
}

// listen reads lines of replies.
func listen(ctx context.Context, r io.Reader, to chan<- []dealer.Reply) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), dealer.MaxLine)
	for lines.Scan() {
		var rs []dealer.Reply
		if err := json.Unmarshal(lines.Bytes(), &rs); err != nil {
			return fmt.Errorf("read answers: %w", err)
		}
		select {
		case to <- rs:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read answers: %w", err)
	}
	return io.ErrUnexpectedEOF
}

var errHeardEnd = errors.New("the dealer ended the stream")

// silence is how many beats may stay unanswered before another dealer is tried.
const silence = 4

// serve beats on one connection.
func (c *Client) serve(ctx context.Context, w io.Writer, replies <-chan []dealer.Reply, ended <-chan error) error {
	c.untell()
	unheard := 0
	tick := time.NewTimer(0)
	defer tick.Stop()
	for !c.left() {
		c.expire()
		c.tell()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return fmt.Errorf("%w: %w", errHeardEnd, err)
		case rs := <-replies:
			unheard = 0
			c.hear(rs)
			continue
		case <-c.kick:
		case <-tick.C:
			if unheard++; unheard > silence {
				return errors.New("the dealer does not answer")
			}
		}
		if err := c.say(w); err != nil {
			return err
		}
		tick.Reset(c.every)
	}
	return nil
}

// patient gives up the connection when a line is not taken in time.
type patient struct {
	w      io.Writer
	giveUp func()
}

const writeTime = 5 * time.Second

func (p *patient) Write(b []byte) (int, error) {
	defer time.AfterFunc(writeTime, p.giveUp).Stop()
	return p.w.Write(b)
}

// untell has all resources told again: the dealer may be another.
func (c *Client) untell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		m.untold = true
	}
}

// say sends one line with a beat for each table.
func (c *Client) say(w io.Writer) error {
	c.mu.Lock()
	var calls []dealer.Call
	for _, m := range c.members {
		if m.h.Left() {
			continue
		}
		call := dealer.Call{Table: m.table, Beat: m.h.Beat(c.now())}
		if m.untold {
			call.Resources, call.Edition, m.untold = m.resources, m.edition, false
		}
		call.Seen, m.seen = m.seen, nil
		calls = append(calls, call)
	}
	c.mu.Unlock()
	if len(calls) == 0 {
		return nil
	}
	b, err := json.Marshal(calls)
	if err != nil {
		return fmt.Errorf("write beats: %w", err)
	}
	if _, err := w.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write beats: %w", err)
	}
	return nil
}

func (c *Client) hear(rs []dealer.Reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fails = 0
	for _, r := range rs {
		m := c.members[r.Table]
		if m == nil {
			continue
		}
		m.order(m.h.Answer(c.now(), r.Answer))
		if ttl := time.Duration(r.Answer.TTL) * time.Millisecond; ttl > 0 {
			c.every = min(c.o.Beat, ttl/4)
		}
	}
}
