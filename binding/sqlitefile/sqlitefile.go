// Package sqlitefile opens files of SQLite as bindings use them, so that several
// processes may write to one, and says what its errors mean. It knows no binding.
package sqlitefile

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	lib "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/myelin-run/myelin/binding/data"
)

// Open opens the file at path, which is made if it is not there.
func Open(path string, busy time.Duration, durable bool) (*sql.DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make directory of database: %w", err)
	}
	synchronous := "normal"
	if durable {
		synchronous = "full"
	}
	q := url.Values{"_txlock": {"immediate"}, "_time_format": {"sqlite"}, "_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()), "journal_mode(wal)", "synchronous(" + synchronous + ")", "foreign_keys(1)",
	}}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return sql.Open("sqlite", u.String())
}

// Reason says what an error of SQLite means.
func Reason(err error) error {
	var e *lib.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case codes.SQLITE_CONSTRAINT:
		switch e.Code() {
		case codes.SQLITE_CONSTRAINT_UNIQUE, codes.SQLITE_CONSTRAINT_PRIMARYKEY, codes.SQLITE_CONSTRAINT_ROWID:
			return data.As(data.Conflict, err)
		}
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
		return data.As(data.Conflict, err)
	case codes.SQLITE_INTERRUPT:
		return data.As(data.Timeout, err)
	case codes.SQLITE_READONLY, codes.SQLITE_PERM, codes.SQLITE_AUTH:
		return data.As(data.Denied, err)
	case codes.SQLITE_IOERR, codes.SQLITE_FULL, codes.SQLITE_CANTOPEN, codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		return data.As(data.Away, err)
	case codes.SQLITE_TOOBIG:
		return data.As(data.TooLarge, err)
	}
	return data.As(data.Misuse, err)
}
