package replication

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strconv"
	"time"
)

// The kinds of messages of pgoutput that are read. Others are passed over.
const (
	msgBegin    = 'B'
	msgCommit   = 'C'
	msgRelation = 'R'
	msgInsert   = 'I'
	msgUpdate   = 'U'
	msgDelete   = 'D'
	msgTruncate = 'T'
)

// names are the operations by their messages.
var names = [256]string{msgInsert: "insert", msgUpdate: "update", msgDelete: "delete", msgTruncate: "truncate"}

// The states of a value in a row.
const (
	null      = 'n'
	unchanged = 'u' // it is kept apart from the row, and was not written
	written   = 't'
	partKey   = 'K' // a row of which there is the key
	partOld   = 'O' // a row as it was
	partNew   = 'N'
)

// value of a column.
type value struct {
	state byte
	text  []byte
}

// decoder makes changes of the server's messages. It is used by one goroutine.
type decoder struct {
	cfg     *Config
	log     *slog.Logger
	primary func(oid uint32) []string // names the columns of a primary key
	tables  map[uint32]*relation
	far     *progress
	out     *batch

	open  bool   // within a transaction
	final lsn    // where its commit is
	tail  []byte // what its changes have alike
	at    time.Time
	old   []value
	new   []value
}

func newDecoder(c *Config, log *slog.Logger, primary func(oid uint32) []string, far *progress) *decoder {
	return &decoder{cfg: c, log: log, primary: primary, far: far, tables: map[uint32]*relation{}}
}

// message takes one message in, which the server's log has at a place.
func (d *decoder) message(at lsn, b []byte) error {
	s := &scan{b: b}
	switch kind := s.byte(); kind {
	case msgBegin:
		return d.begin(s)
	case msgCommit:
		return d.commit(s)
	case msgRelation:
		return d.relation(s)
	case msgInsert, msgUpdate, msgDelete:
		return d.change(at, kind, s)
	case msgTruncate:
		return d.truncate(at, s)
	}
	return s.err()
}

func (d *decoder) begin(s *scan) error {
	d.final, d.at = lsn(s.uint64()), moment(int64(s.uint64())) //nolint:gosec // it is signed
	xid := s.uint32()
	if err := s.err(); err != nil {
		return fmt.Errorf("read beginning of a transaction: %w", err)
	}
	d.open = true
	d.tail = append(d.final.append(append(d.tail[:0], `","commitLsn":"`...)), `","xid":`...)
	d.tail = append(strconv.AppendUint(d.tail, uint64(xid), 10), `,"time":"`...)
	d.tail = append(d.at.AppendFormat(d.tail, "2006-01-02T15:04:05.999999Z07:00"), '"')
	d.far.begin(d.final)
	return nil
}

func (d *decoder) commit(s *scan) error {
	s.byte()
	s.uint64()
	end := lsn(s.uint64())
	if err := s.err(); err != nil {
		return fmt.Errorf("read end of a transaction: %w", err)
	}
	d.open = false
	d.far.end(end)
	return nil
}

// relation notes how a table is now. The changes behind it have the new columns.
func (d *decoder) relation(s *scan) error {
	r, err := parseRelation(s)
	if err != nil {
		return err
	}
	r.prepare(d.cfg, d.primary)
	if was := d.tables[r.oid]; was != nil {
		if how := r.differs(was); how != "" {
			d.log.Info("table is not as it was", "table", string(r.name), "changes", how)
		}
	}
	d.tables[r.oid] = r
	return nil
}

func (d *decoder) table(oid uint32) (*relation, error) {
	r := d.tables[oid]
	if r == nil {
		return nil, fmt.Errorf("the server told of a change of table %d, which it did not describe", oid)
	}
	if !d.open {
		return nil, fmt.Errorf("the server told of a change of %s outside of a transaction", r.name)
	}
	return r, nil
}

