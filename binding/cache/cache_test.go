package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding/cache"
	"github.com/myelin-run/myelin/binding/data"
)

// counted is a store that counts how often it is read. While gate is set, reads
// wait for it.
type counted struct {
	mu    sync.Mutex
	keys  map[string]string
	reads atomic.Int32
	began chan struct{}
	gate  chan struct{}
}

func (c *counted) Get(ctx context.Context, key string) (data.Value, error) {
	c.reads.Add(1)
	c.mu.Lock()
	v, ok := c.keys[key]
	gate := c.gate
	c.mu.Unlock()
	if gate != nil {
		c.began <- struct{}{}
		select {
		case <-gate:
		case <-ctx.Done():
			return data.Value{}, data.As(data.Timeout, ctx.Err())
		}
	}
	if !ok {
		return data.Value{}, data.NotFound
	}
	return data.Value{Data: []byte(v), Version: v}, nil
}

func (c *counted) Put(_ context.Context, key string, value []byte, _ data.Put) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys[key] = string(value)
	return string(value), nil
}

func (c *counted) Delete(_ context.Context, key string, _ *string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.keys, key)
	return nil
}

func keys(o cache.Options) (*counted, *cache.Keys, *data.KV) {
	c := &counted{keys: map[string]string{"a": "1"}, began: make(chan struct{}, 100)}
	k := cache.ForKeys(c, o)
	return c, k, data.NewKV(k, &data.Guard{Name: "k"})
}

func want(t *testing.T, kv *data.KV, key, value string) {
	t.Helper()
	v, err := kv.Get(context.Background(), key)
	if value == "" && errors.Is(err, data.NotFound) {
		return
	}
	if err != nil || string(v.Data) != value {
		t.Fatalf("%s is %q, %v, want %q", key, v.Data, err, value)
	}
}

// A value is read once; the function's own writes are seen, and what it makes of
// a value is its own.
func TestKeys(t *testing.T) {
	c, k, kv := keys(cache.Options{Size: 1 << 20, TTL: time.Hour, Negative: time.Hour})
	ctx := context.Background()
	want(t, kv, "a", "1")
	v, _ := kv.Get(ctx, "a")
	v.Data[0] = 'X'
	want(t, kv, "a", "1")
	if n := c.reads.Load(); n != 1 {
		t.Errorf("%d reads", n)
	}
	want(t, kv, "b", "")
	want(t, kv, "b", "")
	if n := c.reads.Load(); n != 2 {
		t.Errorf("%d reads, the second that there is none", n)
	}
	if _, err := kv.Put(ctx, "a", []byte("2")); err != nil {
		t.Fatal(err)
	}
	want(t, kv, "a", "2")
	if err := kv.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	want(t, kv, "a", "")
	if s := k.Stats(); s.Hits != 3 || s.Negative != 1 || s.Misses != 4 {
		t.Errorf("%+v", s)
	}
}

// What is too old is read again, and so is what had no room.
func TestBounds(t *testing.T) {
	c, _, kv := keys(cache.Options{Size: 1 << 20, TTL: time.Nanosecond})
	want(t, kv, "a", "1")
	want(t, kv, "a", "1")
	want(t, kv, "b", "")
	want(t, kv, "b", "")
	if n := c.reads.Load(); n != 4 {
		t.Errorf("%d reads of what is not kept", n)
	}
	c, k, kv := keys(cache.Options{Size: 2000, TTL: time.Hour})
	for i := range 100 {
		key := fmt.Sprint("k", i)
		c.keys[key] = key
		want(t, kv, key, key)
	}
	s := k.Stats()
	if s.Bytes > 2000 || s.Entries < 5 || s.Entries > 20 {
		t.Errorf("%+v in 2000 bytes", s)
	}
	was := c.reads.Load()
	want(t, kv, "k99", "k99")
	if c.reads.Load() != was {
		t.Error("the last one was not kept")
	}
	c.keys["long"] = string(make([]byte, 3000))
	want(t, kv, "long", c.keys["long"])
	if after := k.Stats(); after.Entries != s.Entries {
		t.Errorf("%+v: what has no room took that of others", after)
	}
}

// Many that want one value wait for one read; one whose reader gives up is read
// by another.
func TestOneRead(t *testing.T) {
	c, k, kv := keys(cache.Options{Size: 1 << 20, TTL: time.Hour})
	gate := make(chan struct{})
	c.gate = gate
	first, giveUp := context.WithCancel(context.Background())
	gone := make(chan error)
	go func() {
		_, err := kv.Get(first, "a")
		gone <- err
	}()
	<-c.began
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if v, err := kv.Get(context.Background(), "a"); err != nil || string(v.Data) != "1" {
				t.Errorf("%q, %v", v.Data, err)
			}
		})
	}
	giveUp()
	if err := <-gone; data.ReasonOf(err) != data.Timeout {
		t.Errorf("who gave up got %v", err)
	}
	<-c.began // another reads
	close(gate)
	all.Wait()
	if n := c.reads.Load(); n != 2 {
		t.Errorf("%d reads, want 2", n)
	}
	if s := k.Stats(); s.Shared+s.Hits != 19 {
		t.Errorf("%+v, want 19 that did not read", s)
	}
}

