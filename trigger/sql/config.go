package sql

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger/poll"
	"github.com/myelin-run/myelin/trigger/secure"
	"github.com/myelin-run/myelin/trigger/sql/link"
)

// What is done about rows that have no watermark.
const (
	Report = "report" // they are left out, and the report says how many there are
	Fail   = "fail"   // nothing is read while there are any
	Ignore = "ignore" // they are left out
)

// Config is the trigger's attributes. The database is the trigger's own url, with
// its username and password.
type Config struct {
	poll.Config
	// Table to read, maybe with its schema: shop.orders. Either it or Query is
	// required.
	Table string `json:"table,omitempty"`
	// Columns of the table that the event has. Default: all.
	Columns []string `json:"columns,omitempty"`
	// Query is a SELECT, the rows of which are read. It has the columns watermark
	// and key, and neither ORDER BY nor LIMIT, which are added.
	Query string `json:"query,omitempty"`
	// Watermark is the column that tells new rows from those that were read: its
	// value rises. Required.
	Watermark string `json:"watermark"`
	// Key is a column that tells rows of one watermark apart. Default: none, for
	// watermarks of which no two rows have the same.
	Key string `json:"key,omitempty"`
	// Settle is how long a row is known before it is read, so that those which a
	// transaction wrote before it and committed after it are read first. Default 1s.
	Settle quantity.Duration `json:"settle,omitempty"`
	// Nulls says what to do about rows without a watermark or a key: report
	// (default), fail or ignore.
	Nulls string `json:"nulls,omitempty"`

	// BodyColumn is the column that is the event's body. Default: the body is the
	// row, as a JSON object.
	BodyColumn string `json:"bodyColumn,omitempty"`
	// KeyColumn is the column that is the event's key. Default: none.
	KeyColumn string `json:"keyColumn,omitempty"`
	// Headers are columns that are headers of the event.
	Headers []string `json:"headers,omitempty"`

	// Places is the table of this database that keeps how far was read; it is made
	// if it is not there. Default myelin_places.
	Places string `json:"places,omitempty"`
	// Listen is a channel of PostgreSQL on which is notified that there are new
	// rows.
	Listen string `json:"listen,omitempty"`
	// Timeout bounds connecting and each statement. Default 30s.
	Timeout quantity.Duration `json:"timeout,omitempty"`
	TLS     *secure.TLS       `json:"tls,omitempty"`
}

func defaults() Config {
	return Config{Config: poll.Defaults(), Settle: quantity.Duration(time.Second), Nulls: Report, Places: "myelin_places", Timeout: quantity.Duration(30 * time.Second)}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	if (c.Table == "") == (c.Query == "") {
		es.Add("table", "or query is required, and not both")
	}
	if c.Table != "" {
		name(&es, "table", c.Table, 2)
	}
	c.query(&es)
	if c.Watermark == "" {
		es.Add("watermark", "is required: the column whose value tells new rows from those that were read")
	}
	for field, column := range map[string]string{"watermark": c.Watermark, "key": c.Key, "bodyColumn": c.BodyColumn, "keyColumn": c.KeyColumn} {
		if column != "" {
			name(&es, field, column, 0)
		}
	}
	for i, column := range c.Columns {
		name(&es, fmt.Sprintf("columns[%d]", i), column, 0)
	}
	for i, column := range c.Headers {
		name(&es, fmt.Sprintf("headers[%d]", i), column, 0)
	}
	name(&es, "places", c.Places, 2)
	if words := []string{Report, Fail, Ignore}; !slices.Contains(words, c.Nulls) {
		es.Add("nulls", "is %q%s, expected %s", c.Nulls, document.DidYouMean(c.Nulls, words), strings.Join(words, ", "))
	}
	if c.Settle < 0 {
		es.Add("settle", "is %v, expected 0s or more", c.Settle)
	}
	if c.Timeout < quantity.Duration(time.Millisecond) {
		es.Add("timeout", "is %v, expected at least 1ms", c.Timeout)
	}
	if c.TLS != nil {
		c.TLS.Check(&es)
	}
	return es.Err()
}

func (c *Config) query(es *document.Errors) {
	if c.Query == "" {
		return
	}
	if len(c.Columns) > 0 {
		es.Add("columns", "are of a table; a query names its own")
	}
	c.Query = strings.TrimSpace(c.Query)
	first, _, _ := strings.Cut(strings.ToLower(c.Query), " ")
	if first = strings.TrimSpace(strings.SplitN(first, "\n", 2)[0]); first != "select" && first != "with" {
		es.Add("query", "does not begin with SELECT or WITH")
	}
	if strings.HasSuffix(c.Query, ";") {
		es.Add("query", "ends with a semicolon: it becomes part of another statement")
	}
}

func name(es *document.Errors, field, name string, dots int) {
	if err := link.CheckName(name, dots); err != nil {
		es.Add(field, "%v", err)
	}
}

// shape says what of a row becomes what of an event.
func (c *Config) shape() link.Shape {
	return link.Shape{Body: c.BodyColumn, Key: c.KeyColumn, Headers: c.Headers}
}
