package examples_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	_ "modernc.org/sqlite"

	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/processor/logs"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/python"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/files"
	"github.com/myelin-run/myelin/trigger/kinesis"
	"github.com/myelin-run/myelin/trigger/outbox"
	"github.com/myelin-run/myelin/trigger/replication"
	s3trigger "github.com/myelin-run/myelin/trigger/s3"
	sqltrigger "github.com/myelin-run/myelin/trigger/sql"
	"github.com/myelin-run/myelin/trigger/sqs"
)

// polls runs an example until the test ends, with its one trigger changed, and
// returns the file of the function's log.
func polls(t *testing.T, example, name string, change func(*function.Trigger)) (log string) {
	t.Helper()
	a, _, err := builders(t).Build(t.Context(), pipeline.Request{Path: example}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	at := a.Config.Spec.Triggers[name]
	change(&at)
	a.Config.Spec.Triggers[name] = at
	a.Config.Spec.DisableDefaultHTTPTrigger = true
	function.Defaults(&a.Config)
	log = filepath.Join(t.TempDir(), "log")
	p, err := processor.New(processor.Config{Function: a.Config, Dir: a.Dir, Scratch: t.TempDir(), Admin: processor.Admin{Listen: "none"}, Logs: processor.Logs{Function: logs.Sink{File: log}}},
		processor.Parts{Triggers: trigger.NewSet(sqltrigger.Factory(), outbox.Factory(), replication.Factory(), files.Factory(), s3trigger.Factory(), sqs.Factory(), kinesis.Factory()), Runtimes: runtime.NewSet(python.Factory())})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return log
}

// with sets an attribute.
func with(t *testing.T, at *function.Trigger, key string, value any) {
	t.Helper()
	m := map[string]any{}
	if err := json.Unmarshal(at.Attributes, &m); err != nil {
		t.Fatal(err)
	}
	m[key] = value
	var err error
	if at.Attributes, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited for %s", what)
		}
	}
}

func says(log string, texts ...string) func() bool {
	return func() bool {
		b, _ := os.ReadFile(log)
		for _, text := range texts {
			if !strings.Contains(string(b), text) {
				return false
			}
		}
		return true
	}
}

func do(t *testing.T, db *sql.DB, text string) {
	t.Helper()
	if _, err := db.Exec(text); err != nil {
		t.Fatal(err)
	}
}

// Each row of the table is greeted, and one that is changed once more.
func TestSQLExample(t *testing.T) {
	path := filepath.Join(t.TempDir(), "people.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	readme, err := os.ReadFile("sql-python/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(readme), `people.db "`)
	table, _, _ = strings.Cut(table, "\"\n")
	do(t, db, table)
	do(t, db, "INSERT INTO people (name) VALUES ('Ada'), ('Grace')")
	log := polls(t, "sql-python", "people", func(at *function.Trigger) { at.URL = "sqlite:" + path })
	eventually(t, "the greetings", says(log, "Hello, Ada", "Hello, Grace"))
	do(t, db, "UPDATE people SET name = 'Ada Lovelace', changed_at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE id = 1")
	eventually(t, "the changed row", says(log, "Hello, Ada Lovelace"))
}

// An order in the outbox is done, and what is none is marked as failed.
func TestOutboxExample(t *testing.T) {
	addr := servers.PostgreSQL(t).Addr
	url := "postgres://postgres@" + addr + "/postgres"
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	table, err := os.ReadFile("outbox-python/outbox.sql")
	if err != nil {
		t.Fatal(err)
	}
	do(t, db, string(table))
	do(t, db, `INSERT INTO outbox (payload) VALUES ('{"who": "Ada", "books": 3}'), ('{}')`)
	log := polls(t, "outbox-python", "mails", func(at *function.Trigger) { at.URL = url })
	eventually(t, "the mail", says(log, "Dear Ada, your 3 books"))
	eventually(t, "both rows", func() bool {
		var done, failed int
		err := db.QueryRow("SELECT COUNT(done_at), COUNT(failed) FROM outbox WHERE done_at IS NULL OR payload ? 'who'").Scan(&done, &failed)
		return err == nil && done == 1 && failed == 1
	})
}

// Each change of an account is told, with what it was.
func TestCDCExample(t *testing.T) {
	url := "postgres://postgres@" + servers.PostgreSQL(t).Addr + "/postgres"
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	table, err := os.ReadFile("cdc-python/accounts.sql")
	if err != nil {
		t.Fatal(err)
	}
	do(t, db, string(table))
	log := polls(t, "cdc-python", "accounts", func(at *function.Trigger) { at.URL = url })
	eventually(t, "the slot", func() bool {
		var n int
		return db.QueryRow("SELECT COUNT(*) FROM pg_replication_slots WHERE active").Scan(&n) == nil && n == 1
	})
	do(t, db, "INSERT INTO accounts (owner, balance) VALUES ('Ada', 10.50)")
	do(t, db, "UPDATE accounts SET balance = balance + 2")
	do(t, db, "DELETE FROM accounts")
	do(t, db, "TRUNCATE accounts")
	eventually(t, "the changes", says(log, "Ada opened with 10.50", "Ada has 12.50 (+2.00", "Ada left", "all left"))
}

// A file is summed and moved, and what is none is moved elsewhere.
func TestFilesTriggerExample(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"march.csv": "name,amount\nAda,10.50\nGrace,2\n", "april.csv": "name\nAda\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := polls(t, "files-python", "invoices", func(at *function.Trigger) {
		with(t, at, "directory", dir)
		at.Retry = &function.Retry{Attempts: 1}
	})
	eventually(t, "the sum", says(log, "march.csv: 12.50"))
	eventually(t, "the files", func() bool {
		_, done := os.Stat(filepath.Join(dir, "done", "march.csv"))
		_, failed := os.Stat(filepath.Join(dir, "failed", "april.csv.reason"))
		return done == nil && failed == nil
	})
}

// The words of an object are counted, and once more when it changes.
func TestS3Example(t *testing.T) {
	addr := servers.Gofakes3(t).Addr
	c, err := minio.New(addr, &minio.Options{Creds: credentials.NewStaticV4("KEY", "secret", ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	put := func(text string) {
		t.Helper()
		if _, err := c.PutObject(t.Context(), servers.S3Bucket, "hamlet.txt", strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	put("to be or not to be")
	log := polls(t, "s3-python", "texts", func(at *function.Trigger) {
		at.URL = "http://KEY@" + addr
		with(t, at, "bucket", servers.S3Bucket)
	})
	eventually(t, "the first count", says(log, "hamlet.txt: 6 words"))
	put("to be")
	eventually(t, "the second count", says(log, "hamlet.txt: 2 words"))
}
