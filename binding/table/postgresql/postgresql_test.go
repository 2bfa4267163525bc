package postgresql_test

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
	"github.com/myelin-run/myelin/binding/table/postgresql"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
)

var pool servers.Pool

func TestMain(m *testing.M) { os.Exit(pool.Run(m)) }

func build(t *testing.T, spec function.DataBinding) binding.Binding {
	t.Helper()
	b, err := postgresql.Factory().New(binding.Settings{Name: "orders", Spec: spec, Log: slog.New(slog.DiscardHandler)}, spec.Attributes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSuite(t *testing.T) {
	s := pool.PostgreSQL(t)
	bindingtest.Table(t, func(t *testing.T) binding.Binding {
		return build(t, function.DataBinding{URL: "postgres://postgres@" + s.Addr + "/postgres"})
	}, "SELECT pg_sleep(60)")
}

// What only PostgreSQL has comes as what a result may have.
func TestTypes(t *testing.T) {
	s := pool.PostgreSQL(t)
	db := data.NewTable(bindingtest.Opened(t, build(t, function.DataBinding{URL: "postgres://postgres@" + s.Addr + "/postgres"})).(data.Database), nil)
	r, err := db.Query(t.Context(), `SELECT 1.50::numeric, '{"a": 1}'::jsonb, '\x00ff'::bytea, true, '2026-01-02T03:04:05Z'::timestamptz, ARRAY[1,2], 3::smallint, 'a'::char(3), ?::jsonb ?? 'k'`, `{"k":1}`)
	if err != nil {
		t.Fatal(err)
	}
	row := r.Rows[0]
	if at, ok := row[4].(time.Time); !ok || !at.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("time %#v", row[4])
	}
	if b, ok := row[2].([]byte); !ok || string(b) != "\x00\xff" {
		t.Errorf("bytes %#v", row[2])
	}
	for i, want := range map[int]any{0: "1.50", 1: `{"a": 1}`, 3: true, 5: "{1,2}", 6: int64(3), 7: "a  ", 8: true} {
		if row[i] != want {
			t.Errorf("column %d: %#v, want %#v", i, row[i], want)
		}
	}
}

func TestWrongPassword(t *testing.T) {
	s := servers.PostgreSQL(t, servers.Login("me", "rightful"))
	for password, want := range map[string]data.Reason{"": data.Denied, "wrong": data.Denied, "rightful": 0} {
		b := build(t, function.DataBinding{URL: "postgres://me@" + s.Addr + "/postgres", Secret: quantity.Secret(password)})
		if err := b.Open(t.Context()); data.ReasonOf(err) != want || err != nil && strings.Contains(err.Error(), "rightful") {
			t.Errorf("%q: %v", password, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	// The server goes while a transaction is open, and comes back.
	db := data.NewTable(bindingtest.Opened(t, build(t, function.DataBinding{URL: "postgres://me@" + s.Addr + "/postgres", Secret: "rightful"})).(data.Database),
		&data.Guard{Name: "orders", Timeout: 20 * time.Second})
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	// The process that serves a connection may outlive its server for a moment.
	gone(t, func() error { _, err := tx.Exec(t.Context(), "SELECT 1"); return err })
	if err := tx.Commit(); err == nil {
		t.Error("a transaction of a server that died is committed")
	}
	gone(t, func() error { _, err := db.Exec(t.Context(), "SELECT 1"); return err })
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := db.Exec(t.Context(), "SELECT 1"); err == nil {
			break
		} else if time.Now().After(until) {
			t.Fatalf("back: %v", err)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, url := range []string{"", "mysql://x", "postgres://me:s3cret@h:p/x", "postgres://h/?sslmode=perhaps"} {
		_, err := postgresql.Factory().New(binding.Settings{Spec: function.DataBinding{URL: url}}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "url: ") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// gone waits until call finds that its server is away.
func gone(t *testing.T, call func() error) {
	t.Helper()
	until := time.Now().Add(30 * time.Second)
	err := call()
	for err == nil && time.Now().Before(until) {
		time.Sleep(20 * time.Millisecond)
		err = call()
	}
	if !errors.Is(err, data.Away) {
		t.Errorf("gone: %v", err)
	}
}
