package native

import (
	"context"
	"sync"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	myelin "github.com/myelin-run/myelin/sdk/go"
)

// begun are the transactions that a worker began while it handles an event.
type begun struct {
	mu  sync.Mutex
	txs []*data.Tx
}

func (b *begun) add(tx *data.Tx) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.txs = append(b.txs, tx)
}

// end undoes those that the handler left open, and returns how many they were.
func (b *begun) end() (left int) {
	b.mu.Lock()
	txs := b.txs
	b.txs = nil
	b.mu.Unlock()
	for _, tx := range txs {
		if !tx.Ended() {
			left++
			_ = tx.Rollback()
		}
	}
	return left
}

// bindings are those of the function; transactions are noted with b.
func bindings(handles map[string]any, b *begun) *myelin.Bindings {
	own := make(map[string]any, len(handles))
	for name, h := range handles {
		if t, ok := h.(*data.Table); ok {
			h = t.Watched(b.add)
		}
		own[name] = h
	}
	return myelin.NewBindings(own)
}

// deferring reports whether a function may return before its writes are made.
func deferring(handles map[string]any) bool {
	for _, h := range handles {
		if data.Defers(h) {
			return true
		}
	}
	return false
}

// fetched lets the calls of an event find what was fetched for it.
func fetched(ctx context.Context, ev *event.Event) context.Context {
	if b, ok := ev.Brought.(interface{ Fetched() *data.Fetched }); ok {
		return data.WithFetched(ctx, b.Fetched())
	}
	return ctx
}

// fetchedAll is fetched for the events of one call. Of what has one name, the
// first event's is found.
func fetchedAll(ctx context.Context, evs []*event.Event) context.Context {
	var items []*data.Item
	for _, ev := range evs {
		if b, ok := ev.Brought.(interface{ Fetched() *data.Fetched }); ok {
			items = append(items, b.Fetched().Items()...)
		}
	}
	if items == nil {
		return ctx
	}
	return data.WithFetched(ctx, data.NewFetched(items))
}

// writes lets the writes of a call belong to it.
func (i *instance) writes(ctx context.Context) (context.Context, *data.Pending) {
	if !i.defers {
		return ctx, nil
	}
	p := &data.Pending{}
	return data.WithPending(ctx, p), p
}

// written waits for the writes of a call, which fails if they do. Each has a time
// of its own.
func written(p *data.Pending, err *error) {
	if p == nil {
		return
	}
	if failed := p.Wait(context.Background()); *err == nil {
		*err = runtime.Unwritten(failed)
	}
}

// undo ends what the handler that returned left open.
func (i *instance) undo() {
	if i.begun == nil {
		return
	}
	if left := i.begun.end(); left > 0 {
		i.logger.Warn("the handler left transactions open: they were undone", "transactions", left)
	}
}
