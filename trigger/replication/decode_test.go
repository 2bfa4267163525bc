package replication

import (
	"encoding/binary"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
)

// The messages that a server sends, as the decoder reads them.
func u16(n uint16) string { return string(binary.BigEndian.AppendUint16(nil, n)) }
func u32(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }
func u64(n uint64) string { return string(binary.BigEndian.AppendUint64(nil, n)) }

func told(text string) string { return "t" + u32(uint32(len(text))) + text } //nolint:gosec // short

var (
	begins   = "B" + u64(200) + u64(1) + u32(9)
	commits  = "C\x00" + u64(200) + u64(210) + u64(1)
	describe = "R" + u32(1) + "public\x00orders\x00d" + u16(3) + "\x01id\x00" + u32(typeInt8) + u32(0) + "\x00name\x00" + u32(25) + u32(0) + "\x00more\x00" + u32(typeJSONB) + u32(0)
	inserts  = "I" + u32(1) + "N" + u16(3) + told("42") + told("a\"b") + told(`{"x": 1}`)
	updates  = "U" + u32(1) + "K" + u16(3) + told("42") + "nn" + "N" + u16(3) + told("43") + "n" + "u"
	deletes  = "D" + u32(1) + "K" + u16(3) + told("43") + "nn"
	empties  = "T" + u32(1) + "\x03" + u32(1)
)

func decoderOf(c *Config) *decoder {
	d := newDecoder(c, slog.New(slog.DiscardHandler), func(uint32) []string { return nil }, newProgress(place{}))
	d.out = &batch{free: make(chan *batch, 1)}
	return d
}

// TestDecodes: what a server writes is read as it stands.
func TestDecodes(t *testing.T) {
	t.Parallel()
	c := defaults()
	d := decoderOf(&c)
	for _, m := range []string{"O" + u64(1) + "far\x00", begins, "Y" + u32(5) + "public\x00mood\x00", describe, inserts, updates, deletes, empties, commits} {
		must(t, d.message(150, []byte(m)))
	}
	const tail = `"schema":"public","table":"orders","lsn":"0/96","commitLsn":"0/C8","xid":9,"time":"2000-01-01T00:00:00.000001Z"`
	want := []string{
		`{"operation":"insert",` + tail + `,"new":{"id":42,"name":"a\"b","more":{"x": 1}}}`,
		`{"operation":"update",` + tail + `,"new":{"id":43,"name":null},"old":{"id":42},"unchanged":["more"]}`,
		`{"operation":"delete",` + tail + `,"old":{"id":43}}`,
		`{"operation":"truncate",` + tail + `,"cascade":true,"restartIdentity":true}`,
	}
	keys := []string{"42", "43", "43", "public.orders"}
	if d.out.Len() != len(want) {
		t.Fatalf("%d changes", d.out.Len())
	}
	for i := range want {
		var ev event.Event
		d.out.Read(i, &ev)
		if _, key := d.out.At(i); string(ev.Body) != want[i] || string(key) != keys[i] {
			t.Errorf("change %d: key %s, %s, want %s", i, key, ev.Body, want[i])
		}
	}
	if at := d.far.place(4); at != (place{next: 4, lsn: 210}) {
		t.Errorf("place %+v", at)
	}
	if at := d.far.place(2); at != (place{next: 2, final: 200, part: 2}) {
		t.Errorf("place in the middle %+v", at)
	}
}

// TestWrongMessages: a message that is not as it should be is an error that says
// what of it is not.
func TestWrongMessages(t *testing.T) {
	t.Parallel()
	c := defaults()
	for name, x := range map[string]struct {
		messages []string
		want     string
	}{
		"not described": {[]string{begins, inserts}, "table 1, which it did not describe"},
		"outside":       {[]string{describe, inserts}, "outside of a transaction"},
		"cut":           {[]string{begins, describe, inserts[:20]}, "the row is not as the table was described"},
		"too few":       {[]string{begins, describe, "I" + u32(1) + "N" + u16(1) + told("1")}, "the row is not as"},
		"no row":        {[]string{begins, describe, "D" + u32(1) + "K" + u16(0)}, "the row is not as"},
		"state":         {[]string{begins, describe, "I" + u32(1) + "N" + u16(3) + "xxx"}, "the row is not as"},
		"length":        {[]string{begins, describe, "I" + u32(1) + "N" + u16(3) + "t" + u32(1<<31) + "xx"}, "the row is not as"},
		"begin":         {[]string{begins[:9]}, "read beginning of a transaction"},
		"end":           {[]string{commits[:9]}, "read end of a transaction"},
		"columns":       {[]string{"R" + u32(1) + "a\x00b\x00d" + u16(9999)}, "has 9999 columns"},
		"description":   {[]string{describe[:20]}, "read description of a table"},
		"truncation":    {[]string{begins, describe, "T" + u32(7) + "\x00" + u32(1)}, "read truncation"},
		"empty":         {[]string{""}, "ends too early"},
	} {
		var err error
		d := decoderOf(&c)
		for _, m := range x.messages {
			err = d.message(1, []byte(m))
		}
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %s", name, err, x.want)
		}
	}
}

