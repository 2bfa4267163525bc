package outbox

import (
	"fmt"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/poll"
	"github.com/myelin-run/myelin/trigger/sql/link"
)

// Config is the trigger's attributes. The database is the trigger's own url, with
// its username and password.
type Config struct {
	// Table that is the outbox, maybe with its schema. Required.
	Table string `json:"table"`
	// ID is the column that names a row. Default id.
	ID string `json:"id,omitempty"`
	// Order is the column by whose value rows are taken. Default: the id.
	Order string `json:"order,omitempty"`
	// VisibleAt is the column, a timestamp with time zone, before which a row is not
	// taken: who takes it moves it ahead. Default visible_at.
	VisibleAt string `json:"visibleAt,omitempty"`
	// Attempts is the column, an integer, that counts how often a row was taken.
	// Default attempts.
	Attempts string `json:"attempts,omitempty"`
	// Done is a column, a timestamp, that is set when a row is done. Default: none,
	// and the row is deleted.
	Done string `json:"done,omitempty"`
	// Failed is a column, a text, that is set to the reason when a row is given up
	// with onFailure: {kind: broker}. Default: none.
	Failed string `json:"failed,omitempty"`

	// BodyColumn is the column that is the event's body. Default: the body is the
	// row, as a JSON object.
	BodyColumn string `json:"bodyColumn,omitempty"`
	// KeyColumn is the column that is the event's key. Default: none.
	KeyColumn string `json:"keyColumn,omitempty"`
	// Headers are columns that are headers of the event.
	Headers []string `json:"headers,omitempty"`

	// Visibility is how long a row stays with a processor that is not heard of.
	// What runs longer is told of in time. Default 30s.
	Visibility quantity.Duration `json:"visibility,omitempty"`
	// Interval between two looks at a table that had nothing. Default 1s.
	Interval quantity.Duration `json:"interval,omitempty"`
	// Jitter is by how much an interval may be longer, at random. Default: a tenth
	// of the interval.
	Jitter *quantity.Duration `json:"jitter,omitempty"`
	// PageSize is the most that is taken at once. Default 100.
	PageSize int `json:"pageSize,omitempty"`
	// Listen is a channel of PostgreSQL on which is notified that there are new
	// rows.
	Listen string `json:"listen,omitempty"`
	// Timeout bounds connecting and each statement. Default 30s.
	Timeout quantity.Duration `json:"timeout,omitempty"`
}

func defaults() Config {
	p := poll.Defaults()
	return Config{ID: "id", VisibleAt: "visible_at", Attempts: "attempts", Visibility: quantity.Duration(30 * time.Second),
		Interval: p.Interval, PageSize: p.PageSize, Timeout: quantity.Duration(30 * time.Second)}
}

// pace is when the table is looked at.
func (c *Config) pace() *poll.Config {
	return &poll.Config{Interval: c.Interval, Jitter: c.Jitter, PageSize: c.PageSize}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.pace().Check(&es)
	if c.Table == "" {
		es.Add("table", "is required")
	} else if err := link.CheckName(c.Table, 2); err != nil {
		es.Add("table", "%v", err)
	}
	if c.Order == "" {
		c.Order = c.ID
	}
	for field, column := range map[string]string{"id": c.ID, "order": c.Order, "visibleAt": c.VisibleAt, "attempts": c.Attempts, "done": c.Done,
		"failed": c.Failed, "bodyColumn": c.BodyColumn, "keyColumn": c.KeyColumn} {
		may := field == "done" || field == "failed" || field == "bodyColumn" || field == "keyColumn"
		if err := link.CheckName(column, 0); err != nil && (column != "" || !may) {
			es.Add(field, "%v", err)
		}
	}
	for i, column := range c.Headers {
		if err := link.CheckName(column, 0); err != nil {
			es.Add(fmt.Sprintf("headers[%d]", i), "%v", err)
		}
	}
	for field, d := range map[string]quantity.Duration{"visibility": c.Visibility, "timeout": c.Timeout} {
		if d.Std() < 100*time.Millisecond {
			es.Add(field, "is %v, expected at least 100ms", d)
		}
	}
	return es.Err()
}

// shape says what of a row becomes what of an event.
func (c *Config) shape() link.Shape {
	return link.Shape{Body: c.BodyColumn, Key: c.KeyColumn, Headers: c.Headers, Hidden: []string{c.VisibleAt, c.Attempts, c.Done, c.Failed}}
}
