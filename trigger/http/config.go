package http

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/quantity"
)

// Config is the trigger's attributes. Nuclio's names mean what they mean
// there; ReadTimeout and the fields after it are Myelin's own.
type Config struct {
	// Port to listen on if the host passes no socket; default 8080, 0 for one
	// that the system picks.
	Port int `json:"port"`
	// Host is the address to listen on; "" is every interface.
	Host string `json:"host,omitempty"`
	// ReadBufferSize of each connection in bytes, default 16 KiB. A request's
	// line and headers must fit in it; see MaxHeaderBytes.
	ReadBufferSize quantity.Size `json:"readBufferSize"`
	// MaxRequestBodySize in bytes, default 4 MiB. A larger body is refused
	// with 413 before it is read.
	MaxRequestBodySize quantity.Size `json:"maxRequestBodySize"`
	// ReduceMemoryUsage gives buffers back between two requests of a
	// connection: less memory for many idle connections, more work for each
	// request. Default false.
	ReduceMemoryUsage bool  `json:"reduceMemoryUsage,omitempty"`
	CORS              *CORS `json:"cors,omitempty"`
	// Ingresses, ServiceType, DisablePortPublishing and Mode are read by the
	// gateway and the platforms; the trigger itself has no use for them.
	Ingresses             json.RawMessage `json:"ingresses,omitempty"`
	ServiceType           string          `json:"serviceType,omitempty"`
	DisablePortPublishing bool            `json:"disablePortPublishing,omitempty"`
	Mode                  string          `json:"mode,omitempty"` // "sync", "async" or ""

	// ReadTimeout bounds the reading of one request, headers and body;
	// default 60s, 0 for none. A request that is not there by then gets 408.
	ReadTimeout quantity.Duration `json:"readTimeout"`
	// WriteTimeout bounds each write of a response to a client that does not
	// read it; default 60s, 0 for none. A stream may last longer.
	WriteTimeout quantity.Duration `json:"writeTimeout"`
	// IdleTimeout is how long a connection is kept for its next request;
	// default 2m, 0 for ReadTimeout.
	IdleTimeout quantity.Duration `json:"idleTimeout"`
	// MaxConnections at once, default 262144; another one gets 503.
	MaxConnections int `json:"maxConnections"`
	// MaxHeaderBytes of a request, default 0: ReadBufferSize. A larger header
	// is refused with 431.
	MaxHeaderBytes quantity.Size `json:"maxHeaderBytes,omitempty"`
	// Concurrency bounds the requests handed to the function at once; default
	// 0, as many as come. Another one gets 503 without waiting for a worker.
	Concurrency int `json:"concurrency,omitempty"`
	// HTTP2 has clients speak HTTP/2 too, on the same port and without TLS, if
	// they begin with it; default true.
	HTTP2 bool `json:"http2"`
	// WebSocket has clients open WebSockets, on the same port: each message is an
	// event. Default: none.
	WebSocket *WebSocket `json:"websocket,omitempty"`
	// Events has clients subscribe to what functions publish, as server-sent
	// events. Default false.
	Events bool `json:"events,omitempty"`
	// Live bounds the clients of both.
	Live Live `json:"live,omitzero"`
	// Engine serves connections: "loop", the default, has one goroutine serve
	// them all, which costs less for many small requests; "goroutines" gives
	// each one of its own. The loop is for functions in processes of their own:
	// those in this one, requests that are large or out of the ordinary, and
	// triggers with cors, concurrency, fileStreamRoot, websocket or events have
	// goroutines anyway.
	Engine string `json:"engine"`
	// DrainLinger is how long, once the trigger drains, connections without a
	// request are kept open for one that may be on its way; default 1s.
	DrainLinger quantity.Duration `json:"drainLinger"`
	// FileStreamRoot is the directory whose files a function may answer with
	// the header X-nuclio-filestream-path; default "", which turns it off.
	FileStreamRoot string `json:"fileStreamRoot,omitempty"`
}

// The engines.
const (
	EngineGoroutines = "goroutines"
	EngineLoop       = "loop"
)

func defaults() Config {
	return Config{
		Port:               8080,
		HTTP2:              true,
		Engine:             EngineLoop,
		ReadBufferSize:     16 << 10,
		MaxRequestBodySize: 4 << 20,
		ReadTimeout:        quantity.Duration(60 * time.Second),
		WriteTimeout:       quantity.Duration(60 * time.Second),
		IdleTimeout:        quantity.Duration(2 * time.Minute),
		MaxConnections:     256 << 10,
		DrainLinger:        quantity.Duration(time.Second),
	}
}

// Validate reports the first field that cannot be served.
func (c *Config) Validate() error {
	switch {
	case c.Port < 0 || c.Port > 65535:
		return fmt.Errorf("port: %d is not between 0 and 65535", c.Port)
	case c.ReadBufferSize < 1<<10:
		return fmt.Errorf("readBufferSize: %d is less than 1024 bytes", c.ReadBufferSize)
	case c.MaxRequestBodySize < 1 || c.MaxRequestBodySize > 1<<31-1:
		return fmt.Errorf("maxRequestBodySize: %d is not between 1 byte and 2 GiB", c.MaxRequestBodySize)
	case c.MaxHeaderBytes < 0:
		return fmt.Errorf("maxHeaderBytes: %d is negative", c.MaxHeaderBytes)
	case c.MaxConnections < 1:
		return fmt.Errorf("maxConnections: %d is less than 1", c.MaxConnections)
	case c.Concurrency < 0:
		return fmt.Errorf("concurrency: %d is negative", c.Concurrency)
	case c.Mode != "" && c.Mode != "sync" && c.Mode != "async":
		return fmt.Errorf("mode: %q is neither \"sync\" nor \"async\"", c.Mode)
	case c.Engine != EngineGoroutines && c.Engine != EngineLoop:
		return fmt.Errorf("engine: %q is neither %q nor %q", c.Engine, EngineGoroutines, EngineLoop)
	case min(c.ReadTimeout, c.WriteTimeout, c.IdleTimeout, c.DrainLinger) < 0:
		return fmt.Errorf("readTimeout, writeTimeout, idleTimeout, drainLinger: a negative duration")
	}
	if c.CORS != nil {
		if err := c.CORS.Validate(); err != nil {
			return err
		}
	}
	return c.completeLive()
}

func (c *Config) address() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// bufferSize holds the largest header that is let in.
func (c *Config) bufferSize() int {
	return int(max(c.ReadBufferSize, c.MaxHeaderBytes))
}
