package shm

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime/shm/ring"
)

// batch is what InvokeBatch needs for a call, to be used again.
type batch struct {
	slots   []*slot
	at      []int // of each slot's event in the caller's slices
	entries []ring.Entry
	files   []*os.File // nil where the event needs none
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// MaxBatch implements runtime.Batcher. Half of the slots may be retained for
// long, so no more than the other half may be needed at once.
func (in *Instance) MaxBatch() int {
	if !in.batches {
		return 0
	}
	return in.Slots / 2
}

// InvokeBatch implements runtime.Batcher. It waits while there are too few free
// slots, and for no block: what finds none goes in a file, since the blocks
// may all be held by events of the same batch.
func (in *Instance) InvokeBatch(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	b := batches.Get().(*batch)
	for i, err := range errs {
		if event.IsNotRun(err) {
			b.at = append(b.at, i)
		}
	}
	if in.takeSlots(b) {
		in.layAll(ctx, b, evs, errs)
		if err := in.sendAll(b); err != nil {
			for _, s := range b.slots {
				in.putSlot(s)
			}
			b.slots = b.slots[:0]
		}
		for k, s := range b.slots {
			i := b.at[k]
			errs[i] = in.outcome(s, resps[i])
		}
		sharedFailure(resps, errs, b.at)
		oneFailure(errs, b.at)
	}
	clear(b.slots)
	b.slots, b.at, b.entries, b.files = b.slots[:0], b.at[:0], b.entries[:0], b.files[:0]
	batches.Put(b)
}

// takeSlots waits until there is a slot for each event and takes them; false
// if the worker is gone.
func (in *Instance) takeSlots(b *batch) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.wide++
	for len(in.free) < len(b.at) && !in.dead {
		in.room.Wait()
	}
	in.wide--
	if in.dead {
		return false
	}
	for range b.at {
		b.slots = append(b.slots, in.popSlot())
	}
	return true
}

// layAll lays the events out. One that cannot be has its outcome in errs, and
// is no part of the batch.
func (in *Instance) layAll(ctx context.Context, b *batch, evs []*event.Event, errs []error) {
	n := 0
	for k, s := range b.slots {
		var e ring.Entry
		f, err := in.lay(s, evs[b.at[k]], false, &e)
		if err != nil {
			errs[b.at[k]] = err
			in.putSlot(s)
			continue
		}
		e.Code = ring.KindBatched
		s.batched.Store(true)
		s.values = ctx
		b.slots[n], b.at[n] = s, b.at[k]
		b.entries, b.files = append(b.entries, e), append(b.files, f)
		n++
	}
	b.slots, b.at = b.slots[:n], b.at[:n]
	for k := range b.entries[:max(n-1, 0)] {
		b.entries[k].Flags |= ring.FlagGoesOn
	}
}

// sendAll sends the files and publishes the entries, all or none.
func (in *Instance) sendAll(b *batch) error {
	defer func() {
		for _, f := range b.files {
			if f != nil {
				_ = f.Close()
			}
		}
		clear(b.files)
	}()
	in.sendMu.Lock()
	defer in.sendMu.Unlock()
	for k, f := range b.files {
		if f == nil {
			continue
		}
		if err := in.sendBody(b.slots[k], int(f.Fd()), &b.entries[k]); err != nil {
			return err // the worker is going
		}
	}
	return in.publishAll(b)
}

func (in *Instance) publishAll(b *batch) error {
	if len(b.entries) == 0 {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.dead {
		return event.ErrNotRun
	}
	lead := in.requests.Pos
	for k, s := range b.slots {
		in.arm(s, lead+uint32(k), lead)
	}
	in.requests.PutAll(b.entries)
	in.bell()
	return nil
}

// oneFailure makes one error of a failure that all events of a call share, so
// that callers see that it was the call that failed.
func oneFailure(errs []error, at []int) {
	if len(at) < 2 || errs[at[0]] == nil {
		return
	}
	var first, e *event.Error
	for _, i := range at {
		if !errors.As(errs[i], &e) || first != nil && *e != *first {
			return
		}
		first = e
	}
	for _, i := range at {
		errs[i] = first
	}
}
