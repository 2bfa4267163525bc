// Package embedded is the binding of class kv that needs no service: keys in a
// file, which all processors of the function on a machine share, old versions and
// new ones alike. The file is one of SQLite, for that is what several processes
// may write to at once.
package embedded

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/sqlitefile"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
)

// Kind is the binding's name in a set.
const Kind = "kv/embedded"

// Config is the binding's attributes. The file is the binding's own path.
type Config struct {
	binding.Limits
	// Durable writes to the disk before a write is done, so that it survives a
	// loss of power, too. Default false: it survives the end of any process.
	Durable bool `json:"durable,omitempty"`
}

func defaults() Config { return Config{Limits: binding.DefaultLimits()} }

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	return es.Err()
}

// Factory makes embedded bindings.
func Factory() binding.Factory {
	return component.Define(Kind, "Keeps keys in a file beside the function.", defaults, build)
}

// busy is how long a write waits for those of other processors.
const busy = 5 * time.Second

func build(s binding.Settings, c Config) (binding.Binding, error) {
	if s.Spec.URL != "" {
		return nil, binding.Wrong("url", "is not for embedded: give the file as path")
	}
	if s.Spec.Secret != "" {
		return nil, binding.Wrong("secret", "is not for embedded")
	}
	path, err := s.Path(s.Spec.Path, s.Name+".kv")
	if err != nil {
		return nil, err
	}
	return &store{Limits: c.Limits, path: path, durable: c.Durable}, nil
}

// store implements [data.KeyStore]. Writes take turns: SQLite has one writer, and
// would have them poll for it.
type store struct {
	binding.Limits
	path    string
	durable bool

	db    *sql.DB
	get   *sql.Stmt
	write sync.Mutex
	puts  int // since expired keys were swept; guarded by write
}

const schema = `CREATE TABLE IF NOT EXISTS kv (
	key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, expires INTEGER) WITHOUT ROWID`

// versions never come again, also after a deletion.
const counter = `CREATE TABLE IF NOT EXISTS counter (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL)`

// Open implements [binding.Binding].
func (s *store) Open(ctx context.Context) error {
	db, err := sqlitefile.Open(s.path, busy, s.durable)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(s.MaxCalls)
	db.SetMaxIdleConns(s.MaxCalls)
	for _, text := range []string{schema, counter, `CREATE INDEX IF NOT EXISTS expiry ON kv (expires) WHERE expires IS NOT NULL`,
		`INSERT INTO counter VALUES (1, 0) ON CONFLICT DO NOTHING`} {
		if _, err = db.ExecContext(ctx, text); err != nil {
			break
		}
	}
	if err == nil {
		s.get, err = db.PrepareContext(ctx, `SELECT value, version FROM kv WHERE key = ? AND (expires IS NULL OR expires > ?)`)
	}
	if err != nil {
		_ = db.Close()
		return sqlitefile.Reason(err)
	}
	s.db = db
	return nil
}

// Close implements [binding.Binding].
func (s *store) Close() error {
	if s.db == nil {
		return nil
	}
	return errors.Join(s.get.Close(), s.db.Close())
}

// Check implements [binding.Checker].
func (s *store) Check(ctx context.Context) error {
	if err := s.opened(); err != nil {
		return err
	}
	return sqlitefile.Reason(s.db.PingContext(ctx))
}

func (s *store) opened() error {
	if s.db == nil {
		return data.Errorf(data.Away, "it is not open")
	}
	return nil
}

func now() int64 { return time.Now().UnixMilli() }

// Get implements [data.KeyStore].
func (s *store) Get(ctx context.Context, key string) (v data.Value, err error) {
	if err := s.opened(); err != nil {
		return v, err
	}
	return read(s.get.QueryRowContext(ctx, key, now()))
}

func read(row *sql.Row) (v data.Value, err error) {
	var version int64
	err = row.Scan(&v.Data, &version)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return v, data.NotFound
	case err != nil:
		return v, sqlitefile.Reason(err)
	}
	if v.Data == nil {
		v.Data = []byte{}
	}
	v.Version = strconv.FormatInt(version, 10)
	return v, nil
}

// change runs f in the only transaction that writes.
func (s *store) change(ctx context.Context, f func(tx *sql.Tx) error) error {
	if err := s.opened(); err != nil {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return sqlitefile.Reason(err)
	}
	defer func() { _ = tx.Rollback() }() // nothing after a commit
	if err := f(tx); err != nil {
		return err
	}
	if s.puts++; s.puts >= 256 {
		s.puts = 0
		if _, err := tx.ExecContext(ctx, `DELETE FROM kv WHERE expires <= ?`, now()); err != nil {
			return sqlitefile.Reason(err)
		}
	}
	return sqlitefile.Reason(tx.Commit())
}

