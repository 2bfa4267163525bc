package http

import (
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/myelin-run/myelin/quantity"
)

// WebSocket has clients open WebSockets on any path.
type WebSocket struct {
	// Lifecycle has the function run when a connection opens, which it may
	// refuse by its status, and when it has closed. Default false.
	Lifecycle bool `json:"lifecycle,omitempty"`
	// Origins of pages that may connect, beside those of the same host: hosts
	// or origins with * as in "*.example.com". Default none.
	Origins []string `json:"origins,omitempty"`
	// Subprotocols that are agreed to if a client offers them. Default none.
	Subprotocols []string `json:"subprotocols,omitempty"`
	// MaxMessageSize in bytes, default 1 MiB; a larger one ends its connection
	// with code 1009.
	MaxMessageSize quantity.Size `json:"maxMessageSize,omitempty"`
	// PingInterval is how often clients are asked whether they are there, and
	// how long they may take to answer; default 30s, negative for never.
	PingInterval quantity.Duration `json:"pingInterval,omitempty"`
}

// Live bounds the clients of WebSockets and server-sent events.
type Live struct {
	// MaxClients at once, default 10000; another one gets 503.
	MaxClients int `json:"maxClients,omitempty"`
	// MaxQueued is how many bytes may wait for a client, default 1 MiB. One for
	// which more would is disconnected.
	MaxQueued quantity.Size `json:"maxQueued,omitempty"`
}

const (
	defaultMessage = 1 << 20
	defaultClients = 10_000
	defaultQueued  = 1 << 20
	defaultPing    = quantity.Duration(30 * time.Second)
)

// completeLive fills in the defaults of what was not said, and checks the rest.
func (c *Config) completeLive() error {
	if l := &c.Live; l.MaxClients < 0 || l.MaxQueued < 0 {
		return errors.New("live: maxClients or maxQueued is negative")
	}
	if c.Live.MaxClients == 0 {
		c.Live.MaxClients = defaultClients
	}
	if c.Live.MaxQueued == 0 {
		c.Live.MaxQueued = defaultQueued
	}
	w := c.WebSocket
	if w == nil {
		return nil
	}
	if w.MaxMessageSize < 0 || w.MaxMessageSize > 1<<30 {
		return fmt.Errorf("websocket.maxMessageSize: %d is not between 1 byte and 1 GiB", w.MaxMessageSize)
	}
	if w.MaxMessageSize == 0 {
		w.MaxMessageSize = defaultMessage
	}
	if w.PingInterval == 0 {
		w.PingInterval = defaultPing
	}
	for _, o := range w.Origins {
		if _, err := path.Match(o, ""); err != nil || o == "" {
			return fmt.Errorf("websocket.origins: %q is no host or origin such as \"*.example.com\"", o)
		}
	}
	for _, p := range w.Subprotocols {
		if !token(p) {
			return fmt.Errorf("websocket.subprotocols: %q is no HTTP token", p)
		}
	}
	return nil
}
