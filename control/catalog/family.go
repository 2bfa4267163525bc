package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/myelin-run/myelin/control/store"
)

// family is what the versions and aliases of a function have in common. Whoever
// adds, names or removes a version writes it anew in the same commit, and so
// they see each other: a version does not go while an alias begins to name it.
// It outlives the function, so that no number is ever given again.
type family struct {
	Last int `json:"last"` // the highest number that was ever given

	name Name
	at   store.Revision
}

func (c *Catalog) family(ctx context.Context, n Name) (family, error) {
	f := family{name: n}
	e, err := store.Get(ctx, c.s, n.family())
	if errors.Is(err, store.ErrNotFound) {
		return f, nil
	}
	if err == nil {
		f.at = e.Revision
		err = json.Unmarshal(e.Value, &f)
	}
	if err != nil {
		return f, fmt.Errorf("read versions of %s: %w", n, err)
	}
	return f, nil
}

// op writes the family, if nobody else has since it was read.
func (f family) op() store.Op {
	b, _ := json.Marshal(f) // a number
	return store.Op{Key: f.name.family(), Value: b, Check: true, If: f.at}
}

// attempts bounds how often what read and then wrote is begun again because
// somebody else wrote between.
const attempts = 20

// again calls try until it meets nobody.
func again(try func() error) error {
	err := try()
	for range attempts {
		if !errors.Is(err, errMet) {
			break
		}
		err = try()
	}
	return err
}

// errMet says that somebody else wrote between reading and writing.
var errMet = fmt.Errorf("met: %w", store.ErrConflict)

// met tells a conflict that is worth another attempt.
func met(err error) error {
	if errors.Is(err, store.ErrConflict) {
		return errMet
	}
	return err
}
