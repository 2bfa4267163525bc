package batch

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/myelin-run/myelin/binding/data"
)

// Keys is a [data.KeyStore] that gathers writes without a condition. Other calls
// of a key wait for the writes that it has.
type Keys struct {
	to   data.KeyStore
	g    *gatherer[data.Pair]
	mu   sync.Mutex
	held map[string]int           // writes by key that are not done
	gone map[string]chan struct{} // closed when a key has none; of those that are waited for
}

// ForKeys gathers the writes of a store, and makes them by many.
func ForKeys(to data.KeyStore, o Options, many func(context.Context, []data.Pair) []error) *Keys {
	k := &Keys{to: to, held: map[string]int{}, gone: map[string]chan struct{}{}}
	k.g = newGatherer(o, func(p data.Pair) int { return len(p.Key) + len(p.Value) }, func(ctx context.Context, all []data.Pair) []error {
		defer k.done(all)
		return k.last(ctx, all, many)
	})
	return k
}

// last makes the last write of each key; it stands for those before it.
func (k *Keys) last(ctx context.Context, all []data.Pair, many func(context.Context, []data.Pair) []error) []error {
	at := make(map[string]int, len(all))
	var keep []data.Pair
	for _, p := range all {
		if i, twice := at[p.Key]; twice {
			keep[i] = p
			continue
		}
		at[p.Key] = len(keep)
		keep = append(keep, p)
	}
	of := many(ctx, keep)
	errs := make([]error, len(all))
	for i, p := range all {
		errs[i] = of[at[p.Key]]
	}
	return errs
}

func (k *Keys) hold(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[key]++
}

func (k *Keys) done(all []data.Pair) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range all {
		k.release(p.Key)
	}
}

// release is called with mu held.
func (k *Keys) release(key string) {
	if k.held[key]--; k.held[key] > 0 {
		return
	}
	delete(k.held, key)
	if gone := k.gone[key]; gone != nil {
		close(gone)
		delete(k.gone, key)
	}
}

// after waits until a key has no writes that are not done.
func (k *Keys) after(ctx context.Context, key string) error {
	k.mu.Lock()
	if k.held[key] == 0 {
		k.mu.Unlock()
		return nil
	}
	gone := k.gone[key]
	if gone == nil {
		gone = make(chan struct{})
		k.gone[key] = gone
	}
	k.mu.Unlock()
	k.g.flush()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return data.As(data.Timeout, ctx.Err())
	}
}

// Put implements [data.KeyStore]. A write that is gathered has no version yet.
func (k *Keys) Put(ctx context.Context, key string, value []byte, o data.Put) (string, error) {
	if o.If != nil {
		if err := k.after(ctx, key); err != nil {
			return "", err
		}
		return k.to.Put(ctx, key, value, o)
	}
	k.hold(key)
	if k.g.o.Changed != nil {
		k.g.o.Changed(key)
	}
	taken, err := k.g.add(ctx, data.Pair{Key: key, Value: bytes.Clone(value), TTL: o.TTL})
	if !taken {
		k.mu.Lock()
		k.release(key)
		k.mu.Unlock()
	}
	return "", err
}

// Peek implements [data.KeyPeeker], for stores that do.
func (k *Keys) Peek(key string) (v data.Value, ok bool, err error) {
	p, is := k.to.(data.KeyPeeker)
	if !is {
		return v, false, nil
	}
	k.mu.Lock()
	held := k.held[key] > 0
	k.mu.Unlock()
	if held {
		return v, false, nil
	}
	return p.Peek(key)
}

// Keep implements [data.KeyKeeper], for stores that do. A key that is being written
// is not to be kept.
func (k *Keys) Keep(key string) (until time.Time) {
	keeper, is := k.to.(data.KeyKeeper)
	k.mu.Lock()
	held := k.held[key] > 0
	k.mu.Unlock()
	if !is || held {
		return until
	}
	return keeper.Keep(key)
}

// Kept implements [data.KeyKeeper].
func (k *Keys) Kept(hits uint64) {
	if keeper, is := k.to.(data.KeyKeeper); is {
		keeper.Kept(hits)
	}
}

// Get implements [data.KeyStore].
func (k *Keys) Get(ctx context.Context, key string) (data.Value, error) {
	if err := k.after(ctx, key); err != nil {
		return data.Value{}, err
	}
	return k.to.Get(ctx, key)
}

// Delete implements [data.KeyStore].
func (k *Keys) Delete(ctx context.Context, key string, by *string) error {
	if err := k.after(ctx, key); err != nil {
		return err
	}
	return k.to.Delete(ctx, key, by)
}

// Add implements [data.KeyAdder], for stores that do.
func (k *Keys) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	a, ok := k.to.(data.KeyAdder)
	if !ok {
		return 0, data.Errorf(data.Unsupported, "this kind of kv cannot add")
	}
	if err := k.after(ctx, key); err != nil {
		return 0, err
	}
	return a.Add(ctx, key, delta, ttl)
}

// Scan implements [data.KeyScanner], for stores that do. What the event has
// written is there.
func (k *Keys) Scan(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	s, ok := k.to.(data.KeyScanner)
	if !ok {
		return nil, data.Errorf(data.Unsupported, "this kind of kv cannot scan")
	}
	if err := k.g.settle(ctx); err != nil {
		return nil, err
	}
	return s.Scan(ctx, prefix, after, limit)
}

// Defers implements [data.Deferrer].
func (k *Keys) Defers() bool { return true }

// Stats says what was gathered.
func (k *Keys) Stats() Stats { return k.g.Stats() }

// Close makes the writes that are left.
func (k *Keys) Close() { k.g.close() }

// Watch implements [data.KeyWatcher], for stores that do.
func (k *Keys) Watch(ctx context.Context, prefix string, tell func(data.Change)) error {
	w, ok := k.to.(data.KeyWatcher)
	if !ok {
		return data.Errorf(data.Unsupported, "this kind of kv tells of no changes")
	}
	return w.Watch(ctx, prefix, tell)
}
