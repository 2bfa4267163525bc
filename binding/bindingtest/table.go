package bindingtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
)

// Table is the suite of class table. Make builds one that is not open; each call
// gives one of the same tables. slow is a statement that runs for a minute.
func Table(t *testing.T, make func(t *testing.T) binding.Binding, slow string) {
	open := func(t *testing.T) *data.Table {
		return data.NewTable(Opened(t, make(t)).(data.Database), guard())
	}
	t.Run("Values", func(t *testing.T) { tableValues(t, open(t)) })
	t.Run("Statements", func(t *testing.T) { tableStatements(t, open(t)) })
	t.Run("Injection", func(t *testing.T) { tableInjection(t, open(t)) })
	t.Run("Insert", func(t *testing.T) { tableInsert(t, open(t)) })
	t.Run("Transactions", func(t *testing.T) { tableTransactions(t, open(t)) })
	t.Run("Within", func(t *testing.T) { tableWithin(t, open(t)) })
	t.Run("Bounds", func(t *testing.T) { tableBounds(t, open(t)) })
	t.Run("Deadline", func(t *testing.T) { tableDeadline(t, open(t), slow) })
	t.Run("Exhausted", func(t *testing.T) { tableExhausted(t, Opened(t, make(t)).(data.Database)) })
	t.Run("NotOpen", func(t *testing.T) {
		b := make(t)
		_, err := data.NewTable(b.(data.Database), guard()).Exec(t.Context(), "SELECT 1")
		want(t, err, data.Away)
		ok(t, b.Close())
	})
}

// made makes a table, which goes when the test ends.
func made(t *testing.T, db *data.Table, columns string) string {
	t.Helper()
	name := unique()
	exec(t, db, "CREATE TABLE "+name+" ("+columns+")")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_, _ = db.Exec(ctx, "DROP TABLE "+name)
	})
	return name
}

