package replication

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// slot is a replication slot as the server has it.
type slot struct {
	there     bool
	plugin    string
	database  bool   // it is of this database
	reader    int64  // the process that reads it; 0: none does
	confirmed string // what the server keeps begins there
	status    string // of the log that it needs; "" if the server does not say
	why       string // it was invalidated; "" if it was not, or the server does not say
}

// look asks for a slot. What only newer servers know is asked in a way that older
// ones answer, too.
func (s *source) look(ctx context.Context, db *sql.DB) (at slot, err error) {
	err = db.QueryRowContext(ctx, `SELECT coalesce(s.plugin, ''), coalesce(s.database = current_database(), false), coalesce(s.active_pid, 0), coalesce(s.confirmed_flush_lsn::text, ''),
		coalesce(row_to_json(s)->>'wal_status', ''), coalesce(row_to_json(s)->>'invalidation_reason', '') FROM pg_replication_slots s WHERE s.slot_name = $1`, s.cfg.Slot).
		Scan(&at.plugin, &at.database, &at.reader, &at.confirmed, &at.status, &at.why)
	if errors.Is(err, sql.ErrNoRows) {
		return at, nil
	}
	if err != nil {
		return at, fmt.Errorf("look for slot %s: %w", s.cfg.Slot, err)
	}
	at.there = true
	if at.plugin != "pgoutput" || !at.database {
		return at, fmt.Errorf("slot %s is none with the plugin pgoutput of this database: name another in the attribute slot", s.cfg.Slot)
	}
	return at, nil
}

// lost says why a slot cannot be read any more; "" if it can.
func (at slot) lost() string {
	switch {
	case at.why != "":
		return "was invalidated (" + at.why + ")"
	case at.status == "lost":
		return "was invalidated: the server removed the log that it needs (see max_slot_wal_keep_size)"
	}
	return ""
}

// make makes the slot if it is not there. It takes as long as the transactions
// that run just now.
func (s *source) make(ctx context.Context, db *sql.DB) error {
	if !s.cfg.MakeSlot {
		return fmt.Errorf("slot %s is not there; it is made by: SELECT pg_create_logical_replication_slot('%[1]s', 'pgoutput')", s.cfg.Slot)
	}
	_, err := db.ExecContext(ctx, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", s.cfg.Slot)
	if err == nil {
		s.settings.Log.Info("slot made", "slot", s.cfg.Slot)
		return nil
	}
	if at, lerr := s.look(context.WithoutCancel(ctx), db); lerr == nil && at.there {
		return nil // another made it at the same time
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w; it waits for the transactions that began before", err)
	}
	return explain(fmt.Errorf("make slot %s: %w", s.cfg.Slot, err))
}

// ensure sees to a slot that can be read, from a place that was kept or, if there
// is none (had), from anywhere. anew says that it has nothing of before.
func (s *source) ensure(ctx context.Context, db *sql.DB, from place, had bool) (at slot, anew bool, err error) {
	if at, err = s.look(ctx, db); err != nil {
		return at, false, err
	}
	why := at.lost()
	if !at.there && had {
		why = "has gone"
	}
	if why != "" {
		if err := s.replace(ctx, db, at, why, from, had); err != nil {
			return at, false, err
		}
		anew = true
	} else if !at.there {
		anew = true
	}
	if anew {
		if err := s.make(ctx, db); err != nil {
			return at, false, err
		}
		at, err = s.look(ctx, db)
	}
	return at, anew, err
}

// replace sees to it that a slot that was lost can be made anew, if that is wanted.
func (s *source) replace(ctx context.Context, db *sql.DB, at slot, why string, from place, had bool) error {
	since := ""
	if had {
		since = fmt.Sprintf(" since %v", from.lsn)
	}
	if s.cfg.SlotLost != Restart {
		return fmt.Errorf("slot %s %s, and changes%s with it: they have to be found otherwise. The attribute slotLost: restart goes on from now", s.cfg.Slot, why, since)
	}
	s.settings.Log.Warn("slot is made anew; changes were lost", "slot", s.cfg.Slot, "reason", why, "since", from.lsn)
	if !at.there {
		return nil
	}
	if _, err := db.ExecContext(ctx, "SELECT pg_drop_replication_slot($1)", s.cfg.Slot); err != nil {
		return explain(fmt.Errorf("drop slot %s: %w", s.cfg.Slot, err))
	}
	return nil
}

const (
	freeTime = 3 * time.Second // that whoever read a slot before has to let go of it
	freeLook = 20 * time.Millisecond
)

// free waits until nobody reads the slot. Who still does so after a while, under
// this trigger's name, is one whose lease is over: the server ends its connection.
func (s *source) free(ctx context.Context, db *sql.DB) error {
	tick := time.NewTicker(freeLook)
	defer tick.Stop()
	for begun := time.Now(); ; {
		at, err := s.look(ctx, db)
		if err != nil || at.reader == 0 {
			return err
		}
		if time.Since(begun) > freeTime {
			begun = time.Now()
			if err := s.end(ctx, db, at.reader); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("slot %s is still read by process %d of the server: %w", s.cfg.Slot, at.reader, ctx.Err())
		}
	}
}

func (s *source) end(ctx context.Context, db *sql.DB, reader int64) error {
	var ended bool
	err := db.QueryRowContext(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND application_name = current_setting('application_name')", reader).Scan(&ended)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("slot %s is read by process %d of the server, which is none of this trigger's: name another slot, or end it", s.cfg.Slot, reader)
	}
	if err != nil {
		return fmt.Errorf("end who reads slot %s: %w", s.cfg.Slot, err)
	}
	return nil
}
