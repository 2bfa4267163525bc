package sql

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/myelin-run/myelin/trigger/poll"
	"github.com/myelin-run/myelin/trigger/sql/link"
	"github.com/myelin-run/myelin/trigger/stream"
)

// places keeps how far was read in a table of the database that is read, under
// the trigger's name.
type places struct {
	link.Dialect
	db    *sql.DB
	table string
	id    string
	of    string

	mu   sync.Mutex
	made bool
}

func newPlaces(s *source, db *sql.DB) *places {
	of := stream.TableOf(s.settings)
	sum := sha256.Sum256([]byte(of))
	return &places{Dialect: s.at.Dialect, db: db, table: s.at.Quoted(s.cfg.Places), id: hex.EncodeToString(sum[:20]), of: of}
}

func (p *places) create() string {
	return "CREATE TABLE IF NOT EXISTS " + p.table + " (id VARCHAR(40) PRIMARY KEY, of_trigger VARCHAR(900), epoch BIGINT NOT NULL, next_item BIGINT NOT NULL, place TEXT NOT NULL, revision BIGINT NOT NULL)"
}

// Load implements [poll.Places].
func (p *places) Load(ctx context.Context) (at poll.Place, revision string, err error) {
	if err := p.ready(ctx); err != nil {
		return at, "", err
	}
	q := p.Statement("SELECT epoch, next_item, place, revision FROM " + p.table + " WHERE id = ").Arg(p.id)
	var rev int64
	err = p.db.QueryRowContext(ctx, q.String(), q.Args...).Scan(&at.Epoch, &at.Next, &at.Cursor, &rev)
	if errors.Is(err, sql.ErrNoRows) {
		return poll.Place{}, "", nil
	}
	return at, strconv.FormatInt(rev, 10), err
}

// ready makes the table if it is not there. Who may not make it is told how it is
// made.
func (p *places) ready(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made {
		return nil
	}
	look := func() error {
		var n int
		return p.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+p.table+" WHERE revision < 0").Scan(&n)
	}
	if look() != nil {
		_, err := p.db.ExecContext(ctx, p.create())
		if missing := look(); missing != nil { // another may have made it at the same time
			return fmt.Errorf("make table for places: %w; it is made by: %s", errors.Join(err, missing), p.create())
		}
	}
	p.made = true
	return nil
}

// Save implements [poll.Places].
func (p *places) Save(ctx context.Context, at poll.Place, revision string) (string, error) {
	if revision == "" {
		return p.insert(ctx, at)
	}
	rev, err := strconv.ParseInt(revision, 10, 64)
	if err != nil {
		return "", err
	}
	q := p.Statement("UPDATE " + p.table + " SET epoch = ").Arg(int64(at.Epoch)).Text(", next_item = ").Arg(at.Next).Text(", place = ").Arg(at.Cursor)
	q.Text(", revision = ").Arg(rev + 1).Text(" WHERE id = ").Arg(p.id).Text(" AND revision = ").Arg(rev)
	res, err := p.db.ExecContext(ctx, q.String(), q.Args...)
	if err != nil {
		return "", err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return strconv.FormatInt(rev+1, 10), err
	}
	return "", poll.ErrWritten
}

func (p *places) insert(ctx context.Context, at poll.Place) (string, error) {
	q := p.Statement("INSERT INTO " + p.table + " (id, of_trigger, epoch, next_item, place, revision) VALUES (").Arg(p.id).Text(", ").Arg(p.of)
	q.Text(", ").Arg(int64(at.Epoch)).Text(", ").Arg(at.Next).Text(", ").Arg(at.Cursor).Text(", 1)")
	if _, err := p.db.ExecContext(ctx, q.String(), q.Args...); err != nil {
		if _, rev, lerr := p.Load(ctx); lerr == nil && rev != "" {
			return "", poll.ErrWritten
		}
		return "", err
	}
	return "1", nil
}
