// Package live keeps the clients that hear what functions say without having
// asked: who they are, which channels they are in, and what waits to be sent to
// each. It knows neither WebSocket nor HTTP, and sends nothing itself.
package live

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync"
)

// Why a client hears no more.
var (
	// ErrFull says that there are as many clients as there may be.
	ErrFull = errors.New("too many clients")
	// ErrEnding says that the hub takes no more clients, and ends those it has.
	ErrEnding = errors.New("processor is stopping")
	// ErrSlow says that a client did not read what was sent to it.
	ErrSlow = errors.New("client reads too slowly")
	// ErrGone says that a client has left.
	ErrGone = errors.New("client has gone")
	// ErrChannel says that a channel cannot be heard.
	ErrChannel = errors.New("channel: want 1 to 200 visible ASCII characters without a comma, and at most 100 channels of a client")
)

const (
	mostChannels = 100 // of a client
	longest      = 200 // name of a channel
)

// Hub has the clients of one trigger. Its methods may be called from any
// goroutine.
type Hub struct {
	queued int // bytes that may wait for a client
	prefix string
	ending chan struct{}

	mu       sync.Mutex
	room     int
	count    uint64
	clients  map[string]*Client
	channels map[string]map[*Client]struct{}
}

// New makes a hub for so many clients, for each of which so many bytes may wait.
func New(clients, queued int) *Hub {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return &Hub{room: clients, queued: queued, prefix: hex.EncodeToString(b[:]), ending: make(chan struct{}),
		clients: map[string]*Client{}, channels: map[string]map[*Client]struct{}{}}
}

// Open makes a client. Close is to be called once it has gone.
func (h *Hub) Open() (*Client, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.isEnding():
		return nil, ErrEnding
	case len(h.clients) >= h.room:
		return nil, ErrFull
	}
	h.count++
	var n [4]byte
	for i := range n {
		n[i] = byte(h.count >> (24 - 8*i)) //nolint:gosec // a byte of it
	}
	c := &Client{ID: h.prefix + hex.EncodeToString(n[:]), hub: h, wake: make(chan struct{}, 1), gone: make(chan struct{}), in: map[string]struct{}{}}
	h.clients[c.ID] = c
	return c, nil
}

// Ending is closed when the hub ends.
func (h *Hub) Ending() <-chan struct{} { return h.ending }

func (h *Hub) isEnding() bool {
	select {
	case <-h.ending:
		return true
	default:
		return false
	}
}

// End takes no more clients, and tells those that there are.
func (h *Hub) End() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.isEnding() {
		close(h.ending)
	}
}

// Send has a client told, and says how many that is.
func (h *Hub) Send(id string, m *Message) int {
	h.mu.Lock()
	c := h.clients[id]
	h.mu.Unlock()
	if c != nil && c.Put(m) {
		return 1
	}
	return 0
}

// Publish has all clients of a channel told, and says how many they are.
func (h *Hub) Publish(channel string, m *Message) (n int) {
	h.mu.Lock()
	in := make([]*Client, 0, len(h.channels[channel]))
	for c := range h.channels[channel] {
		in = append(in, c)
	}
	h.mu.Unlock()
	for _, c := range in {
		if c.Put(m) {
			n++
		}
	}
	return n
}

// Message is what a client is told. It is shared, and never changed.
type Message struct {
	Body   []byte
	Binary bool
	Name   string // of the event, for clients that know such
	ID     string // likewise
	Last   bool   // it has nothing to say but that the client is to go
}

// Client is one that hears. One goroutine at a time calls Next; the other
// methods may be called from any.
type Client struct {
	ID   string
	hub  *Hub
	gone chan struct{}
	wake chan struct{}

	mu    sync.Mutex
	queue []*Message
	bytes int
	err   error
	in    map[string]struct{} // guarded by the hub's mu
}

// Put queues a message, and reports whether it did. A client for which too much
// waits is ended.
func (c *Client) Put(m *Message) bool {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return false
	}
	if c.bytes += len(m.Body) + overhead; c.bytes > c.hub.queued && len(c.queue) > 0 {
		c.mu.Unlock()
		c.End(ErrSlow)
		return false
	}
	c.queue = append(c.queue, m)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return true
}

// overhead is what a message counts besides its body.
const overhead = 64

// Take returns all that waits, and makes room for as much.
func (c *Client) Take() ([]*Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ms := c.queue
	c.queue, c.bytes = nil, 0
	return ms, c.err
}

// Waits is sent to when there may be something to take.
func (c *Client) Waits() <-chan struct{} { return c.wake }

// Gone is closed when the client is ended.
func (c *Client) Gone() <-chan struct{} { return c.gone }

// End has the client hear no more, for the reason given; the first one counts.
func (c *Client) End(why error) {
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = why
		close(c.gone)
	}
	c.mu.Unlock()
	if !first {
		return
	}
	h := c.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.clients, c.ID)
	for name := range c.in {
		h.drop(c, name)
	}
}

// Subscribe has the client hear a channel.
func (c *Client) Subscribe(channel string) error {
	h := c.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.clients[c.ID]; !ok {
		return ErrGone
	}
	if _, ok := c.in[channel]; ok {
		return nil
	}
	if !named(channel) || len(c.in) >= mostChannels {
		return ErrChannel
	}
	c.in[channel] = struct{}{}
	if h.channels[channel] == nil {
		h.channels[channel] = map[*Client]struct{}{}
	}
	h.channels[channel][c] = struct{}{}
	return nil
}

// Unsubscribe has the client hear a channel no more.
func (c *Client) Unsubscribe(channel string) {
	c.hub.mu.Lock()
	defer c.hub.mu.Unlock()
	c.hub.drop(c, channel)
}

// drop takes a client out of a channel. mu is held.
func (h *Hub) drop(c *Client, channel string) {
	delete(c.in, channel)
	if delete(h.channels[channel], c); len(h.channels[channel]) == 0 {
		delete(h.channels, channel)
	}
}

func named(channel string) bool {
	for i := range len(channel) {
		if b := channel[i]; b <= ' ' || b > '~' || b == ',' {
			return false
		}
	}
	return channel != "" && len(channel) <= longest
}
