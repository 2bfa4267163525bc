package bindingtest

import (
	"context"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding/data"
)

// watched collects what a watch tells, until the test ends.
type watched struct {
	t       *testing.T
	changes chan data.Change
	cancel  context.CancelFunc
	end     chan error
}

func watch(t *testing.T, kv *data.KV, prefix string) *watched {
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{t, make(chan data.Change, 1000), cancel, make(chan error, 1)}
	go func() { w.end <- kv.Watch(ctx, prefix, func(c data.Change) { w.changes <- c }) }()
	t.Cleanup(cancel)
	return w
}

// until waits for a change of key, which is "" for that of all, and returns what
// came before it.
func (w *watched) until(key string) (before []data.Change, c data.Change) {
	w.t.Helper()
	late := time.After(60 * time.Second)
	for {
		select {
		case c := <-w.changes:
			if c.Key == key {
				return before, c
			}
			before = append(before, c)
		case err := <-w.end:
			w.t.Fatalf("the watch ended: %v", err)
		case <-late:
			w.t.Fatalf("no word of %q within a minute, only of %v", key, before)
		}
	}
}

// kvWatch has one connection hear what another does.
func kvWatch(t *testing.T, one, two *data.KV) {
	prefix, other := unique()+"/*[ä]", unique()
	w := watch(t, one, prefix)
	if before, _ := w.until(""); len(before) > 0 {
		t.Errorf("told of %v first", before)
	}
	put := func(key string, opts ...data.Option) string {
		version, err := two.Put(t.Context(), key, []byte("v"), opts...)
		ok(t, err)
		return version
	}
	version := put(prefix + "1")
	if _, c := w.until(prefix + "1"); c.Version != "" && c.Version != version {
		t.Errorf("told of version %q, written was %q", c.Version, version)
	}
	put(other)
	ok(t, two.Delete(t.Context(), prefix+"1"))
	put(prefix + "2")
	before, c := w.until(prefix + "1")
	if c.Version != "" {
		t.Errorf("a key that is gone has version %q", c.Version)
	}
	more, _ := w.until(prefix + "2")
	for _, c := range append(before, more...) {
		if c.Key == other {
			t.Error("told of a key without the prefix")
		}
	}
	put(prefix+"3", data.TTL(time.Second))
	w.until(prefix + "3")
	w.until(prefix + "3") // it ended
	w.cancel()
	select {
	case err := <-w.end:
		want(t, err, data.Timeout)
	case <-time.After(60 * time.Second):
		t.Error("the watch goes on")
	}
}
