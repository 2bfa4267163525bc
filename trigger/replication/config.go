package replication

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/sql/link"
	"github.com/myelin-run/myelin/trigger/stream"
)

// What is done when a slot that was read has gone, with changes that it had.
const (
	Stop    = "stop"    // nothing is read, and the report says so
	Restart = "restart" // it is made anew, and read from now on
)

// How a decimal is written.
const (
	AsText   = "text"
	AsNumber = "number"
)

// everyTable stands for all tables that there are and will be.
const everyTable = "*"

// operations are the kinds of changes.
var operations = []string{"insert", "update", "delete", "truncate"}

// Config is the trigger's attributes. The database is the trigger's own url, with
// its username and password.
type Config struct {
	// Tables whose changes are read, maybe with their schemas: shop.orders. A
	// publication of them is made if it is not there. ["*"] is every table.
	Tables []string `json:"tables,omitempty"`
	// Publication that says which changes are read. Default, with Tables: myelin_
	// and the names of namespace, function and trigger.
	Publication string `json:"publication,omitempty"`
	// Operations that become events: insert, update, delete, truncate. Default: all.
	Operations []string `json:"operations,omitempty"`
	// Slot is the logical replication slot with the plugin pgoutput. Default:
	// myelin_ and the names of namespace, function and trigger.
	Slot string `json:"slot,omitempty"`
	// MakeSlot makes the slot if it is not there. Default true.
	MakeSlot bool `json:"makeSlot"`
	// SlotLost says what to do when a slot that was read has gone or was
	// invalidated, and changes with it: stop (default) or restart.
	SlotLost string `json:"slotLost,omitempty"`
	// Decimals are written as text (default) or as number, in all digits.
	Decimals string `json:"decimals,omitempty"`

	// BodyColumn is the column that is the event's body. Default: the body is the
	// change, as a JSON object.
	BodyColumn string `json:"bodyColumn,omitempty"`
	// KeyColumn is the column that is the event's key. Default: the columns that
	// the table's replica identity has, or its primary key.
	KeyColumn string `json:"keyColumn,omitempty"`
	// Headers are columns that are headers of the event.
	Headers []string `json:"headers,omitempty"`

	// Places is the table of this database that keeps how far was read; it is made
	// if it is not there. Default myelin_places.
	Places string `json:"places,omitempty"`
	// Assignment says who sees to it that one processor reads at a time: "dealer",
	// or "all", with which each takes the slot from the others. Default: the
	// dealer, if the processor knows one.
	Assignment string `json:"assignment,omitempty"`
	// StatusInterval is how often the server is told how far all is done. Default
	// 10s.
	StatusInterval quantity.Duration `json:"statusInterval,omitempty"`
	// MaxRow is the largest change that is read. Default 64Mi.
	MaxRow quantity.Size `json:"maxRow,omitempty"`
	// Timeout bounds connecting and each statement. Default 30s.
	Timeout quantity.Duration `json:"timeout,omitempty"`
}

func defaults() Config {
	return Config{MakeSlot: true, SlotLost: Stop, Decimals: AsText, Places: "myelin_places", StatusInterval: quantity.Duration(10 * time.Second), MaxRow: 64 << 20,
		Timeout: quantity.Duration(30 * time.Second)}
}

const leastRow, mostRow = 1 << 10, 1 << 30

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.checkTables(&es)
	for i, o := range c.Operations {
		oneOf(&es, fmt.Sprintf("operations[%d]", i), o, operations...)
	}
	oneOf(&es, "slotLost", c.SlotLost, Stop, Restart)
	oneOf(&es, "decimals", c.Decimals, AsText, AsNumber)
	if c.Assignment != "" {
		oneOf(&es, "assignment", c.Assignment, stream.ByDealer, stream.ToOne)
	}
	if c.Slot != "" && (c.Slot != plain(c.Slot) || len(c.Slot) > longestName) {
		es.Add("slot", "is %.100q: a slot has up to %d lower case letters, digits and _", c.Slot, longestName)
	}
	for field, column := range map[string]string{"publication": c.Publication, "bodyColumn": c.BodyColumn, "keyColumn": c.KeyColumn} {
		if column != "" {
			name(&es, field, column, 0)
		}
	}
	for i, column := range c.Headers {
		name(&es, fmt.Sprintf("headers[%d]", i), column, 0)
	}
	name(&es, "places", c.Places, 1)
	if c.Timeout.Std() < time.Millisecond {
		es.Add("timeout", "is %v, expected at least 1ms", c.Timeout)
	}
	if c.StatusInterval.Std() < 10*time.Millisecond {
		es.Add("statusInterval", "is %v, expected at least 10ms", c.StatusInterval)
	}
	if c.MaxRow < leastRow || c.MaxRow > mostRow {
		es.Add("maxRow", "is %v, expected 1Ki to 1Gi", c.MaxRow)
	}
	return es.Err()
}

func (c *Config) checkTables(es *document.Errors) {
	if len(c.Tables) == 0 && c.Publication == "" {
		es.Add("tables", "or publication is required, such as [shop.orders]")
	}
	for i, t := range c.Tables {
		if t == everyTable && len(c.Tables) == 1 {
			return
		}
		name(es, fmt.Sprintf("tables[%d]", i), t, 1)
		if slices.Contains(c.Tables[:i], t) {
			es.Add(fmt.Sprintf("tables[%d]", i), "%q is there twice", t)
		}
	}
}

func name(es *document.Errors, field, name string, dots int) {
	if err := link.CheckName(name, dots); err != nil {
		es.Add(field, "%v", err)
	}
}

func oneOf(es *document.Errors, field, got string, words ...string) {
	if !slices.Contains(words, got) {
		es.Add(field, "is %.100q%s, expected %s", got, document.DidYouMean(got, words), strings.Join(words, ", "))
	}
}

// longestName is what the server keeps of a name.
const longestName = 63

// name gives slot and publication the trigger's name where they have none.
func (c *Config) name(s trigger.Settings) {
	of := stream.TableOf(s)
	own := plain("myelin_" + of)
	if len(own) > longestName || own != strings.ReplaceAll("myelin_"+of, ".", "_") {
		sum := sha256.Sum256([]byte(of))
		own = own[:min(len(own), longestName-9)] + "_" + hex.EncodeToString(sum[:4])
	}
	if c.Slot == "" {
		c.Slot = own
	}
	if c.Publication == "" {
		c.Publication = own
	}
}

// plain writes a name with the characters that a slot's may have.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, name)
}

// reads says whether a kind of change becomes events.
func (c *Config) reads(operation string) bool {
	return len(c.Operations) == 0 || slices.Contains(c.Operations, operation)
}
