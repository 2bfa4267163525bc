package replication

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/sql/link"
	"github.com/myelin-run/myelin/trigger/stream"
)

// source opens sessions at one database.
type source struct {
	cfg      Config
	at       *link.Address
	settings trigger.Settings
}

var _ stream.Source = (*source)(nil)

// Connect implements [stream.Source]. The slot is read once a lease is there.
func (s *source) Connect(ctx context.Context, w stream.Want, host stream.Shards) (stream.Session, error) {
	db, err := s.at.Open(ctx)
	if err != nil {
		return nil, explain(err)
	}
	n := &session{src: s, db: db, places: newPlaces(s, db), want: w, host: host, came: make(chan stream.Batch), broken: make(chan error, 1), spare: make(chan *batch, spareBatches)}
	if err := n.ready(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return n, nil
}

// ready sees whether the server does what is asked of it, and makes what is
// missing.
func (n *session) ready(ctx context.Context) error {
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	s := n.src
	var level string
	var silence int64
	if err := n.db.QueryRowContext(ctx, "SELECT current_setting('wal_level'), (SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout')::bigint").Scan(&level, &silence); err != nil {
		return fmt.Errorf("read settings of the server: %w", err)
	}
	if level != "logical" {
		return fmt.Errorf("wal_level is %s; %s", level, setLevel)
	}
	n.every = s.cfg.StatusInterval.Std()
	if t := time.Duration(silence) * time.Millisecond; t > 0 {
		n.every = min(n.every, t/3)
	}
	if err := s.publish(ctx, n.db); err != nil {
		return err
	}
	if err := n.places.ready(ctx); err != nil {
		return err
	}
	from, _, had, err := n.places.load(ctx)
	if err != nil {
		return err
	}
	if had && s.cfg.SlotLost == Restart {
		return nil // who has the lease makes it
	}
	_, _, err = s.ensure(ctx, n.db, from, had)
	return err
}

// primary names the columns of a table's primary key.
func (n *session) primary(ctx context.Context, oid uint32) (out []string) {
	ctx, cancel := n.bounded(ctx)
	defer cancel()
	rows, err := n.db.QueryContext(ctx, `SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
		WHERE i.indrelid = $1::bigint AND i.indisprimary ORDER BY array_position(i.indkey::int2[], a.attnum)`, int64(oid))
	if err != nil {
		n.src.settings.Log.Warn("look for the primary key failed: changes of the table have its name as key", "table", oid, "error", err)
		return nil
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil
		}
		out = append(out, name)
	}
	if rows.Err() != nil {
		return nil
	}
	return out
}

// begin is where a slot without a place is read from.
func (n *session) begin(ctx context.Context, at slot) (lsn, error) {
	if n.want.Start.Where != trigger.Latest {
		return parseLSN(at.confirmed)
	}
	var now sql.NullString
	if err := n.db.QueryRowContext(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&now); err != nil {
		return 0, fmt.Errorf("find the end of the log: %w", err)
	}
	return parseLSN(now.String)
}
