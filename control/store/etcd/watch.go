package etcd

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/myelin-run/myelin/control/store"
)

// Watch implements [store.Store]. The goroutine it starts ends with ctx or
// with the store.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Revision) <-chan store.Change {
	out := make(chan store.Change)
	s.watch(ctx, prefix, from, func() { close(out) }, func(ctx context.Context, changes []store.Change) bool {
		for _, c := range changes {
			select {
			case out <- c:
			case <-ctx.Done():
				return false
			}
		}
		return true
	})
	return out
}

// Follow implements [store.Follower]: etcd never divides what has one revision.
func (s *Store) Follow(ctx context.Context, from store.Revision) <-chan []store.Change {
	out := make(chan []store.Change)
	s.watch(ctx, "", from, func() { close(out) }, func(ctx context.Context, changes []store.Change) bool {
		select {
		case out <- changes:
			return true
		case <-ctx.Done():
			return false
		}
	})
	return out
}

// watch calls send with what changes until it returns false, and then end.
func (s *Store) watch(ctx context.Context, prefix string, from store.Revision, end func(), send func(context.Context, []store.Change) bool) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.closed, cancel)
	changes := s.client.Watch(ctx, prefix, clientv3.WithPrefix(), clientv3.WithRev(int64(from)+1))
	go func() {
		defer end()
		defer stop()
		defer cancel()
		for resp := range changes {
			if resp.Err() != nil || !send(ctx, changed(resp.Events)) {
				return
			}
		}
	}()
}

func changed(events []*clientv3.Event) []store.Change {
	out := make([]store.Change, len(events))
	for i, ev := range events {
		out[i] = store.Change{Key: string(ev.Kv.Key), Revision: store.Revision(ev.Kv.ModRevision)}
		if ev.Type == clientv3.EventTypePut {
			out[i].Value = append([]byte{}, ev.Kv.Value...)
		}
	}
	return out
}
