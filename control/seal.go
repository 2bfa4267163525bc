package control

import (
	"context"
	"fmt"

	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/control/store/sealed"
)

// seal returns disk with what is written to it encrypted. A key file that is
// gone is not made anew: what was sealed with it could never be read again.
func (c *Control) seal(ctx context.Context, disk store.Store) (*sealed.Store, error) {
	before, err := sealed.IsSealed(ctx, disk)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	keys, err := sealed.LoadKeys(c.o.KeyFile, !before)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return sealed.Open(ctx, disk, keys)
}
