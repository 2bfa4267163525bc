package replication

import (
	"fmt"
	"slices"
	"strings"
)

// relation is a table as the server described it last.
type relation struct {
	oid      uint32
	schema   string
	table    string
	identity byte // d: the primary key, n: none, f: the whole row, i: an index
	columns  []column
	key      []int // columns that make the event's key; none: the table does
	own      bool  // it is where places are kept: no change of it is told

	heads [256][]byte // by operation: how the JSON of a change begins
	name  []byte      // schema.table
	body  int         // the column that is the body; -1: none
	shown []int       // columns that are headers
}

// column of a table.
type column struct {
	name   string
	quoted []byte // "name": as JSON has it
	kind   uint32 // the type's number
	key    bool   // of the replica identity
}

// mostColumns is what a table can have.
const mostColumns = 1664

// parseRelation reads a message of type R behind its type.
func parseRelation(s *scan) (*relation, error) {
	r := &relation{oid: s.uint32(), schema: s.text(), table: s.text(), identity: s.byte(), body: -1}
	if r.schema == "" {
		r.schema = "pg_catalog"
	}
	n := int(s.uint16())
	if n > mostColumns {
		return nil, fmt.Errorf("table %.100q has %d columns", r.table, n)
	}
	for range n {
		c := column{key: s.byte()&1 != 0, name: s.text(), kind: s.uint32()}
		s.uint32() // what modifies the type
		if s.bad {
			break
		}
		c.quoted = append(appendString(nil, []byte(c.name)), ':')
		r.columns = append(r.columns, c)
	}
	if err := s.err(); err != nil {
		return nil, fmt.Errorf("read description of a table: %w", err)
	}
	return r, nil
}

// prepare makes what all changes of the table have alike.
func (r *relation) prepare(c *Config, primary func(oid uint32) []string) {
	r.name = []byte(r.schema + "." + r.table)
	for op, name := range names {
		if name == "" {
			continue
		}
		b := append([]byte(`{"operation":"`), name...)
		b = appendString(append(b, `","schema":`...), []byte(r.schema))
		b = appendString(append(b, `,"table":`...), []byte(r.table))
		r.heads[op] = append(b, `,"lsn":"`...)
	}
	r.own = r.table == c.Places || r.schema+"."+r.table == c.Places
	if c.BodyColumn != "" {
		r.body = r.find(c.BodyColumn)
	}
	for _, h := range c.Headers {
		if i := r.find(h); i >= 0 {
			r.shown = append(r.shown, i)
		}
	}
	r.findKey(c, primary)
}

// findKey says which columns make the key of an event.
func (r *relation) findKey(c *Config, primary func(oid uint32) []string) {
	if i := r.find(c.KeyColumn); c.KeyColumn != "" && i >= 0 {
		r.key = []int{i}
		return
	}
	if r.identity != 'f' {
		for i := range r.columns {
			if r.columns[i].key {
				r.key = append(r.key, i)
			}
		}
		return
	}
	for _, name := range primary(r.oid) { // the whole row is the identity, and changes
		i := r.find(name)
		if i < 0 {
			r.key = nil
			return
		}
		r.key = append(r.key, i)
	}
}

func (r *relation) find(name string) int {
	return slices.IndexFunc(r.columns, func(c column) bool { return c.name == name })
}

// differs says what of a table is not as it was; "" if all is.
func (r *relation) differs(was *relation) string {
	var said []string
	if r.schema != was.schema || r.table != was.table {
		said = append(said, fmt.Sprintf("it was %s.%s", was.schema, was.table))
	}
	for _, c := range r.columns {
		i := was.find(c.name)
		switch {
		case i < 0:
			said = append(said, fmt.Sprintf("column %s came", c.name))
		case was.columns[i].kind != c.kind:
			said = append(said, fmt.Sprintf("column %s has another type", c.name))
		}
	}
	for _, c := range was.columns {
		if r.find(c.name) < 0 {
			said = append(said, fmt.Sprintf("column %s went", c.name))
		}
	}
	if r.identity != was.identity {
		said = append(said, "its replica identity changed")
	}
	return strings.Join(said, ", ")
}
