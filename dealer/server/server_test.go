package server_test

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/dealer"
	"github.com/myelin-run/myelin/dealer/server"
)

const patience = 2 * time.Minute

// memory is a store that servers of one process share.
type memory struct {
	mu    sync.Mutex
	rev   int64
	pages map[string][]byte
}

func (m *memory) Load(_ context.Context, prefix string) (map[string][]byte, int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := maps.Clone(m.pages)
	maps.DeleteFunc(out, func(k string, _ []byte) bool { return !strings.HasPrefix(k, prefix) })
	return out, m.rev, nil
}

func (m *memory) Save(_ context.Context, pages map[string][]byte, rev int64) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if rev != m.rev {
		return 0, server.ErrConflict
	}
	m.rev++
	maps.Copy(m.pages, pages)
	return m.rev, nil
}

// begin runs a server until the test or end ends it.
func begin(t *testing.T, id string, m *memory) (url string, end func()) {
	t.Helper()
	s := server.New(server.Options{Store: m, ID: id, TTL: time.Minute, Reign: 20 * time.Second, Tick: 10 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	web := httptest.NewServer(s.Handler())
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		web.Close()
	})
	t.Cleanup(end)
	return web.URL, end
}

func status(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url + dealer.TablesPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func await(t *testing.T, url string, want int) {
	t.Helper()
	for deadline := time.Now().Add(patience); status(t, url) != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not answer %d", url, want)
		}
	}
}

// Of two servers one deals, and the other says at once that it does not; when the
// first ends in order, the second begins without waiting for its reign to end.
func TestOneDeals(t *testing.T) {
	m := &memory{pages: map[string][]byte{}}
	first, end := begin(t, "first", m)
	await(t, first, http.StatusOK)
	second, _ := begin(t, "second", m)
	await(t, second, http.StatusServiceUnavailable)
	body, w := io.Pipe() // which never ends by itself
	defer w.Close()
	resp, err := http.Post(second+dealer.Path, "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("beats: %s", resp.Status)
	}
	begun := time.Now()
	end()
	await(t, second, http.StatusOK)
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}

// What is no beat ends its stream and nothing else.
func TestGarbage(t *testing.T) {
	url, _ := begin(t, "only", &memory{pages: map[string][]byte{}})
	await(t, url, http.StatusOK)
	for _, line := range []string{"garbage", `{}`, `[{"table":"","beat":{"processor":"p"}}]`, `[{"table":"t","beat":{}}]`,
		`[{"table":"t","beat":{"processor":"p","capacity":-1}}]`, `[{"table":"t","resources":[{}],"beat":{"processor":"p"}}]`,
		`[{"table":"t","beat":{"processor":"` + strings.Repeat("p", 1000) + `"}}]`} {
		resp, err := http.Post(url+dealer.Path, "application/json", strings.NewReader(line+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(resp.Body) // the server may hang up
		resp.Body.Close()
		if len(rest) > 0 {
			t.Errorf("%.60s is answered %q", line, rest)
		}
	}
	body, w := io.Pipe()
	defer w.Close()
	resp, err := http.Post(url+dealer.Path, "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.WriteString(w, `[{"table":"t","resources":[{"name":"a"}],"beat":{"processor":"p","session":1,"seq":1}}]`+"\n"); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if strings.Contains(lines.Text(), `"leases":[{"resource":"a","epoch":1}]`) {
			return // it came unasked, behind the first answer
		}
	}
	t.Error("the stream ended without a lease")
}