// holds checks that the key has the version that is wanted.
func holds(ctx context.Context, tx *sql.Tx, key, want string) error {
	v, err := current(ctx, tx, key)
	if err != nil && !errors.Is(err, data.NotFound) {
		return err
	}
	switch {
	case v.Version == want:
		return nil
	case want == "":
		return data.Errorf(data.Conflict, "the key is there already, in version %s", v.Version)
	case v.Version == "":
		return data.Errorf(data.Conflict, "the key is not there")
	}
	return data.Errorf(data.Conflict, "the key is in version %s", v.Version)
}

func current(ctx context.Context, tx *sql.Tx, key string) (data.Value, error) {
	return read(tx.QueryRowContext(ctx, `SELECT value, version FROM kv WHERE key = ? AND (expires IS NULL OR expires > ?)`, key, now()))
}

func ends(ttl time.Duration) any {
	if ttl == 0 {
		return nil
	}
	return now() + max(1, ttl.Milliseconds())
}

const upsert = `INSERT INTO kv (key, value, version, expires) VALUES (?1, ?2, ?3, ?4)
	ON CONFLICT (key) DO UPDATE SET value = ?2, version = ?3, expires = ?4`

func put(ctx context.Context, tx *sql.Tx, key string, value []byte, expires any) (version int64, err error) {
	if value == nil {
		value = []byte{}
	}
	if err = tx.QueryRowContext(ctx, `UPDATE counter SET version = version + 1 RETURNING version`).Scan(&version); err == nil {
		_, err = tx.ExecContext(ctx, upsert, key, value, version, expires)
	}
	return version, sqlitefile.Reason(err)
}

// Put implements [data.KeyStore].
func (s *store) Put(ctx context.Context, key string, value []byte, o data.Put) (string, error) {
	var version int64
	err := s.change(ctx, func(tx *sql.Tx) (err error) {
		if o.If != nil {
			if err := holds(ctx, tx, key, *o.If); err != nil {
				return err
			}
		}
		version, err = put(ctx, tx, key, value, ends(o.TTL))
		return err
	})
	return strconv.FormatInt(version, 10), err
}

// PutAll implements [data.KeyPutter], in one transaction: all are done, or none.
func (s *store) PutAll(ctx context.Context, all []data.Pair) []error {
	err := s.change(ctx, func(tx *sql.Tx) error {
		for _, one := range all {
			if _, err := put(ctx, tx, one.Key, one.Value, ends(one.TTL)); err != nil {
				return err
			}
		}
		return nil
	})
	errs := make([]error, len(all))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// Delete implements [data.KeyStore].
func (s *store) Delete(ctx context.Context, key string, by *string) error {
	return s.change(ctx, func(tx *sql.Tx) error {
		if by != nil {
			if err := holds(ctx, tx, key, *by); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM kv WHERE key = ?`, key)
		return sqlitefile.Reason(err)
	})
}

// Scan implements [data.KeyScanner].
func (s *store) Scan(ctx context.Context, prefix, after string, limit int) (keys []string, err error) {
	if err := s.opened(); err != nil {
		return nil, err
	}
	// "\U0010ffff" sorts behind every character that a key may begin to go on with.
	rows, err := s.db.QueryContext(ctx, `SELECT key FROM kv WHERE key >= ?1 AND key < ?2 AND key > ?3 AND (expires IS NULL OR expires > ?4) ORDER BY key LIMIT ?5`,
		prefix, prefix+strings.Repeat("\U0010ffff", 2), after, now(), limit)
	if err != nil {
		return nil, sqlitefile.Reason(err)
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return nil, sqlitefile.Reason(err)
		}
		keys = append(keys, key)
	}
	return keys, sqlitefile.Reason(rows.Err())
}

// Add implements [data.KeyAdder].
func (s *store) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (sum int64, err error) {
	err = s.change(ctx, func(tx *sql.Tx) error {
		v, err := current(ctx, tx, key)
		switch {
		case errors.Is(err, data.NotFound):
			sum = delta
		case err != nil:
			return err
		default:
			if sum, err = data.Sum(v.Data, delta); err != nil {
				return err
			}
		}
		expires := ends(ttl)
		if ttl == 0 && v.Version != "" {
			var old sql.NullInt64
			if err := tx.QueryRowContext(ctx, `SELECT expires FROM kv WHERE key = ?`, key).Scan(&old); err != nil {
				return sqlitefile.Reason(err)
			}
			if old.Valid {
				expires = old.Int64
			}
		}
		_, err = put(ctx, tx, key, strconv.AppendInt(nil, sum, 10), expires)
		return err
	})
	return sum, err
}
