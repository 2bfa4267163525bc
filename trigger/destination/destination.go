// Package destination sends letters to where every kind of trigger can: to
// another function, or to a server by HTTP. It knows no source, and not how
// functions are reached.
package destination

import (
	"fmt"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/trigger"
)

// The kinds.
const (
	Function = "function"
	HTTP     = "http"
)

// DefaultTimeout bounds one try to send a letter.
const DefaultTimeout = 30 * time.Second

// Opener opens destinations. Its life: [New], which opens nothing; Open for
// each destination of the spec; Close once no Send runs.
type Opener struct {
	caller runtime.Caller
	https  []*server
}

// New makes an opener whose destinations reach functions by c.
func New(c runtime.Caller) *Opener { return &Opener{caller: c} }

// Open makes the destination that d describes.
func (o *Opener) Open(d function.Destination) (trigger.Destination, error) {
	timeout := d.Timeout.Std()
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	switch d.Kind {
	case Function:
		return &callee{caller: o.caller, name: d.Function, timeout: timeout}, nil
	case HTTP:
		s, err := newServer(d.URL, timeout)
		if err != nil {
			return nil, err
		}
		o.https = append(o.https, s)
		return s, nil
	}
	return nil, fmt.Errorf("unknown kind %q (known: store, topic, broker, stop, drop, function, http)", d.Kind)
}

// Close closes the connections that are kept.
func (o *Opener) Close() error {
	for _, s := range o.https {
		s.client.CloseIdleConnections()
	}
	return nil
}
