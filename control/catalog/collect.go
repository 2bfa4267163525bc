package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
)

// Collect removes the versions of a function that a policy does not keep, and
// returns them; with dry it only says which. One that is named meanwhile stays.
func (c *Catalog) Collect(ctx context.Context, n Name, keep plan.Keep, dry bool) ([]function.Version, error) {
	all, _, err := c.Versions(ctx, n)
	if err != nil {
		return nil, err
	}
	aliases, _, err := c.Aliases(ctx, n)
	if err != nil {
		return nil, err
	}
	back := map[int]bool{}
	for _, a := range aliases {
		if len(a.Status.History) > 1 {
			for _, v := range a.Status.History[1].Spec.Names() {
				back[v] = true
			}
		}
	}
	gone := plan.Collect(all, back, keep, time.Now())
	if dry {
		return gone, nil
	}
	var out []function.Version
	for _, v := range gone {
		err := c.DeleteVersion(ctx, Deployment{n, v.Number})
		var named *NamedError
		switch {
		case err == nil:
			out = append(out, v)
		case !errors.As(err, &named) && !errors.Is(err, store.ErrNotFound):
			return out, err
		}
	}
	return out, nil
}

// Published returns the functions that have versions.
func (c *Catalog) Published(ctx context.Context) (out []Name, err error) {
	all, err := store.Range(ctx, c.s, store.Span{Prefix: families, Bare: true})
	for _, e := range all.Entries {
		if n, ok := parseFamily(e.Key); ok {
			out = append(out, n)
		}
	}
	return out, err
}

// Artefacts returns the digests of all artefacts that a function or a version
// runs.
func (c *Catalog) Artefacts(ctx context.Context) (map[string]bool, error) {
	out := map[string]bool{}
	for _, prefix := range []string{specs, versions} {
		entries, _, err := c.s.List(ctx, prefix)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			var said struct {
				Artefact string            `json:"artefact"`
				Metadata function.Metadata `json:"metadata"`
			}
			if err := json.Unmarshal(e.Value, &said); err != nil {
				return nil, fmt.Errorf("read %s: %w", e.Key, err)
			}
			out[said.Artefact], out[said.Metadata.Annotations[plan.ArtefactAnnotation]] = true, true
		}
	}
	return out, nil
}
