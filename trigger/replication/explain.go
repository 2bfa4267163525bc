package replication

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// explain says what to do about an error of the server, if that is known.
func explain(err error) error {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	do := ""
	switch {
	case pe.Code == "42501" && strings.Contains(pe.Message, "publication"), pe.Code == "42501" && strings.Contains(pe.Message, "owner"):
		do = "who publishes a table owns it, and every table only a superuser does: make the publication as such a one, and name it in the attribute publication"
	case pe.Code == "42501" && strings.Contains(pe.Message, "database"):
		do = "let the user do it: GRANT CREATE ON DATABASE ... TO ..."
	case pe.Code == "42501" && strings.Contains(strings.ToLower(pe.Message+pe.Detail), "replication"):
		do = "give the user the right: ALTER ROLE ... REPLICATION"
	case pe.Code == "53400":
		do = "raise max_replication_slots and restart the server, or drop a slot that nobody reads: SELECT * FROM pg_replication_slots"
	case pe.Code == "53300":
		do = "raise max_wal_senders"
	case pe.Code == "55000" && strings.Contains(pe.Message, "wal_level"):
		do = setLevel
	case pe.Code == "42704" && strings.Contains(pe.Message, "publication"):
		do = "the slot is older than the publication: let the trigger make another slot, or make one behind it"
	}
	if do == "" {
		return err
	}
	return fmt.Errorf("%w; %s", err, do)
}

const setLevel = "set it to logical and restart the server: ALTER SYSTEM SET wal_level = logical"
