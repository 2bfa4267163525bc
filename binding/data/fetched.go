package data

import (
	"context"
	"sync"
)

// Item is something that was fetched for an event.
type Item struct {
	Binding string
	As      string  // its name; "" if it has none
	Key     string  // the key or the object's name; "" if it is an answer
	Value   Value   // of a key, or of an object
	Info    Info    // of an object
	Rows    *Result // of a query
	Err     error   // [NotFound], if that is what was found
}

// Fetched is what was fetched for an event, or the events of one call, before
// the function got them. What is in it is shared: it is not to be changed.
type Fetched struct {
	mu    sync.Mutex
	items []*Item
}

// NewFetched makes it.
func NewFetched(items []*Item) *Fetched { return &Fetched{items: items} }

// Items returns what there still is.
func (f *Fetched) Items() []*Item {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*Item(nil), f.items...)
}

func (f *Fetched) find(binding, key string) *Item {
	if f == nil || key == "" {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, it := range f.items {
		if it.Key == key && it.Binding == binding {
			return it
		}
	}
	return nil
}

func (f *Fetched) named(binding, as string) *Item {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, it := range f.items {
		if it.As == as && it.Binding == binding {
			return it
		}
	}
	return nil
}

// drop forgets a key of a binding, "" for all that it has.
func (f *Fetched) drop(binding, key string) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	left := make([]*Item, 0, len(f.items))
	for _, it := range f.items {
		if it.Binding != binding || key != "" && it.Key != key {
			left = append(left, it)
		}
	}
	f.items = left
}

type fetchedKey struct{}

// WithFetched lets the calls that get the context find f.
func WithFetched(ctx context.Context, f *Fetched) context.Context {
	return context.WithValue(ctx, fetchedKey{}, f)
}

// FetchedOf returns what was fetched for the event of ctx; nil if nothing was.
func FetchedOf(ctx context.Context) *Fetched {
	f, _ := ctx.Value(fetchedKey{}).(*Fetched)
	return f
}

// item returns what was fetched as a name.
func (h *handle) item(ctx context.Context, operation, as string) (*Item, error) {
	if h.lost != nil {
		return nil, h.lost
	}
	it := FetchedOf(ctx).named(h.guard.Name, as)
	if it == nil {
		return nil, h.told(operation, Errorf(NotFound, "nothing was fetched as %q, or the event has written since", as))
	}
	return it, h.told(operation, it.Err)
}

// Fetched returns what was fetched for the event as a name. It is shared: it is
// not to be changed.
func (k *KV) Fetched(ctx context.Context, as string) (Value, error) {
	it, err := k.item(ctx, "kv.fetched", as)
	if err != nil {
		return Value{}, err
	}
	return it.Value, nil
}

// Fetched returns what was fetched for the event as a name. It is shared: it is
// not to be changed.
func (o *Object) Fetched(ctx context.Context, as string) ([]byte, Info, error) {
	it, err := o.item(ctx, "object.fetched", as)
	if err != nil {
		return nil, Info{}, err
	}
	return it.Value.Data, it.Info, nil
}

// Fetched returns the answer that was fetched for the event as a name. It is
// shared: it is not to be changed.
func (t *Table) Fetched(ctx context.Context, as string) (*Result, error) {
	it, err := t.item(ctx, "table.fetched", as)
	if err != nil {
		return nil, err
	}
	return it.Rows, nil
}