// change takes in an insert, update or delete.
func (d *decoder) change(at lsn, kind byte, s *scan) error {
	r, err := d.table(s.uint32())
	if err != nil {
		return err
	}
	if r.own {
		return nil
	}
	d.old, d.new = d.old[:0], d.new[:0]
	part, before := s.byte(), byte(0)
	if part == partKey || part == partOld {
		before = part
		d.old = readRow(s, d.old)
		part = 0
		if kind == msgUpdate {
			part = s.byte()
		}
	}
	if part == partNew && kind != msgDelete {
		d.new = readRow(s, d.new)
	}
	if err := d.fits(r, kind, s); err != nil {
		return err
	}
	offset, wanted := d.far.row()
	if wanted && d.cfg.reads(names[kind]) {
		d.write(at, kind, r, before, offset)
	}
	return nil
}

// fits sees whether rows are as their table.
func (d *decoder) fits(r *relation, kind byte, s *scan) error {
	n := len(r.columns)
	okOld, okNew := len(d.old) == n || len(d.old) == 0 && kind != msgDelete, len(d.new) == n || kind == msgDelete
	if s.bad || !okOld || !okNew {
		return fmt.Errorf("read %s of %s: the row is not as the table was described", names[kind], r.name)
	}
	return nil
}

// readRow reads the values of a row.
func readRow(s *scan, vs []value) []value {
	for range s.uint16() {
		v := value{state: s.byte()}
		switch v.state {
		case null, unchanged:
		case written:
			v.text = s.take(int(s.uint32()))
		default:
			s.bad = true
		}
		if s.bad {
			return vs
		}
		vs = append(vs, v)
	}
	return vs
}

// truncate takes in that tables were emptied: a change of each.
func (d *decoder) truncate(at lsn, s *scan) error {
	n, how := s.uint32(), s.byte()
	for range n {
		oid := s.uint32()
		if s.bad {
			break
		}
		r, err := d.table(oid)
		if err != nil {
			return err
		}
		if r.own {
			continue
		}
		offset, wanted := d.far.row()
		if !wanted || !d.cfg.reads(names[msgTruncate]) {
			continue
		}
		d.old, d.new = d.old[:0], d.new[:0]
		w := d.start(msgTruncate, r, offset)
		b := d.head(w, r, at)
		b = strconv.AppendBool(append(b, `,"cascade":`...), how&1 != 0)
		b = strconv.AppendBool(append(b, `,"restartIdentity":`...), how&2 != 0)
		d.finish(w, append(b, '}'))
	}
	if err := s.err(); err != nil {
		return fmt.Errorf("read truncation: %w", err)
	}
	return nil
}

// start begins a change in the batch: its id and key.
func (d *decoder) start(kind byte, r *relation, offset int64) *row {
	o := d.out
	o.rows = append(o.rows, row{in: o, of: r, offset: offset, at: d.at, operation: kind})
	w := &o.rows[len(o.rows)-1]
	from := len(o.buf)
	o.buf = strconv.AppendInt(append(d.final.append(o.buf), '-'), d.far.index(offset), 10)
	w.id = o.since(from)
	from = len(o.buf)
	d.key(r)
	w.key = o.since(from)
	return w
}

// key writes what the key of a change is: of one column its text, of several
// their texts as JSON, and the table's name where there is none.
func (d *decoder) key(r *relation) {
	o, vs := d.out, d.new
	if len(vs) == 0 {
		vs = d.old
	}
	from := len(o.buf)
	for n, i := range r.key {
		if len(vs) == 0 || vs[i].state != written {
			o.buf = o.buf[:from]
			break
		}
		if len(r.key) == 1 {
			o.buf = append(o.buf, vs[i].text...)
			return
		}
		o.buf = appendString(append(o.buf, "[,"[min(n, 1)]), vs[i].text)
	}
	if len(o.buf) == from {
		o.buf = append(o.buf, r.name...)
		return
	}
	o.buf = append(o.buf, ']')
}

// head writes what a change begins with.
func (d *decoder) head(w *row, r *relation, at lsn) []byte {
	w.json = true
	w.body.from = len(d.out.buf)
	d.out.buf = append(d.out.buf, r.heads[w.operation]...)
	return append(at.append(d.out.buf), d.tail...)
}