// FuzzMessages: whatever a server writes, it is read or refused, and what comes of it
// is JSON.
func FuzzMessages(f *testing.F) {
	for _, ms := range [][]string{{begins, describe, inserts, commits}, {begins, describe, updates, deletes, empties, commits}} {
		var all []byte
		for _, m := range ms {
			all = append(append(all, u16(uint16(len(m)))...), m...) //nolint:gosec // short
		}
		f.Add(all, false)
		f.Add(all, true)
	}
	f.Fuzz(func(t *testing.T, all []byte, column bool) {
		c := defaults()
		if c.Headers = []string{"name"}; column {
			c.BodyColumn, c.KeyColumn, c.Decimals = "more", "name", AsNumber
		}
		d := decoderOf(&c)
		for s := (&scan{b: all}); len(s.b) > 0; {
			m := s.take(int(s.uint16()))
			if s.bad || d.message(1, m) != nil {
				break
			}
		}
		for i := range d.out.Len() {
			var ev event.Event
			d.out.Read(i, &ev)
			if ev.ContentType != nil && (!json.Valid(ev.Body) || !utf8.Valid(ev.Body)) {
				t.Errorf("body %q", ev.Body)
			}
			if _, key := d.out.At(i); len(ev.ID) == 0 || !column && len(key) == 0 && d.out.rows[i].operation == msgTruncate {
				t.Errorf("id %q, key %q", ev.ID, key)
			}
			_ = ev.Header("name")
		}
		d.far.keep(d.far.through())
		if d.far.confirmed() > d.far.seen {
			t.Errorf("confirmed %v, seen %v", d.far.confirmed(), d.far.seen)
		}
	})
}

// FuzzWord: whatever is in a word of the server, it is read or refused.
func FuzzWord(f *testing.F) {
	f.Add([]byte("w" + u64(1) + u64(2) + u64(3) + begins))
	f.Add([]byte("k" + u64(1) + u64(2) + "\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, err := parseWord(b); err == nil && w.message == nil && len(b) != 18 && b[0] == 'k' && len(b) < 18 {
			t.Errorf("%q is %+v", b, w)
		}
	})
}

// TestNoAllocations: a change is decoded into memory that is used again.
func TestNoAllocations(t *testing.T) {
	c := defaults()
	c.Headers = []string{"name"}
	d := decoderOf(&c)
	must(t, d.message(1, []byte(describe)))
	messages := [][]byte{[]byte(begins), []byte(inserts), []byte(updates), []byte(deletes), []byte(commits)}
	each := testing.AllocsPerRun(200, func() {
		for _, m := range messages {
			must(t, d.message(1, m))
		}
		d.far.keep(d.far.through())
		d.out.reset()
	})
	if each > 0 {
		t.Errorf("%v allocations for 3 changes", each)
	}
}

// TestWrongConfigurations are told of with the field that is wrong.
func TestWrongConfigurations(t *testing.T) {
	t.Parallel()
	const url = "postgres://me:secret@db/shop"
	for name, c := range map[string]struct{ url, attributes, start, want string }{
		"no url":     {"", `{"tables":["a"]}`, "", "url: is required"},
		"other url":  {"mysql://me@db/shop", `{"tables":["a"]}`, "", "url: is none of PostgreSQL"},
		"bad url":    {"postgres://me:secret@[/", `{"tables":["a"]}`, "", "url: is not of the form"},
		"nothing":    {url, `{}`, "", "tables: or publication is required"},
		"table":      {url, `{"tables":["a.b.c"]}`, "", "tables[0]: is \"a.b.c\", which has too many dots"},
		"twice":      {url, `{"tables":["a","a"]}`, "", "tables[1]: \"a\" is there twice"},
		"operation":  {url, `{"tables":["a"],"operations":["insrt"]}`, "", `did you mean "insert"`},
		"slot":       {url, `{"tables":["a"],"slot":"My-Slot"}`, "", "slot: is \"My-Slot\""},
		"lost":       {url, `{"tables":["a"],"slotLost":"restrt"}`, "", `did you mean "restart"`},
		"decimals":   {url, `{"tables":["a"],"decimals":"float"}`, "", "decimals: is"},
		"assignment": {url, `{"tables":["a"],"assignment":"deeler"}`, "", `did you mean "dealer"`},
		"column":     {url, `{"tables":["a"],"headers":["a\u0000"]}`, "", "headers[0]"},
		"row":        {url, `{"tables":["a"],"maxRow":"1"}`, "", "maxRow: is"},
		"timeout":    {url, `{"tables":["a"],"timeout":"0s"}`, "", "timeout: is"},
		"misspelt":   {url, `{"tabels":["a"]}`, "", "tabels"},
		"time":       {url, `{"tables":["a"]}`, "2026-03-01T12:00:00Z", "startAt"},
		"offset":     {url, `{"tables":["a"]}`, "17", "startAt"},
	} {
		_, err := Factory().New(trigger.Settings{Name: "in", Function: "f", Spec: function.Trigger{URL: c.url, Delivery: function.Delivery{StartAt: c.start}}}, []byte(c.attributes))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want %q in it", name, err, c.want)
		}
	}
}

// TestNames: slots and publications have names that the server takes, and no two
// triggers have the same.
func TestNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range []string{"f", "a-b", "a_b", "A", strings.Repeat("x", 100), strings.Repeat("x", 101)} {
		var c Config
		c.name(trigger.Settings{Name: "in", Function: f})
		if len(c.Slot) > longestName || c.Slot != plain(c.Slot) || c.Publication != c.Slot || seen[c.Slot] {
			t.Errorf("function %s has the slot %s", f, c.Slot)
		}
		seen[c.Slot] = true
	}
}
