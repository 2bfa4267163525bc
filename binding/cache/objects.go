package cache

import (
	"context"

	"github.com/myelin-run/myelin/binding/data"
)

// Objects is a [data.ObjectStore] with a cache before it, of whole objects.
// Their content is shared.
type Objects struct {
	store data.ObjectStore
	kept  *kept[object]
}

type object struct {
	content []byte
	info    data.Info
}

// ForObjects puts a cache before a store.
func ForObjects(s data.ObjectStore, o Options) *Objects {
	return &Objects{s, newKept(o, func(o object) int { return len(o.content) + len(o.info.Version) + len(o.info.ContentType) })}
}

// Stats says how the cache is used.
func (c *Objects) Stats() Stats { return c.kept.Stats() }

// Peek implements [data.ObjectPeeker].
func (c *Objects) Peek(name string) ([]byte, data.Info, bool, error) {
	o, ok, err := c.kept.peek(name)
	return o.content, o.info, ok, err
}

// Get implements [data.ObjectStore].
func (c *Objects) Get(ctx context.Context, name string, r data.Range, limit int64) ([]byte, data.Info, error) {
	if !r.All() {
		return c.store.Get(ctx, name, r, limit)
	}
	ctx = data.WithoutRoom(ctx) // it is kept, and shared
	o, err := c.kept.get(ctx, name, func() (o object, err error) {
		o.content, o.info, err = c.store.Get(ctx, name, r, limit)
		return o, err
	})
	return o.content, o.info, err
}

// Put implements [data.ObjectStore]. Whatever comes of it, it may have been done.
func (c *Objects) Put(ctx context.Context, name string, content []byte, o data.PutObject) (string, error) {
	defer c.kept.forget(name)
	return c.store.Put(ctx, name, content, o)
}

// Delete implements [data.ObjectStore].
func (c *Objects) Delete(ctx context.Context, name string) error {
	defer c.kept.forget(name)
	return c.store.Delete(ctx, name)
}

// Stat implements [data.ObjectLister], for stores that do.
func (c *Objects) Stat(ctx context.Context, name string) (data.Info, error) {
	l, ok := c.store.(data.ObjectLister)
	if !ok {
		return data.Info{}, data.Errorf(data.Unsupported, "this kind of object cannot be asked about")
	}
	return l.Stat(ctx, name)
}

// List implements [data.ObjectLister], for stores that do.
func (c *Objects) List(ctx context.Context, prefix, after string, limit int) ([]data.Info, error) {
	l, ok := c.store.(data.ObjectLister)
	if !ok {
		return nil, data.Errorf(data.Unsupported, "this kind of object cannot list")
	}
	return l.List(ctx, prefix, after, limit)
}
