package exactly

import (
	"context"
	"errors"
	"fmt"

	"github.com/myelin-run/myelin/binding/data"
)

// dialect is what databases write differently.
type dialect struct {
	text, bytes string // types of columns of any length
	latest      string // what makes a SELECT see what was committed a moment ago
}

func dialectOf(kind string) dialect {
	switch kind {
	case "postgresql":
		return dialect{text: "TEXT", bytes: "BYTEA"}
	case "mysql", "mariadb":
		return dialect{text: "LONGTEXT", bytes: "LONGBLOB", latest: " LOCK IN SHARE MODE"}
	}
	return dialect{text: "TEXT", bytes: "BLOB"}
}

// tables are made in the function's own database. A user who may not make tables
// finds the statements in the documentation.
func (d dialect) tables() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS myelin_positions (id VARCHAR(40) PRIMARY KEY, of_function VARCHAR(600), of_trigger VARCHAR(300),
			topic VARCHAR(300), source VARCHAR(100), shard INTEGER, epoch BIGINT, position BIGINT, changed VARCHAR(30))`,
		`CREATE TABLE IF NOT EXISTS myelin_done (id VARCHAR(40), number BIGINT, PRIMARY KEY (id, number))`,
		`CREATE TABLE IF NOT EXISTS myelin_letters (id VARCHAR(40) PRIMARY KEY, outbox VARCHAR(40), kept VARCHAR(30), letter ` + d.text + `)`,
		createState(d),
	}
}

func createState(d dialect) string {
	return "CREATE TABLE IF NOT EXISTS myelin_state (id VARCHAR(40) PRIMARY KEY, of_function VARCHAR(600), name VARCHAR(512), version BIGINT, value " + d.bytes + ")"
}

const probeState = "SELECT 1 FROM myelin_state"

var probes = []string{"SELECT 1 FROM myelin_positions", "SELECT 1 FROM myelin_done", "SELECT 1 FROM myelin_letters", probeState}

// open sees to it that the tables are there.
func (s *Sink) open(ctx context.Context) error {
	s.mu.Lock()
	ready := s.ready
	s.mu.Unlock()
	if ready {
		return nil
	}
	for i, statement := range s.of.tables() {
		if err := prepare(ctx, s.table, probes[i], statement); err != nil {
			return fmt.Errorf("make the tables of exactlyOnce: %w", err)
		}
	}
	s.mu.Lock()
	s.ready = true
	s.mu.Unlock()
	return nil
}

// prepare makes a table that is not there. Several processors may at once, which
// some databases do not take.
func prepare(ctx context.Context, t *data.Table, probe, statement string) (err error) {
	for range tries {
		if _, err = t.QueryLimit(ctx, 1, probe); err == nil || !errors.Is(err, data.Misuse) {
			return err
		}
		if _, err = t.Exec(ctx, statement); err == nil {
			return nil
		}
	}
	return err
}