func exec(t *testing.T, db *data.Table, sql string, args ...any) int64 {
	t.Helper()
	n, err := db.Exec(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func rows(t *testing.T, db *data.Table, sql string, args ...any) [][]any {
	t.Helper()
	r, err := db.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return r.Rows
}

func tableValues(t *testing.T, db *data.Table) {
	name := made(t, db, "id BIGINT PRIMARY KEY, f DOUBLE PRECISION, s TEXT, n INTEGER")
	text := "ä\n'quoted' \"twice\" \U0001f600"
	if n := exec(t, db, "INSERT INTO "+name+" VALUES (?, ?, ?, ?)", int64(1)<<53+1, 0.1, text, nil); n != 1 {
		t.Errorf("affected %d", n)
	}
	got := rows(t, db, "SELECT id, f, s, n FROM "+name)
	if len(got) != 1 || got[0][0] != int64(1)<<53+1 || got[0][1] != 0.1 || got[0][2] != text || got[0][3] != nil {
		t.Errorf("%#v", got)
	}
	r, err := db.Query(t.Context(), "SELECT id AS a, s AS b FROM "+name+" WHERE id = ?", 7)
	if err != nil || fmt.Sprint(r.Columns) != "[a b]" || r.Rows == nil || len(r.Rows) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if n := exec(t, db, "UPDATE "+name+" SET n = ? WHERE id > ?", 5, 1); n != 1 {
		t.Errorf("updated %d", n)
	}
}

func tableStatements(t *testing.T, db *data.Table) {
	name := made(t, db, "id INTEGER PRIMARY KEY, s TEXT")
	exec(t, db, "INSERT INTO "+name+" VALUES (?, 'a ? and a ''?'' -- ?') -- what ? is not\n/* ? */ ;", 1)
	if got := rows(t, db, "SELECT s FROM "+name+" WHERE id = ?", 1); got[0][0] != "a ? and a '?' -- ?" {
		t.Errorf("%q", got)
	}
	_, err := db.Exec(t.Context(), "INSERT INTO "+name+" VALUES (?, ?)", 1, "again")
	want(t, err, data.Conflict)
	for _, bad := range []string{"SELEKT 1", "SELECT * FROM " + unique(), "SELECT 1; DROP TABLE " + name, "SELECT ?", "", "SELECT 1\x00"} {
		_, err := db.Exec(t.Context(), bad)
		want(t, err, data.Misuse)
	}
	_, err = db.Query(t.Context(), "SELECT 1", 2)
	want(t, err, data.Misuse)
	if n := len(rows(t, db, "SELECT 1 FROM "+name)); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func tableInjection(t *testing.T, db *data.Table) {
	name := made(t, db, "s TEXT")
	for _, evil := range []string{"'; DROP TABLE " + name + "; --", "\\'; DROP TABLE " + name + "; --", "\" OR 1=1", "?", "$1"} {
		exec(t, db, "INSERT INTO "+name+" VALUES (?)", evil)
		if got := rows(t, db, "SELECT s FROM "+name+" WHERE s = ?", evil); len(got) != 1 || got[0][0] != evil {
			t.Errorf("%q: %q", evil, got)
		}
		_, err := db.Insert(t.Context(), name, []string{"s) VALUES ('x'); --"}, [][]any{{"y"}})
		want(t, err, data.Misuse)
		_, err = db.Insert(t.Context(), name+`" (s) VALUES ('x'); --`, []string{"s"}, [][]any{{"y"}})
		want(t, err, data.Misuse)
	}
	if n := len(rows(t, db, "SELECT s FROM "+name)); n != 5 {
		t.Errorf("%d rows, want 5", n)
	}
}

func tableInsert(t *testing.T, db *data.Table) {
	name := made(t, db, "id INTEGER PRIMARY KEY, s TEXT")
	many := make([][]any, 16_000)
	for i := range many {
		many[i] = []any{i, "row"}
	}
	if n, err := db.Insert(t.Context(), name, []string{"id", "s"}, many); err != nil || n != 16_000 {
		t.Fatalf("%d rows, %v", n, err)
	}
	again := make([][]any, 16_000)
	for i := range again {
		again[i] = []any{16_000 + i, "row"}
	}
	again[15_999][0] = 7 // it is there: none of them comes
	_, err := db.Insert(t.Context(), name, []string{"id", "s"}, again)
	want(t, err, data.Conflict)
	if got := rows(t, db, "SELECT COUNT(*) FROM "+name); got[0][0] != int64(16_000) {
		t.Errorf("%v rows", got[0][0])
	}
	_, err = db.Insert(t.Context(), name, []string{"id", "s"}, [][]any{{1}})
	want(t, err, data.Misuse)
	_, err = db.Insert(t.Context(), name, nil, [][]any{{}})
	want(t, err, data.Misuse)
}

func tableTransactions(t *testing.T, db *data.Table) {
	name := made(t, db, "id INTEGER PRIMARY KEY")
	insert := "INSERT INTO " + name + " VALUES (?)"
	ok(t, db.Transact(t.Context(), func(tx *data.Tx) error {
		_, err := tx.Exec(t.Context(), insert, 1)
		return err
	}))
	failed := errors.New("no")
	err := db.Transact(t.Context(), func(tx *data.Tx) error {
		if _, err := tx.Exec(t.Context(), insert, 2); err != nil {
			return err
		}
		if r, err := tx.Query(t.Context(), "SELECT id FROM "+name+" ORDER BY id"); err != nil || len(r.Rows) != 2 {
			t.Errorf("within: %+v, %v", r, err)
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	tx, err := db.Begin(t.Context())
	ok(t, err)
	_, err = tx.Insert(t.Context(), name, []string{"id"}, [][]any{{3}})
	ok(t, err)
	ok(t, tx.Rollback())
	ok(t, tx.Rollback())
	want(t, tx.Commit(), data.Misuse)
	_, err = tx.Exec(t.Context(), insert, 4)
	want(t, err, data.Conflict)
	if got := rows(t, db, "SELECT id FROM "+name); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func tableBounds(t *testing.T, db *data.Table) {
	name := made(t, db, "id INTEGER PRIMARY KEY, s TEXT")
	many := make([][]any, 5001)
	for i := range many {
		many[i] = []any{i, "x"}
	}
	_, err := db.Insert(t.Context(), name, []string{"id", "s"}, many)
	ok(t, err)
	_, err = db.Query(t.Context(), "SELECT id FROM "+name)
	want(t, err, data.TooLarge)
	r, err := db.QueryLimit(t.Context(), 10, "SELECT id FROM "+name+" ORDER BY id")
	if err != nil || len(r.Rows) != 10 || !r.More {
		t.Errorf("%d rows, more %v, %v", len(r.Rows), r.More, err)
	}
	exec(t, db, "UPDATE "+name+" SET s = ? WHERE id < 20", string(bytes.Repeat([]byte("y"), 60_000)))
	_, err = db.Query(t.Context(), "SELECT s FROM "+name+" WHERE id < 20")
	want(t, err, data.TooLarge)
}

func tableDeadline(t *testing.T, db *data.Table, slow string) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := db.Query(ctx, slow)
	want(t, err, data.Timeout)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	if got := rows(t, db, "SELECT 1"); len(got) != 1 {
		t.Errorf("afterwards: %v", got)
	}
}

// tableExhausted has a transaction take the only connection.
func tableExhausted(t *testing.T, d data.Database) {
	db := data.NewTable(d, &data.Guard{Name: "one", Timeout: 20 * time.Second, Wait: 50 * time.Millisecond, Slots: make(chan struct{}, 1)})
	tx, err := db.Begin(t.Context())
	ok(t, err)
	_, err = db.Query(t.Context(), "SELECT 1")
	want(t, err, data.Busy)
	_, err = db.Begin(t.Context())
	want(t, err, data.Busy)
	ok(t, tx.Rollback())
	if got := rows(t, db, "SELECT 1"); len(got) != 1 {
		t.Errorf("afterwards: %v", got)
	}
}
