// Package dealing is a dealer for tests of what it deals to: a real one, on a
// socket, with a store in memory. It must not know what is dealt.
package dealing

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/dealer/server"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/dealt"
)

// Dealer runs until the test ends, but for the times that it is away.
type Dealer struct {
	*server.Server
	path  string
	ttl   time.Duration
	store *memory
	count atomic.Int64
	log   *slog.Logger
	stop  func()
}

// Start starts one.
func Start(t testing.TB, ttl time.Duration) *Dealer {
	t.Helper()
	dir, err := os.MkdirTemp("", "d") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	d := &Dealer{path: filepath.Join(dir, "s"), ttl: ttl, store: &memory{pages: map[string][]byte{}}, log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	d.Back(t)
	t.Cleanup(func() {
		d.Away()
		_ = os.RemoveAll(dir)
	})
	return d
}

// Back starts the dealer again, from what it has stored.
func (d *Dealer) Back(t testing.TB) {
	t.Helper()
	_ = os.Remove(d.path)
	l, err := net.Listen("unix", d.path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.Server = server.New(server.Options{Store: d.store, ID: fmt.Sprint(d.count.Add(1)), TTL: d.ttl, Reign: time.Minute, Tick: 20 * time.Millisecond, Log: d.log})
	web := &http.Server{Handler: d.Handler(), ReadHeaderTimeout: time.Minute}
	var wg sync.WaitGroup
	wg.Go(func() { _ = d.Run(ctx) })
	wg.Go(func() { _ = web.Serve(l) })
	d.stop = sync.OnceFunc(func() {
		cancel()
		_ = web.Close()
		wg.Wait()
	})
}

// Away stops the dealer, which leaves its place to the next one.
func (d *Dealer) Away() { d.stop() }

// Forget drops what the dealer has stored; it must be away.
func (d *Dealer) Forget() { d.store.pages, d.store.rev = map[string][]byte{}, 0 }

// Address is where it takes beats.
func (d *Dealer) Address() string { return "unix:" + d.path }

// Assigner is the dealer's word for one more processor.
func (d *Dealer) Assigner() trigger.Assigner {
	return dealt.New(dealt.Options{Address: d.Address(), Processor: fmt.Sprint("p", d.count.Add(1)), Beat: 100 * time.Millisecond, Log: d.log})
}

// Zombie is an assigner that gives all shards, under an epoch that is told, and
// takes none back: a processor that was thought dead, and does not know.
type Zombie struct{ Epoch uint32 }

// Assign implements [trigger.Assigner].
func (z Zombie) Assign(ctx context.Context, _ string, _ float64, all []trigger.Shard, h trigger.Hands) error {
	for _, s := range all {
		h.Take(s, z.Epoch, func(uint32) {})
	}
	<-ctx.Done()
	return nil
}

// memory is a store in memory.
type memory struct {
	mu    sync.Mutex
	pages map[string][]byte
	rev   int64
}

// Load implements [server.Store].
func (m *memory) Load(_ context.Context, prefix string) (map[string][]byte, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := maps.Clone(m.pages)
	maps.DeleteFunc(out, func(name string, _ []byte) bool { return !strings.HasPrefix(name, prefix) })
	return out, m.rev, nil
}

// Save implements [server.Store].
func (m *memory) Save(_ context.Context, pages map[string][]byte, rev int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if rev != m.rev {
		return 0, server.ErrConflict
	}
	m.rev++
	maps.Copy(m.pages, pages)
	maps.DeleteFunc(m.pages, func(_ string, b []byte) bool { return b == nil })
	return m.rev, nil
}