// finish ends a change, with the batch's memory as it is by then.
func (d *decoder) finish(w *row, b []byte) {
	d.out.buf = b
	w.body.to = len(b)
}

// write writes a change of a row.
func (d *decoder) write(at lsn, kind byte, r *relation, before byte, offset int64) {
	if before == partOld {
		d.fill()
	}
	w := d.start(kind, r, offset)
	d.headers(w, r)
	if d.cfg.BodyColumn != "" {
		d.column(w, r)
		return
	}
	b := d.head(w, r, at)
	if len(d.new) > 0 {
		b = d.object(append(b, `,"new":`...), r, d.new, false)
	}
	if len(d.old) > 0 {
		b = d.object(append(b, `,"old":`...), r, d.old, before == partKey)
	}
	d.finish(w, append(d.missing(b, r), '}'))
}

// fill takes what was not written anew from the row as it was.
func (d *decoder) fill() {
	for i := range d.new {
		if d.new[i].state == unchanged {
			d.new[i] = d.old[i]
		}
	}
}

// missing names the columns that are not told.
func (d *decoder) missing(b []byte, r *relation) []byte {
	from := len(b)
	for i := range d.new {
		if d.new[i].state != unchanged {
			continue
		}
		if len(b) == from {
			b = append(b, `,"unchanged":[`...)
		} else {
			b = append(b, ',')
		}
		q := r.columns[i].quoted
		b = append(b, q[:len(q)-1]...)
	}
	if len(b) > from {
		b = append(b, ']')
	}
	return b
}

// object writes a row as JSON, of the key its columns only.
func (d *decoder) object(b []byte, r *relation, vs []value, key bool) []byte {
	b = append(b, '{')
	from := len(b)
	for i := range vs {
		c := &r.columns[i]
		if vs[i].state == unchanged || key && !c.key {
			continue
		}
		if len(b) > from {
			b = append(b, ',')
		}
		b = append(b, c.quoted...)
		if vs[i].state == null {
			b = append(b, "null"...)
		} else {
			b = appendValue(b, c.kind, vs[i].text, d.cfg.Decimals == AsNumber)
		}
	}
	return append(b, '}')
}

// column has one column be the body: of the new row, or of the old one if there is
// no other.
func (d *decoder) column(w *row, r *relation) {
	from := len(d.out.buf)
	if v := d.value(r.body); v.state == written {
		c := r.columns[r.body]
		w.json = c.kind == typeJSON || c.kind == typeJSONB
		d.out.buf = appendPlain(d.out.buf, c.kind, v.text)
	}
	w.body = d.out.since(from)
}

// headers writes the columns that are headers.
func (d *decoder) headers(w *row, r *relation) {
	o := d.out
	w.heads.from = len(o.spans)
	for _, i := range r.shown {
		s := span{-1, -1}
		if v := d.value(i); v.state == written {
			from := len(o.buf)
			o.buf = appendPlain(o.buf, r.columns[i].kind, v.text)
			s = o.since(from)
		}
		o.spans = append(o.spans, s)
	}
	w.heads.to = len(o.spans)
}

// value is that of a column as it is now, or was.
func (d *decoder) value(i int) value {
	switch {
	case i < 0:
		return value{state: null}
	case len(d.new) > 0:
		return d.new[i]
	}
	return d.old[i]
}

// appendPlain writes a value by itself: a text as it is, and others as JSON has
// them, without quotes; bytes as they are.
func appendPlain(b []byte, kind uint32, text []byte) []byte {
	switch kind {
	case typeBytea, typeTimestamp, typeTimestamptz:
		from := len(b)
		b = appendValue(b, kind, text, false)
		inner := bytes.Trim(b[from:], `"`)
		if kind == typeBytea {
			raw := make([]byte, base64.StdEncoding.DecodedLen(len(inner)))
			if n, err := base64.StdEncoding.Decode(raw, inner); err == nil {
				return append(b[:from], raw[:n]...)
			}
			return append(b[:from], text...)
		}
		return append(b[:from], inner...)
	}
	return append(b, text...)
}