// A read that began before a write says nothing of what is there after it.
func TestWriteWhileReading(t *testing.T) {
	c, _, kv := keys(cache.Options{Size: 1 << 20, TTL: time.Hour})
	gate := make(chan struct{})
	c.gate = gate
	old := make(chan string)
	go func() {
		v, _ := kv.Get(context.Background(), "a")
		old <- string(v.Data)
	}()
	<-c.began
	if _, err := kv.Put(context.Background(), "a", []byte("2")); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.gate = nil
	c.mu.Unlock()
	want(t, kv, "a", "2")
	close(gate)
	if v := <-old; v != "1" {
		t.Errorf("the earlier read got %q", v)
	}
	want(t, kv, "a", "2")
}

// rows answers every query with as many rows as its parameter says.
type rows struct{ reads atomic.Int32 }

func (r *rows) Query(_ context.Context, _ data.Bounds, _ string, args []any) (*data.Result, error) {
	n := r.reads.Add(1)
	out := &data.Result{Columns: []string{"n"}}
	for range args[0].(int) {
		out.Rows = append(out.Rows, []any{n})
	}
	return out, nil
}
func (r *rows) Exec(context.Context, string, []any) (int64, error) { return 1, nil }
func (r *rows) Insert(context.Context, string, []string, [][]any) (int64, error) {
	return 1, nil
}
func (r *rows) Begin(context.Context) (data.Transaction, error) { return r, nil }
func (r *rows) End(bool) error                                  { return nil }

// Answers of one row are kept until anything is written; others, and those of
// statements that are no SELECT, are not.
func TestTables(t *testing.T) {
	r := &rows{}
	table := data.NewTable(cache.ForTables(r, cache.Options{Size: 1 << 20, TTL: time.Hour}), nil)
	ctx := context.Background()
	reads := func(sql string, args ...any) bool {
		t.Helper()
		was := r.reads.Load()
		res, err := table.Query(ctx, sql, args...)
		if err != nil || len(res.Rows) != args[0].(int) {
			t.Fatalf("%v, %v", res, err)
		}
		return r.reads.Load() > was
	}
	for i, c := range []struct {
		sql  string
		args []any
		want bool
	}{
		{"SELECT x", []any{1}, true}, {"SELECT x", []any{1}, false}, {"SELECT x", []any{1, "a"}, true}, {"SELECT x", []any{1, "a"}, false},
		{"SELECT x", []any{1, []byte("a")}, true}, {"select\ty", []any{0}, true}, {"select\ty", []any{0}, false},
		{"SELECT x", []any{2}, true}, {"SELECT x", []any{2}, true}, {"SELECT x", []any{1, struct{}{}}, true}, {"SELECT x", []any{1, struct{}{}}, true},
		{"SELECT x", []any{1}, false}, {"UPDATE x RETURNING y", []any{1}, true}, {"SELECT x", []any{1}, true},
	} {
		if got := reads(c.sql, c.args...); got != c.want {
			t.Errorf("%d: %s %v was read: %v", i, c.sql, c.args, got)
		}
	}
	for name, write := range map[string]func() error{
		"exec":   func() error { _, err := table.Exec(ctx, "DELETE FROM x"); return err },
		"insert": func() error { _, err := table.Insert(ctx, "x", []string{"a"}, [][]any{{1}}); return err },
		"commit": func() error { return table.Transact(ctx, func(*data.Tx) error { return nil }) },
	} {
		reads("SELECT x", 1)
		if err := write(); err != nil || !reads("SELECT x", 1) {
			t.Errorf("%s: %v, and the old answer is still there", name, err)
		}
	}
}

func BenchmarkHit(b *testing.B) {
	_, _, kv := keys(cache.Options{Size: 1 << 20, TTL: time.Hour})
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := kv.Shared(ctx, "a"); err != nil {
			b.Fatal(err)
		}
	}
}

// told is a store that tells what it is told to tell.
type told struct {
	*counted
	changes chan data.Change
}

func (s told) Watch(ctx context.Context, _ string, tell func(data.Change)) error {
	for {
		select {
		case c := <-s.changes:
			tell(c)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// What others change is read anew where the store tells of it.
func TestFollow(t *testing.T) {
	s := told{&counted{keys: map[string]string{"a": "1", "b": "1"}}, make(chan data.Change)}
	k := cache.ForKeys(s, cache.Options{Size: 1 << 20, TTL: time.Hour})
	kv := data.NewKV(k, nil)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- k.Follow(ctx) }()
	want(t, kv, "a", "1")
	want(t, kv, "b", "1")
	s.mu.Lock()
	s.keys["a"], s.keys["b"] = "2", "2"
	s.mu.Unlock()
	s.changes <- data.Change{Key: "a"}
	s.changes <- data.Change{Key: "other"} // taken when the first was told
	want(t, kv, "a", "2")
	want(t, kv, "b", "1")
	s.changes <- data.Change{}
	s.changes <- data.Change{Key: "other"}
	want(t, kv, "b", "2")
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	_, plain, _ := keys(cache.Options{Size: 1, TTL: time.Hour})
	if err := plain.Follow(context.Background()); !errors.Is(err, data.Unsupported) {
		t.Error(err)
	}
}
