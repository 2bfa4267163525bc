package replication

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/myelin-run/myelin/trigger/sql/link"
	"github.com/myelin-run/myelin/trigger/stream"
)

// places keeps how far was read in a table of the database, under the trigger's
// name and the epoch of who reads.
type places struct {
	db    *sql.DB
	table string
	id    string
	of    string
}

func newPlaces(s *source, db *sql.DB) *places {
	of := stream.TableOf(s.settings)
	sum := sha256.Sum256([]byte(of + "\n" + s.cfg.Slot))
	return &places{db: db, table: link.PostgreSQL.Quoted(s.cfg.Places), id: hex.EncodeToString(sum[:20]), of: of}
}

// ready makes the table if it is not there. It is the same that the trigger sql has.
func (p *places) ready(ctx context.Context) error {
	look := func() error {
		var n int
		return p.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+p.table+" WHERE revision < 0").Scan(&n)
	}
	if look() == nil {
		return nil
	}
	create := "CREATE TABLE IF NOT EXISTS " + p.table + " (id VARCHAR(40) PRIMARY KEY, of_trigger VARCHAR(900), epoch BIGINT NOT NULL, next_item BIGINT NOT NULL, place TEXT NOT NULL, revision BIGINT NOT NULL)"
	_, err := p.db.ExecContext(ctx, create)
	if missing := look(); missing != nil { // another may have made it at the same time
		return fmt.Errorf("make table for places: %w; it is made by: %s", errors.Join(err, missing), create)
	}
	return nil
}

// load returns the place and the epoch under which it was kept; not ok: there is
// none.
func (p *places) load(ctx context.Context) (at place, epoch uint32, ok bool, err error) {
	var next int64
	var text string
	err = p.db.QueryRowContext(ctx, "SELECT epoch, next_item, place FROM "+p.table+" WHERE id = $1", p.id).Scan(&epoch, &next, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return at, 0, false, nil
	}
	if err != nil {
		return at, 0, false, fmt.Errorf("read place: %w", err)
	}
	at, err = parsePlace(next, text)
	return at, epoch, err == nil, err
}

// save keeps a place, unless one of a greater epoch is kept: then it returns a
// [*stream.Fenced].
func (p *places) save(ctx context.Context, at place, epoch uint32) error {
	res, err := p.db.ExecContext(ctx, "INSERT INTO "+p.table+" AS was (id, of_trigger, epoch, next_item, place, revision) VALUES ($1, $2, $3, $4, $5, 1)"+
		" ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, next_item = excluded.next_item, place = excluded.place, revision = was.revision + 1 WHERE was.epoch <= excluded.epoch",
		p.id, p.of, int64(epoch), at.next, at.String())
	if err != nil {
		return fmt.Errorf("write place: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	_, seen, _, err := p.load(ctx)
	if err != nil {
		return err
	}
	return &stream.Fenced{Seen: seen}
}
