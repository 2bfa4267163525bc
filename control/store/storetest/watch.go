package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/control/store"
)

func take(ctx context.Context, t *testing.T, c <-chan store.Change, n int) []string {
	t.Helper()
	var out []string
	for len(out) < n {
		select {
		case ch, ok := <-c:
			if !ok {
				t.Fatalf("watch closed after %v", out)
			}
			text := ch.Key + "=" + string(ch.Value)
			if ch.Value == nil {
				text = ch.Key + " deleted"
			}
			out = append(out, text)
		case <-ctx.Done():
			t.Fatalf("watch silent after %v", out)
		}
	}
	return out
}

func watched(ctx context.Context, t *testing.T, s store.Store) {
	rev := must(ctx, t, s, put("w/before", "0"))
	changes := s.Watch(ctx, "w/", rev)
	must(ctx, t, s, put("w/1", "a"), put("x/1", "unseen"))
	must(ctx, t, s, put("w/1", "b"))
	must(ctx, t, s, store.Op{Key: "w/1"})
	if d := cmp.Diff([]string{"w/1=a", "w/1=b", "w/1 deleted"}, take(ctx, t, changes, 3)); d != "" {
		t.Error(d)
	}
}

func resumed(ctx context.Context, t *testing.T, s store.Store) {
	rev := must(ctx, t, s, put("w", "start"))
	want := []string{}
	for i := range 20 {
		must(ctx, t, s, put("w", fmt.Sprint(i)))
		want = append(want, fmt.Sprintf("w=%d", i))
	}
	if d := cmp.Diff(want, take(ctx, t, s.Watch(ctx, "", rev), 20)); d != "" {
		t.Error(d)
	}
}

func watchEnds(ctx context.Context, t *testing.T, s store.Store) {
	rev := must(ctx, t, s, put("w", "0"))
	wctx, cancel := context.WithCancel(ctx)
	changes := s.Watch(wctx, "w", rev)
	cancel()
	for {
		select {
		case _, ok := <-changes:
			if !ok {
				return
			}
		case <-ctx.Done():
			t.Fatal("the watch did not end")
		}
	}
}
