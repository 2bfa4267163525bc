package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/control/store/sealed"
	"github.com/myelin-run/myelin/dealer"
	"github.com/myelin-run/myelin/dealer/server"
)

// The dealer's pages survive in the control plane's store, many at once too, and
// one dealer's write is refused once another has written.
func TestDealerPagesAreKept(t *testing.T) {
	dir := t.TempDir()
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	d := &dealing{s: s}
	if pages, rev, err := d.Load(t.Context(), ""); err != nil || rev != 0 || len(pages) != 0 {
		t.Fatalf("%d pages at %d, %v", len(pages), rev, err)
	}
	pages := map[string][]byte{server.Record: []byte(`{"leader":"a"}`)}
	for i := range 200 {
		pages[fmt.Sprintf("table/t/%d", i)] = []byte(strings.Repeat("x", 20_000))
	}
	rev, err := d.Save(t.Context(), pages, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Save(t.Context(), map[string][]byte{server.Record: []byte("{}")}, 0); !errors.Is(err, server.ErrConflict) {
		t.Fatalf("a write that knows of none is %v", err)
	}
	if rev, err = d.Save(t.Context(), map[string][]byte{server.Record: []byte("{}"), "table/t/7": nil}, rev); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = etcd.Open(t.Context(), etcd.Options{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, at, err := (&dealing{s: s}).Load(t.Context(), "table/")
	if err != nil || at != rev || len(got) != 199 || len(got["table/t/8"]) != 20_000 {
		t.Fatalf("%d pages at %d, want 199 at %d, %v", len(got), at, rev, err)
	}
}

// A rotation of the store's key is no other dealer's write, and does not hide
// one.
func TestDealerOutlivesAKeyRotation(t *testing.T) {
	dir := t.TempDir()
	disk, err := etcd.Open(t.Context(), etcd.Options{Dir: dir, Wrapping: sealed.Wrapping, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	keys, err := sealed.LoadKeys(filepath.Join(dir, "keys"), true)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sealed.Open(t.Context(), disk, keys)
	if err != nil {
		t.Fatal(err)
	}
	d, rev := &dealing{s: s}, int64(0)
	for i := range 4 {
		if rev, err = d.Save(t.Context(), map[string][]byte{server.Record: fmt.Appendf(nil, `{"leader":"a","n":%d}`, i), "table/t/1": []byte("x")}, rev); err != nil {
			t.Fatalf("after %d rotations: %v", i, err)
		}
		if _, err := s.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	other := &dealing{s: s}
	_, at, err := other.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Save(t.Context(), map[string][]byte{server.Record: []byte(`{"leader":"b"}`)}, at); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Save(t.Context(), map[string][]byte{server.Record: []byte(`{"leader":"a"}`)}, rev); !errors.Is(err, server.ErrConflict) {
		t.Errorf("a write over another dealer's is %v", err)
	}
}

// A control plane deals: its socket answers.
func TestControlPlaneDeals(t *testing.T) {
	w := newWorld(t)
	t.Setenv(dealerEnv, "on")
	w.start()
	c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(w.dir, DealerSocket))
	}}}
	resp, err := c.Get("http://dealer" + dealer.TablesPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s", resp.Status)
	}
}
