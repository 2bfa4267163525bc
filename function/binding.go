package function

import (
	"encoding/json"

	"github.com/myelin-run/myelin/quantity"
)

// DataBinding names a connection that the platform holds for the function.
type DataBinding struct {
	// Name by which the function finds it. Default: its key.
	Name string `json:"name,omitempty"`
	// Class of service: object, table, kv, stream or file. The kind says it.
	Class string `json:"class,omitempty"`
	// Kind of service.
	Kind string `json:"kind"`
	// Address of the service.
	URL string `json:"url,omitempty"`
	// Path at the service; the meaning is the kind's.
	Path string `json:"path,omitempty"`
	// Query at the service; the meaning is the kind's.
	Query string `json:"query,omitempty"`
	// Secret for the service. It is never shown.
	Secret quantity.Secret `json:"secret,omitempty"`
	// Cache of what is read. Default: none.
	Cache *DataCache `json:"cache,omitempty"`
	// What is fetched for each event before the function gets it.
	Prefetch []Prefetch `json:"prefetch,omitempty"`
	// How writes are gathered. Default: each is made at once.
	Batch *WriteBatch `json:"batch,omitempty"`
	// When calls of a service that fails are no longer tried. Default: they always are.
	Breaker *Breaker `json:"breaker,omitempty"`
	// Whether the processor is ready only while the service is reached; false: it
	// becomes ready without. Default: the service must be reached at the start only.
	Required *bool `json:"required,omitempty"`
	// The kind's own settings.
	Attributes json.RawMessage `json:"attributes,omitempty"`
}

// DataCache keeps what was read from a binding.
type DataCache struct {
	// Most bytes that are kept. Default 16Mi.
	Size quantity.Size `json:"size,omitempty"`
	// How long a value is kept. Default 10s.
	TTL quantity.Duration `json:"ttl,omitempty"`
	// How long it is kept that there is none. Default: not at all.
	NegativeTTL quantity.Duration `json:"negativeTTL,omitempty"`
	// Whether answers of tables with at most one row are kept; tables need it.
	Queries bool `json:"queries,omitempty"`
}

// Prefetch says what is fetched for an event: a key or an object by its name, or
// an answer to a query. Names and parameters are templates; see [ParseTemplate].
type Prefetch struct {
	// Key or object, such as user:{event.body.user}.
	Get string `json:"get,omitempty"`
	// Query of a table, with ? for each parameter.
	Query string `json:"query,omitempty"`
	// Parameters of the query, such as {event.body.user}.
	Params []string `json:"params,omitempty"`
	// Name by which the function asks for what was fetched. A query needs one.
	As string `json:"as,omitempty"`
	// Whether the event fails if it lacks what a template names, or if fetching
	// fails. Default: it runs without.
	Required bool `json:"required,omitempty"`
}

// WriteBatch gathers writes. They are made before the event is acknowledged, and
// if they fail, so does the event.
type WriteBatch struct {
	// Writes that are made together, at most. Default 500.
	Count int `json:"count,omitempty"`
	// Bytes that are written together, about. Default 1Mi.
	Bytes quantity.Size `json:"bytes,omitempty"`
	// Longest time that a write waits for others. Default 5ms.
	Wait quantity.Duration `json:"wait,omitempty"`
}

// Breaker stops calls of a service that fails.
type Breaker struct {
	// Failures in a row after which calls fail at once. Default 5.
	Failures int `json:"failures,omitempty"`
	// How long they do before one is tried. Default 5s.
	Pause quantity.Duration `json:"pause,omitempty"`
}
