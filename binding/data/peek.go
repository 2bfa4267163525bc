package data

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// KeyPeeker is implemented by key stores that have some values at hand. Values
// of such a store, those of Get too, are shared: the handle makes copies.
type KeyPeeker interface {
	// Peek returns a value, or [NotFound], where that costs no call.
	Peek(key string) (v Value, ok bool, err error)
}

// KeyKeeper is implemented by such key stores if others, who hear of changes, may
// keep what these have at hand.
type KeyKeeper interface {
	// Keep says until when the value of a key may be kept; the zero time: it may not.
	Keep(key string) (until time.Time)
	// Kept counts that they found values so often that they had kept.
	Kept(hits uint64)
}

// ObjectPeeker is KeyPeeker for whole objects.
type ObjectPeeker interface {
	Peek(name string) (content []byte, info Info, ok bool, err error)
}

// QueryPeeker is KeyPeeker for answers of tables.
type QueryPeeker interface {
	Peek(b Bounds, sql string, args []any) (r *Result, ok bool, err error)
}

// told is the error of a call that was answered from what is at hand.
func (h *handle) told(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s of binding %s: %w", operation, h.guard.Name, err)
}

// at returns what is at hand for an event; nil if nothing is.
func (h *handle) at(ctx context.Context, key string) *Item {
	if h.lost != nil || !h.guard.Fetches {
		return nil
	}
	return FetchedOf(ctx).find(h.guard.Name, key)
}

// wrote forgets what the event has at hand of a key, "" for all, since it is
// written.
func (h *handle) wrote(ctx context.Context, key string) {
	if h.lost == nil && h.guard.Fetches {
		FetchedOf(ctx).drop(h.guard.Name, key)
	}
}

// Shared is Get of a value that may be shared with others: it is not to be
// changed.
func (k *KV) Shared(ctx context.Context, key string) (v Value, err error) {
	if it := k.at(ctx, key); it != nil {
		return it.Value, k.told("kv.get", it.Err)
	}
	if k.peek != nil {
		if v, ok, err := k.peek.Peek(key); ok {
			return v, k.told("kv.get", err)
		}
	}
	err = k.run(ctx, "kv.get", true, func(ctx context.Context) (err error) {
		if err := checkKey(key); err != nil {
			return err
		}
		if v, err = k.store.Get(ctx, key); err == nil {
			err = k.guard.fits(len(v.Data))
		}
		return err
	})
	return v, err
}

// Lasting is Shared, and says until when who hears of changes may keep the value; the
// zero time: not at all.
func (k *KV) Lasting(ctx context.Context, key string) (v Value, until time.Time, err error) {
	fetched := k.at(ctx, key) != nil // some time ago
	v, err = k.Shared(ctx, key)
	if keeper, ok := k.store.(KeyKeeper); ok && !fetched && err == nil {
		until = keeper.Keep(key)
	}
	return v, until, err
}

// Kept counts that values were found that had been kept.
func (k *KV) Kept(hits uint64) {
	if keeper, ok := k.store.(KeyKeeper); ok {
		keeper.Kept(hits)
	}
}

// Shared is GetRange of content that may be shared with others: it is not to be
// changed.
func (o *Object) Shared(ctx context.Context, name string, r Range) (content []byte, info Info, err error) {
	if r.All() {
		if it := o.at(ctx, name); it != nil {
			return it.Value.Data, it.Info, o.told("object.get", it.Err)
		}
		if o.peek != nil {
			if content, info, ok, err := o.peek.Peek(name); ok {
				return content, info, o.told("object.get", err)
			}
		}
	}
	err = o.run(ctx, "object.get", true, func(ctx context.Context) (err error) {
		if err := CheckName(name); err != nil {
			return err
		}
		if r.From < 0 || r.To >= 0 && r.To < r.From {
			return Errorf(Misuse, "range %d-%d is none", r.From, r.To)
		}
		content, info, err = o.store.Get(ctx, name, r, o.guard.Max)
		return err
	})
	return content, info, err
}

// own makes shared data the caller's.
func own(shared bool, b []byte) []byte {
	if shared {
		return bytes.Clone(b)
	}
	return b
}

// Clone returns a copy of r that shares nothing with it.
func (r *Result) Clone() *Result {
	out := &Result{Columns: append([]string(nil), r.Columns...), Rows: make([][]any, len(r.Rows)), More: r.More}
	for i, row := range r.Rows {
		out.Rows[i] = append([]any(nil), row...)
		for j, v := range row {
			if b, ok := v.([]byte); ok {
				out.Rows[i][j] = bytes.Clone(b)
			}
		}
	}
	return out
}
