package mysql_test

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/table/mysql"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
)

var pool servers.Pool

func TestMain(m *testing.M) { os.Exit(pool.Run(m)) }

func build(t *testing.T, spec function.DataBinding) binding.Binding {
	t.Helper()
	b, err := mysql.Factory().New(binding.Settings{Name: "orders", Spec: spec, Log: slog.New(slog.DiscardHandler)}, spec.Attributes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// root is a binding of the database that every server has.
func root(t *testing.T, s *servers.Server, attributes string) *data.Table {
	t.Helper()
	b := build(t, function.DataBinding{URL: "mysql://root@" + s.Addr + "/test", Attributes: []byte(attributes)})
	return data.NewTable(bindingtest.Opened(t, b).(data.Database), &data.Guard{Name: "orders", Timeout: 30 * time.Second})
}

func TestSuite(t *testing.T) {
	s := pool.MariaDB(t)
	bindingtest.Table(t, func(t *testing.T) binding.Binding {
		return build(t, function.DataBinding{URL: "mysql://root@" + s.Addr + "/test"})
	}, "SELECT SLEEP(60)")
}

// What only MySQL has comes as what a result may have, whether the server sent
// it as text, as it does without parameters, or not.
func TestTypes(t *testing.T) {
	db := root(t, pool.MariaDB(t), "")
	if _, err := db.Exec(t.Context(), `CREATE OR REPLACE TABLE kinds (a DECIMAL(5,2), b JSON, c VARBINARY(9), d BOOLEAN, e DATETIME(6), f BIGINT UNSIGNED, g BIGINT UNSIGNED,
		h ENUM('x','y'), i TIME, j TIMESTAMP(3) NULL, k BLOB, l FLOAT, m DATE, n BIT(9))`); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 678000000, time.FixedZone("", 7200))
	if _, err := db.Insert(t.Context(), "kinds", []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"},
		[][]any{{"1.5", `{"a": 1}`, []byte("\x00\xff"), true, at, uint64(1<<64 - 1), 7, "y", "12:30:00", at, []byte("text"), 0.5, at, []byte{1, 2}}}); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]any{nil, {1}} {
		r, err := db.Query(t.Context(), "SELECT * FROM kinds"+strings.Repeat(" WHERE ? = 1", len(args)), args...)
		if err != nil {
			t.Fatal(err)
		}
		row := r.Rows[0]
		for _, i := range []int{4, 9} {
			if got, ok := row[i].(time.Time); !ok || !got.Equal(at) {
				t.Errorf("column %d: time %#v", i, row[i])
			}
		}
		if got, ok := row[12].(time.Time); !ok || got.Format(time.DateOnly) != "2026-01-02" {
			t.Errorf("date %#v", row[12])
		}
		for i, want := range map[int]string{2: "\x00\xff", 10: "text", 13: "\x01\x02"} {
			if b, ok := row[i].([]byte); !ok || string(b) != want {
				t.Errorf("column %d: bytes %#v", i, row[i])
			}
		}
		for i, want := range map[int]any{0: "1.50", 1: `{"a": 1}`, 3: int64(1), 5: "18446744073709551615", 6: int64(7), 7: "y", 8: "12:30:00", 11: 0.5} {
			if row[i] != want {
				t.Errorf("column %d: %#v, want %#v", i, row[i], want)
			}
		}
	}
	if n, err := db.Exec(t.Context(), "UPDATE kinds SET d = d"); err != nil || n != 1 {
		t.Errorf("an update that changes nothing has found %d rows, %v", n, err)
	}
	for sql, want := range map[string]data.Reason{
		"INSERT INTO kinds (h) VALUES ('z')":           data.Misuse, // no value of the enumeration
		"INSERT INTO kinds (a) VALUES (123456)":        data.Misuse,
		"CREATE TABLE kinds (a INT)":                   data.Conflict,
		"SELECT \"it\\\"s; ?\" # ? ; x\n":              0,
		"SELECT 5--1 /*!50000 , ';' */ -- ? ;\n":       0,
		"SELECT nothing FROM kinds":                    data.Misuse,
		"SELECT REPEAT('x', 20000000) FROM kinds, seq": data.Misuse,
	} {
		if _, err := db.Query(t.Context(), sql); data.ReasonOf(err) != want {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// Rows of more bytes than a packet may have are inserted all the same.
func TestLargeRows(t *testing.T) {
	db := root(t, pool.MariaDB(t), "")
	if _, err := db.Exec(t.Context(), "CREATE OR REPLACE TABLE large (id INT PRIMARY KEY, b LONGBLOB)"); err != nil {
		t.Fatal(err)
	}
	rows := make([][]any, 6)
	for i := range rows {
		rows[i] = []any{i, make([]byte, 4<<20)}
	}
	if n, err := db.Insert(t.Context(), "large", []string{"id", "b"}, rows); err != nil || n != 6 {
		t.Fatalf("%d rows, %v", n, err)
	}
	r, err := db.Query(t.Context(), "SELECT SUM(LENGTH(b)) FROM large")
	if err != nil || r.Rows[0][0] != "25165824" {
		t.Errorf("%v, %v", r, err)
	}
}

// A deadlock undoes all of one transaction; what its owner says after that is
// not done outside of it.
func TestDeadlock(t *testing.T) {
	db := root(t, pool.MariaDB(t), "")
	if _, err := db.Exec(t.Context(), "CREATE OR REPLACE TABLE locks (id INT PRIMARY KEY, n INT)"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Insert(t.Context(), "locks", []string{"id", "n"}, [][]any{{1, 0}, {2, 0}}); err != nil {
		t.Fatal(err)
	}
	var txs [2]*data.Tx
	for i := range txs {
		var err error
		if txs[i], err = db.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := txs[i].Exec(t.Context(), "UPDATE locks SET n = n + 1 WHERE id = ?", i+1); err != nil {
			t.Fatal(err)
		}
	}
	type end struct {
		tx  *data.Tx
		err error
	}
	ends := make(chan end, 2)
	for i, tx := range txs {
		go func() {
			_, err := tx.Exec(t.Context(), "UPDATE locks SET n = n + 1 WHERE id = ?", 2-i)
			ends <- end{tx, err}
		}()
	}
	failed := 0
	for range txs {
		e := <-ends
		if e.err == nil {
			if err := e.tx.Commit(); err != nil {
				t.Errorf("the other: %v", err)
			}
			continue
		}
		failed++
		if !errors.Is(e.err, data.Conflict) {
			t.Errorf("deadlock: %v", e.err)
		}
		if _, err := e.tx.Exec(t.Context(), "INSERT INTO locks VALUES (3, 0)"); !errors.Is(err, data.Conflict) {
			t.Errorf("after it: %v", err)
		}
		if err := e.tx.Commit(); !errors.Is(err, data.Conflict) {
			t.Errorf("commit after it: %v", err)
		}
	}
	r, err := db.Query(t.Context(), "SELECT COUNT(*), SUM(n) FROM locks")
	if err != nil || failed != 1 || r.Rows[0][0] != int64(2) || r.Rows[0][1] != "2" {
		t.Errorf("%d failed; %v, %v", failed, r, err)
	}
}

// The server ends what nobody waits for any more.
func TestAbandoned(t *testing.T) {
	s := pool.MariaDB(t)
	db := root(t, s, "")
	slow := root(t, s, `{"timeout": "1s"}`)
	_, err := slow.Query(t.Context(), "SELECT SLEEP(600) AS abandoned")
	if !errors.Is(err, data.Timeout) {
		t.Errorf("slow: %v", err)
	}
	for until := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		r, err := db.Query(t.Context(), "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE ?", "SELECT SLEEP%abandoned")
		if err != nil {
			t.Fatal(err)
		}
		if r.Rows[0][0] == int64(0) {
			return
		}
		if time.Now().After(until) {
			t.Fatal("it still runs")
		}
	}
}

func TestServerLost(t *testing.T) {
	s := servers.MariaDB(t, servers.Login("shop", "rightful"), servers.WithTLS())
	tls := `{"tls": {"caFile": "` + s.CAFile() + `"}}`
	refused := build(t, function.DataBinding{URL: "mysqls://shop:wr0ng@" + s.Addr + "/test", Attributes: []byte(tls)})
	if err := refused.Open(t.Context()); !errors.Is(err, data.Denied) || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("wrong password: %v", err)
	}
	plain := build(t, function.DataBinding{URL: "mysql://shop@" + s.Addr + "/test", Secret: "rightful"})
	if err := plain.Open(t.Context()); !errors.Is(err, data.Denied) {
		t.Errorf("without TLS: %v", err)
	}
	stranger := build(t, function.DataBinding{URL: "mysqls://shop@" + s.Addr + "/test", Secret: "rightful"})
	if err := stranger.Open(t.Context()); err == nil {
		t.Error("a certificate of nobody is trusted")
	}
	for _, b := range []binding.Binding{refused, plain, stranger} {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	db := data.NewTable(bindingtest.Opened(t, build(t, function.DataBinding{URL: "mysqls://shop@" + s.Addr + "/test", Secret: quantity.Secret("rightful"), Attributes: []byte(tls)})).(data.Database),
		&data.Guard{Name: "orders", Timeout: 20 * time.Second})
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT 1"); !errors.Is(err, data.Away) {
		t.Errorf("gone: %v", err)
	}
	if err := tx.Commit(); err == nil {
		t.Error("a transaction of a server that died is committed")
	}
	if _, err := db.Exec(t.Context(), "SELECT 1"); !errors.Is(err, data.Away) {
		t.Errorf("gone: %v", err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := db.Exec(t.Context(), "SELECT 1"); err == nil {
			break
		} else if time.Now().After(until) {
			t.Fatalf("back: %v", err)
		}
	}
}

func TestMistakes(t *testing.T) {
	for url, field := range map[string]string{"": "url: ", "postgres://me@h/x": "url: ", "mysql://me:s3cret@h:p/x": "url: ", "mysql://me:s3cret@h/x?tls=true": "url: ",
		"mysql://h/x": "url: ", "mysql://me:s3cret@h": "url: ", "mysql://me@h/x": "attributes.tls: "} {
		_, err := mysql.Factory().New(binding.Settings{Spec: function.DataBinding{URL: url}}, []byte(`{"tls":{"caFile":"x"}}`))
		if err == nil || !strings.HasPrefix(err.Error(), field) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
