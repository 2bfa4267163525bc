package cache

import (
	"context"
	"time"

	"github.com/myelin-run/myelin/binding/data"
)

// Keys is a [data.KeyStore] with a cache before it. Values are shared.
type Keys struct {
	store data.KeyStore
	kept  *kept[data.Value]
}

// ForKeys puts a cache before a store.
func ForKeys(s data.KeyStore, o Options) *Keys {
	return &Keys{s, newKept(o, func(v data.Value) int { return len(v.Data) + len(v.Version) })}
}

// Stats says how the cache is used.
func (c *Keys) Stats() Stats { return c.kept.Stats() }

// Peek implements [data.KeyPeeker].
func (c *Keys) Peek(key string) (data.Value, bool, error) { return c.kept.peek(key) }

// Keep implements [data.KeyKeeper].
func (c *Keys) Keep(key string) (until time.Time) { return c.kept.until(key) }

// Kept implements [data.KeyKeeper].
func (c *Keys) Kept(hits uint64) { c.kept.hits.Add(hits) }

// Get implements [data.KeyStore].
func (c *Keys) Get(ctx context.Context, key string) (data.Value, error) {
	return c.kept.get(ctx, key, func() (data.Value, error) { return c.store.Get(ctx, key) })
}

// Put implements [data.KeyStore]. Whatever comes of it, it may have been done.
func (c *Keys) Put(ctx context.Context, key string, value []byte, o data.Put) (string, error) {
	defer c.kept.forget(key)
	return c.store.Put(ctx, key, value, o)
}

// PutAll implements [data.KeyPutter], for stores that do.
func (c *Keys) PutAll(ctx context.Context, all []data.Pair) []error {
	defer func() {
		for _, p := range all {
			c.kept.forget(p.Key)
		}
	}()
	return data.PutAll(ctx, c.store, all)
}

// Delete implements [data.KeyStore].
func (c *Keys) Delete(ctx context.Context, key string, by *string) error {
	defer c.kept.forget(key)
	return c.store.Delete(ctx, key, by)
}

// Add implements [data.KeyAdder], for stores that do.
func (c *Keys) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	a, ok := c.store.(data.KeyAdder)
	if !ok {
		return 0, data.Errorf(data.Unsupported, "this kind of kv cannot add")
	}
	defer c.kept.forget(key)
	return a.Add(ctx, key, delta, ttl)
}

// Scan implements [data.KeyScanner], for stores that do.
func (c *Keys) Scan(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	s, ok := c.store.(data.KeyScanner)
	if !ok {
		return nil, data.Errorf(data.Unsupported, "this kind of kv cannot scan")
	}
	return s.Scan(ctx, prefix, after, limit)
}

// Watch implements [data.KeyWatcher], for stores that do.
func (c *Keys) Watch(ctx context.Context, prefix string, tell func(data.Change)) error {
	w, ok := c.store.(data.KeyWatcher)
	if !ok {
		return data.Errorf(data.Unsupported, "this kind of kv tells of no changes")
	}
	return w.Watch(ctx, prefix, tell)
}

// Follow forgets what others change, as long as the store tells of it, until ctx is
// done or the store does not tell any more: then old values stay for their time.
func (c *Keys) Follow(ctx context.Context) error {
	return c.Watch(ctx, "", func(change data.Change) {
		if change.Key == "" {
			c.kept.clear()
			return
		}
		c.kept.forget(change.Key)
	})
}
