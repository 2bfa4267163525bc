package cache_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding/cache"
	"github.com/myelin-run/myelin/binding/data"
)

// follower is another's copy of the counters.
type follower struct {
	mu    sync.Mutex
	words [cache.Words]uint32
}

func (f *follower) set(word int, count uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.words[word] = count
}

func (f *follower) at(word int) uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.words[word]
}

// What changes in a store behind a cache moves the counter of its key, for all who
// follow, before the write returns; reads move none.
func TestChanges(t *testing.T) {
	changes := cache.NewChanges()
	changes.Changed("other", "before")
	var first, second follower
	defer changes.Follow(first.set)()
	stop := changes.Follow(second.set)
	store := &counted{keys: map[string]string{"a": "1"}}
	c := cache.ForKeys(store, cache.Options{Size: 1 << 20, TTL: time.Hour, Changed: func(key string) { changes.Changed("b", key) }})
	kv := data.NewKV(c, nil)
	ctx := context.Background()
	word, count := changes.Mark("b", "a")
	same := func(what string, want bool) {
		t.Helper()
		for i, f := range []*follower{&first, &second} {
			if _, now := changes.Mark("b", "a"); f.at(word) != now || (now == count) != want {
				t.Errorf("%s: the count is %d, follower %d has %d, it was %d", what, now, i, f.at(word), count)
			}
		}
		_, count = changes.Mark("b", "a")
	}
	if _, until, err := kv.Lasting(ctx, "a"); err != nil || time.Until(until) < time.Minute {
		t.Errorf("it may be kept until %s, %v", until, err)
	}
	same("a read", true)
	for what, change := range map[string]func() error{
		"put":    func() error { _, err := kv.Put(ctx, "a", []byte("2")); return err },
		"delete": func() error { return kv.Delete(ctx, "a") },
		"many":   func() error { return kv.PutAll(ctx, []data.Pair{{Key: "a", Value: []byte("3")}})[0] },
		"all":    func() error { changes.Changed("c", ""); return nil },
	} {
		if err := change(); err != nil {
			t.Fatal(err)
		}
		same(what, false)
	}
	stop()
	had := second.at(word)
	changes.Changed("b", "a")
	if _, now := changes.Mark("b", "a"); second.at(word) != had || first.at(word) != now {
		t.Error("who follows no more is told, or who does is not")
	}
	var late follower
	defer changes.Follow(late.set)()
	for w := range late.words {
		if late.words[w] != first.at(w) {
			t.Fatalf("a late follower has %d at %d, want %d", late.words[w], w, first.at(w))
		}
	}
}

// What is not in the cache, or not there, is not to be kept.
func TestNotToBeKept(t *testing.T) {
	c := cache.ForKeys(&counted{keys: map[string]string{"large": string(make([]byte, 1000))}}, cache.Options{Size: 500, TTL: time.Hour, Negative: time.Hour})
	kv := data.NewKV(c, nil)
	if v, until, err := kv.Lasting(context.Background(), "large"); err != nil || len(v.Data) != 1000 || !until.IsZero() {
		t.Errorf("%d bytes until %s, %v", len(v.Data), until, err)
	}
	if _, until, err := kv.Lasting(context.Background(), "none"); data.ReasonOf(err) != data.NotFound || !until.IsZero() {
		t.Errorf("until %s, %v", until, err)
	}
}
