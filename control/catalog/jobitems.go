package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/function"
)

// What a page of items holds at most. Records of a page are written as a whole,
// and so it is small.
const (
	pageItems = 64
	pageBytes = 256 << 10
)

// AddJobItems adds items to a job that has not ended, all or none. at says how
// many there are before the first of them, -1 for as many as there are: those
// that are there already are left out, and so the same may be said again.
// [*BusyError]: it has ended, or would have too many, or at is more than there
// are. It returns how many there are now.
func (c *Catalog) AddJobItems(ctx context.Context, n Name, name string, at int64, items []string) (total int64, err error) {
	err = again(func() error {
		k, err := c.keptJob(ctx, n, name)
		if err != nil {
			return err
		}
		fresh, err := k.fresh(n, name, at, items)
		if total = k.Status.Items; err != nil || len(fresh) == 0 {
			return err
		}
		ops, err := k.add(n, name, fresh)
		if err != nil {
			return err
		}
		if _, err = c.s.Commit(ctx, ops...); err == nil {
			total += int64(len(fresh))
		}
		return met(err)
	})
	return total, err
}

// fresh are those of items that the job has not.
func (k *keptJob) fresh(n Name, name string, at int64, items []string) ([]string, error) {
	st := k.Status
	had := int64(0)
	if at >= 0 {
		had = st.Items - at
	}
	size := k.Bytes
	for _, text := range items {
		size += int64(len(text))
	}
	refuse := func(format string, args ...any) ([]string, error) {
		return nil, &BusyError{fmt.Sprintf("job %s of %s ", name, n.Name) + fmt.Sprintf(format, args...)}
	}
	switch {
	case had < 0:
		return refuse("has %d items: those from the %dth on are to be added first", st.Items, st.Items+1)
	case had >= int64(len(items)):
		return nil, nil
	case st.State.Ended() || st.State == function.JobCancelling:
		return refuse("is %s: nothing can be added", st.State)
	case st.Items+int64(len(items)) > function.MaxJobItems || size > function.MaxJobBytes:
		return refuse("would have more than %d items or %d MiB of them: make several jobs of it", function.MaxJobItems, function.MaxJobBytes>>20)
	}
	return items[had:], nil
}

// add makes pages of items.
func (k *keptJob) add(n Name, name string, items []string) (ops []store.Op, err error) {
	page := plan.JobPage{First: k.Status.Items + 1}
	size := 0
	put := func() error {
		b, err := json.Marshal(page)
		if err != nil {
			return fmt.Errorf("store items of job %s: %w", name, err)
		}
		ops = append(ops, store.Op{Key: jobPage(jobItems, n, k.ID, k.Pages), Value: b, Check: true})
		k.Pages++
		page, size = plan.JobPage{First: page.First + int64(len(page.Items))}, 0
		return nil
	}
	for _, text := range items {
		if len(page.Items) == pageItems || size+len(text) > pageBytes {
			if err := put(); err != nil {
				return nil, err
			}
		}
		page.Items = append(page.Items, text)
		size += len(text)
		k.Bytes += int64(len(text))
	}
	if err := put(); err != nil {
		return nil, err
	}
	if len(ops) >= maxOps {
		return nil, fmt.Errorf("items of job %s: %d are too many at once", name, len(items))
	}
	k.Status.Items += int64(len(items))
	op, err := k.op(n, name)
	return append(ops, op), err
}

// MaxItemsAtOnce is how many items may be added at once.
const MaxItemsAtOnce = 4096

// JobItems returns up to limit items of a job whose numbers are greater than
// after, in order; with state only those that are in it. more tells that there
// may be others behind.
func (c *Catalog) JobItems(ctx context.Context, n Name, name, state string, after int64, limit int) (out []function.JobItem, more bool, err error) {
	k, err := c.keptJob(ctx, n, name)
	if err != nil {
		return nil, false, err
	}
	for at, err := c.pageAfter(ctx, n, k.ID, k.Pages, after); at < k.Pages; at++ {
		if err != nil {
			return nil, false, err
		}
		p, r, _, err := c.jobPage(ctx, n, k.ID, at)
		if err != nil {
			return nil, false, err
		}
		for _, item := range p.List(r) {
			if item.Number <= after || state != "" && item.State != state {
				continue
			}
			if len(out) == limit {
				return out, true, nil
			}
			out = append(out, item)
		}
	}
	return out, false, nil
}

// pageAfter finds the page of the item behind a number.
func (c *Catalog) pageAfter(ctx context.Context, n Name, id string, pages int, after int64) (int, error) {
	low, high := 0, pages // the last page that begins at or before after+1
	for high-low > 1 {
		mid := (low + high) / 2
		p, err := c.itemPage(ctx, n, id, mid)
		if err != nil {
			return 0, err
		}
		if p.First <= after+1 {
			low = mid
		} else {
			high = mid
		}
	}
	return low, nil
}

func (c *Catalog) itemPage(ctx context.Context, n Name, id string, at int) (p plan.JobPage, err error) {
	e, err := store.Get(ctx, c.s, jobPage(jobItems, n, id, at))
	if err != nil {
		return p, fmt.Errorf("read items: page %d of job %s: %w", at, id, err)
	}
	if err := json.Unmarshal(e.Value, &p); err != nil {
		return p, fmt.Errorf("read %s: %w", e.Key, err)
	}
	return p, nil
}

func (c *Catalog) recordPage(ctx context.Context, n Name, id string, at int) (r plan.JobRecords, rev store.Revision, err error) {
	e, err := store.Get(ctx, c.s, jobPage(jobRecords, n, id, at))
	if errors.Is(err, store.ErrNotFound) {
		return r, 0, nil
	}
	if err != nil {
		return r, 0, fmt.Errorf("read records: page %d of job %s: %w", at, id, err)
	}
	if err := json.Unmarshal(e.Value, &r); err != nil {
		return r, 0, fmt.Errorf("read %s: %w", e.Key, err)
	}
	return r, e.Revision, nil
}

// jobPage reads a page with its records, and the revision of these.
func (c *Catalog) jobPage(ctx context.Context, n Name, id string, at int) (p plan.JobPage, r plan.JobRecords, rev store.Revision, err error) {
	if p, err = c.itemPage(ctx, n, id, at); err != nil {
		return p, r, 0, err
	}
	r, rev, err = c.recordPage(ctx, n, id, at)
	return p, r, rev, err
}
