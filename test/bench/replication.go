package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger/replication"
)

// Of the benchmark of PostgreSQL's changes.
const (
	changedRows  = 50_000 // for each second asked for, and the goal
	rowsAlike    = 100    // that a transaction inserts
	limitPart    = 0.95   // of the server's limit, where that is less than the goal
	postgresUser = "postgres"
)

// replications is the benchmark of the trigger of PostgreSQL's changes, against a
// client that reads as much of the same log, and looks at what kind each message
// is: that is as much as the server sends.
func replications(o options) []benchmark {
	const name, title = "replication-pg", "Changes of PostgreSQL to a native Go handler, rows of 5 columns and 150 bytes, transactions of 100"
	goal := fmt.Sprintf(">= %d rows/s, or %g of a bare reader", changedRows, limitPart)
	return []benchmark{{name: name, title: title, goal: goal, group: "queue", measure: func(ctx context.Context) (res Result, err error) {
		h := &holder{}
		defer h.end()
		s, err := start(h, servers.PostgreSQL)
		if err != nil {
			return res, err
		}
		c := &changes{addr: s.Addr}
		if c.db, err = pgx.Connect(ctx, c.url()); err != nil {
			return res, err
		}
		h.Cleanup(func() { _ = c.db.Close(context.WithoutCancel(ctx)) })
		res, err = c.compare(ctx, o)
		res.Name, res.Title, res.Goal, res.Unit = name, title, goal, "rows/s"
		res.Met = res.Value >= changedRows || res.Ratio >= limitPart
		return res, err
	}}}
}

// changes is a table, whose changes both sides read by slots of their own.
type changes struct {
	addr string
	db   *pgx.Conn
}

func (c *changes) url() string {
	return "postgres://" + postgresUser + "@" + c.addr + "/postgres?sslmode=disable"
}

// compare lets both sides in turn read what was inserted since their slots were
// made.
func (c *changes) compare(ctx context.Context, o options) (res Result, err error) {
	res.Sides = []Series{{Name: "Myelin, Go"}, {Name: "bare reader"}}
	for _, text := range []string{
		"CREATE TABLE visits (id BIGINT PRIMARY KEY, who TEXT NOT NULL, note TEXT NOT NULL, amount NUMERIC NOT NULL, at TIMESTAMPTZ NOT NULL)",
		"CREATE PUBLICATION bench FOR TABLE visits",
	} {
		if _, err := c.db.Exec(ctx, text); err != nil {
			return res, err
		}
	}
	n := changedRows * o.seconds
	for round := -1; round < o.rounds; round++ { // the first warms up
		rates, err := c.round(ctx, round, n)
		if err != nil {
			return res, err
		}
		if round < 0 {
			continue
		}
		for i, rate := range rates {
			res.Sides[i].Values = append(res.Sides[i].Values, rate)
		}
		res.Ratios = append(res.Ratios, rates[0]/rates[1])
	}
	res.Value, res.Reference, res.Ratio = median(res.Sides[0].Values), median(res.Sides[1].Values), median(res.Ratios)
	return res, nil
}

func (c *changes) round(ctx context.Context, round, n int) (rates [2]float64, err error) {
	slot := [2]string{fmt.Sprint("myelin_", round+1), fmt.Sprint("bare_", round+1)}
	for _, s := range slot {
		if _, err := c.db.Exec(ctx, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", s); err != nil {
			return rates, err
		}
	}
	if err := c.fill(ctx, n); err != nil {
		return rates, fmt.Errorf("fill table: %w", err)
	}
	sides := [2]consumer{
		func(ctx context.Context, seen func([]byte)) error { return c.trigger(ctx, slot[0], seen) },
		func(ctx context.Context, seen func([]byte)) error { return c.bare(ctx, slot[1], seen) },
	}
	for turn := range 2 {
		i := (round + 1 + turn) % 2
		time.Sleep(settle)
		if rates[i], err = emptied(ctx, n, sides[i]); err != nil {
			return rates, fmt.Errorf("%s: %w", slot[i], err)
		}
	}
	for _, s := range slot {
		if err := c.drop(ctx, s); err != nil {
			return rates, err
		}
	}
	return rates, nil
}

// fill inserts rows, in transactions.
func (c *changes) fill(ctx context.Context, n int) error {
	if _, err := c.db.Exec(ctx, "TRUNCATE visits"); err != nil {
		return err
	}
	for from := 0; from < n; from += rowsAlike {
		if _, err := c.db.Exec(ctx, `INSERT INTO visits SELECT i, 'visitor ' || i % 1000, repeat('x', 64), i * 0.25, now() FROM generate_series($1::bigint, $2::bigint) i`, from, from+rowsAlike-1); err != nil {
			return err
		}
	}
	return nil
}

// drop waits until the server has let go of a slot.
func (c *changes) drop(ctx context.Context, slot string) (err error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err = c.db.Exec(ctx, "SELECT pg_drop_replication_slot($1)", slot); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return fmt.Errorf("drop slot %s: %w", slot, err)
}

// trigger is the subject. Truncations are not among what it reads.
func (c *changes) trigger(ctx context.Context, slot string, seen func([]byte)) error {
	spec := function.Trigger{Kind: replication.Kind, URL: c.url(), Attributes: attributes(map[string]any{
		"publication": "bench", "slot": slot, "places": "places_" + slot, "operations": []string{"insert"}})}
	return serveTrigger(ctx, replication.Factory(), spec, seen)
}

// bare reads as the protocol has it, and confirms nothing: nobody asks within the
// time that it takes.
func (c *changes) bare(ctx context.Context, slot string, seen func([]byte)) error {
	conf, err := pgconn.ParseConfig(c.url())
	if err != nil {
		return err
	}
	conf.RuntimeParams["replication"] = "database"
	conn, err := pgconn.ConnectConfig(ctx, conf)
	if err != nil {
		return err
	}
	h, err := conn.Hijack()
	if err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	defer h.Conn.Close()
	defer context.AfterFunc(ctx, func() { _ = h.Conn.SetDeadline(time.Unix(1, 0)) })()
	h.Frontend.SendQuery(&pgproto3.Query{String: fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL 0/0 (proto_version '1', publication_names 'bench')", slot)})
	err = h.Frontend.Flush()
	for err == nil {
		var m pgproto3.BackendMessage
		if m, err = h.Frontend.Receive(); err != nil {
			break
		}
		switch m := m.(type) {
		case *pgproto3.CopyData:
			if b := m.Data; len(b) > walHead && b[0] == 'w' && b[walHead] == 'I' {
				seen(b[walHead:])
			}
		case *pgproto3.ErrorResponse:
			return pgconn.ErrorResponseToPgError(m)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// walHead is what a message of the log begins with: what it is, and three numbers.
const walHead = 1 + 3*8
