package sql

import (
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/sql/link"
)

func TestWrongConfigurations(t *testing.T) {
	t.Parallel()
	const url = "postgres://me:secret@db/shop"
	for name, c := range map[string]struct{ url, attributes, want string }{
		"no url":        {"", `{"table":"a","watermark":"id"}`, "url: is required"},
		"other url":     {"redis://x", `{"table":"a","watermark":"id"}`, "url: is none of a database"},
		"bad url":       {"postgres://me:secret@[/", `{"table":"a","watermark":"id"}`, "url: is not of the form"},
		"mysql":         {"mysql://db", `{"table":"a","watermark":"id"}`, "url: names no user"},
		"sqlite":        {"sqlite:relative.db", `{"table":"a","watermark":"id"}`, "url: is not of the form sqlite:"},
		"tls":           {url, `{"table":"a","watermark":"id","tls":{}}`, "tls is for mysqls"},
		"no table":      {url, `{"watermark":"id"}`, "table: or query is required"},
		"both":          {url, `{"table":"a","query":"SELECT 1","watermark":"id"}`, "table: or query is required"},
		"no watermark":  {url, `{"table":"a"}`, "watermark: is required"},
		"misspelt":      {url, `{"table":"a","watermrk":"id"}`, "watermark"},
		"name":          {url, `{"table":"a.b.c.d","watermark":"id"}`, "too many dots"},
		"column":        {url, `{"table":"a","watermark":"id","columns":["a\u0000"]}`, "columns[0]"},
		"no select":     {url, `{"query":"DELETE FROM a","watermark":"id"}`, "does not begin with SELECT"},
		"semicolon":     {url, `{"query":"SELECT 1;","watermark":"id"}`, "semicolon"},
		"nulls":         {url, `{"table":"a","watermark":"id","nulls":"reprot"}`, `did you mean "report"`},
		"page":          {url, `{"table":"a","watermark":"id","pageSize":-1}`, "pageSize: is -1"},
		"interval":      {url, `{"table":"a","watermark":"id","interval":"1ns"}`, "interval: is 1ns"},
		"assignment":    {url, `{"table":"a","watermark":"id","assignment":"deeler"}`, `did you mean "dealer"`},
		"listen, mysql": {"mysql://me@db/shop", `{"table":"a","watermark":"id","listen":"news"}`, "listen: is for PostgreSQL"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Factory().New(trigger.Settings{Name: "in", Function: "f", Spec: function.Trigger{URL: c.url}}, []byte(c.attributes))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestCursors(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	for _, values := range [][]any{{int64(-5)}, {uint64(1 << 63), "k"}, {at, []byte{0, 255}}, {"2026-03-01 12:00:00.123456+00", `a"],["b`}} {
		c, err := cursorOf(values...)
		must(t, err)
		got, err := valuesOf(c, len(values))
		must(t, err)
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				if string(got[i].([]byte)) != string(b) {
					t.Errorf("%v is %v", v, got[i])
				}
			} else if got[i] != v {
				t.Errorf("%#v is %#v", v, got[i])
			}
		}
	}
	for _, v := range []any{1.5, true, nil, struct{}{}} {
		if c, err := cursorOf(v); err == nil {
			t.Errorf("%v has the cursor %s", v, c)
		}
	}
	for _, c := range []string{"x", "[]", `["i5","i6","i7"]`, `["q"]`, `[""]`, `["ix"]`, `["t5"]`, `["b!"]`} {
		if v, err := valuesOf(c, 2); err == nil {
			t.Errorf("the cursor %s has %v", c, v)
		}
	}
}

// Names are quoted, whatever is in them, and values are parameters.
func TestStatements(t *testing.T) {
	t.Parallel()
	c := &Config{Table: `we"ird.ta;ble`, Watermark: "at", Key: `i"d`, Columns: []string{"a`b"}}
	for d, want := range map[link.Dialect]string{
		link.PostgreSQL: `SELECT CAST(q."at" AS TEXT) AS myelin_w, CAST(q."i""d" AS TEXT) AS myelin_k, q."at" AS myelin_t, q."a` + "`" + `b" FROM "we""ird"."ta;ble" q WHERE q."at" IS NOT NULL AND q."i""d" IS NOT NULL` +
			` AND q."at" >= $1 AND (q."at" > $2 OR q."i""d" > $3) AND q."at" <= $4 AND (q."at" < $5 OR q."i""d" <= $6) ORDER BY q."at", q."i""d" LIMIT 7`,
		link.MySQL: "SELECT q.`at` AS myelin_w, q.`i\"d` AS myelin_k, q.`at` AS myelin_t, q.`a``b` FROM `we\"ird`.`ta;ble` q WHERE q.`at` IS NOT NULL AND q.`i\"d` IS NOT NULL" +
			" AND q.`at` >= ? AND (q.`at` > ? OR q.`i\"d` > ?) AND q.`at` <= ? AND (q.`at` < ? OR q.`i\"d` <= ?) ORDER BY q.`at`, q.`i\"d` LIMIT 7",
	} {
		s := newQueries(d, c).page([]any{"5", "x"}, []any{"9", "y"}, "7")
		if s.String() != want || len(s.Args) != 6 {
			t.Errorf("%s: %s\nwant %s\nargs %v", d.Name, s, want, s.Args)
		}
	}
}

// A row is read once it has been the last, or before the last, for long enough.
func TestHorizon(t *testing.T) {
	t.Parallel()
	h, at := horizon{settle: time.Second}, time.Unix(1000, 0)
	ms := func(n int) time.Time { return at.Add(time.Duration(n) * time.Millisecond) }
	reach := func(n int, want string, next time.Duration) {
		t.Helper()
		got, ok, soon := h.reach(ms(n))
		if got != want || ok != (want != "") || soon != next {
			t.Errorf("at %d: %q, %v, %v, want %q and %v", n, got, ok, soon, want, next)
		}
	}
	reach(0, "", 0)
	h.saw(ms(0), "a")
	reach(0, "", time.Second)
	h.saw(ms(400), "b")
	reach(999, "", time.Millisecond)
	reach(1000, "a", 400*time.Millisecond)
	h.saw(ms(1300), "b")
	reach(1400, "b", 0)
	reach(9000, "b", 0)
	for n := range 100_000 { // it is asked without a pause: what is remembered is bounded, and goes on
		h.saw(ms(9000+n/10), string(rune('c'+n%20)))
	}
	if len(h.seen) > 100*most {
		t.Errorf("%d are remembered", len(h.seen))
	}
	if got, ok, _ := h.reach(ms(19000)); !ok || got == "b" {
		t.Errorf("%q, %v", got, ok)
	}
}
