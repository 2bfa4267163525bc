package data

import "context"

// Change is what a watch tells. The zero Change says that any key may have
// changed.
type Change struct {
	Key string
	// Version is that of the value which is there now; "" where the key ended, or
	// where the service does not tell it.
	Version string
}

// KeyWatcher is implemented by key stores whose service tells of changes, such
// as for caches of what was read.
type KeyWatcher interface {
	// Watch calls tell, from one goroutine, of changes of keys that begin with
	// prefix, whoever makes them, also of keys that end by their time. The first
	// that it tells is the zero Change, once no change will be missed any more:
	// what was read before it may be old. A change that is told may be older than
	// what was read since. Watch returns when ctx is done, or when it cannot go on
	// telling everything, such as after a loss of the connection, with the reason:
	// what is known may be old from then on, until it is called again and has told
	// the zero Change. Unsupported stays so.
	Watch(ctx context.Context, prefix string, tell func(Change)) error
}

// Watch tells of changes of keys that begin with prefix, as [KeyWatcher] says.
// It returns when ctx is done, or the watch is lost. No timeout bounds it.
func (k *KV) Watch(ctx context.Context, prefix string, tell func(Change)) error {
	if k.lost != nil {
		return k.lost
	}
	w, ok := k.store.(KeyWatcher)
	if !ok {
		return Errorf(Unsupported, "watch of binding %s: this kind of kv tells of no changes", k.guard.Name)
	}
	return Classify(w.Watch(ctx, prefix, tell))
}
