package api_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/letterbox"
)

// boxes are letters whose events fail if their body says so.
type boxes struct{ dir string }

func (b boxes) Letterbox(name string) *letterbox.Box {
	return letterbox.New(letterbox.Options{Dir: filepath.Join(b.dir, name)})
}

func (b boxes) Letterboxes() (names []string, err error) {
	dirs, err := os.ReadDir(b.dir)
	for _, d := range dirs {
		names = append(names, d.Name())
	}
	return names, err
}

func (b boxes) Redrive(_ context.Context, name string, l *letter.Letter) (letter.Outcome, error) {
	if name == "default.away" {
		return letter.Outcome{}, errors.New("nobody runs")
	}
	if string(l.Event.Body) == "bad" {
		return letter.Outcome{Status: 500, Error: "bad"}, nil
	}
	return letter.Outcome{Status: 200}, nil
}

func TestLettersOverPages(t *testing.T) {
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := boxes{t.TempDir()}
	srv := httptest.NewServer(api.New(api.Options{Catalog: catalog.New(s), Letters: b, Log: slog.New(slog.DiscardHandler)}))
	defer srv.Close()
	c := client.New(srv.URL, "", nil)
	if _, err := c.Letters(t.Context(), "orders", "", 0); !client.NotFound(err) {
		t.Fatalf("letters of nobody: %v", err)
	}
	if _, err := c.Put(t.Context(), function.Config{Metadata: function.Metadata{Name: "orders"}, Spec: function.Spec{Runtime: "python", Handler: "m:f"}}); err != nil {
		t.Fatal(err)
	}
	box := b.Letterbox("default.orders")
	var ids []string
	for i := range 25 {
		l := &letter.Letter{ID: fmt.Sprint(i), Trigger: "q", Last: time.Unix(int64(i), 0).UTC(), Event: letter.Event{ID: fmt.Sprint(i), Key: letter.Bytes("k"), Body: letter.Bytes([]string{"good", "bad"}[i%2])}}
		if err := box.Send(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, letterbox.Name(l))
	}
	seen, after := "", ""
	for pages := 1; ; pages++ {
		page, err := c.Letters(t.Context(), "orders", after, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range page.Items {
			seen += k.Event.ID + " "
			if k.Event.Body != nil || string(k.Event.Key) != "k" {
				t.Errorf("listed %+v", k.Event)
			}
		}
		if after = page.Next; after == "" {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	if len(strings.Fields(seen)) != 25 || !strings.HasPrefix(seen, "0 1 2 3 ") {
		t.Errorf("listed %s", seen)
	}
	if k, err := c.Letter(t.Context(), "orders", ids[3]); err != nil || string(k.Event.Body) != "bad" {
		t.Errorf("show: %+v, %v", k, err)
	}
	for i, removed := range []bool{true, false} {
		d, err := c.Redrive(t.Context(), "orders", ids[i], "")
		if err != nil || d.Removed != removed || d.ID != ids[i] || (d.Error == "") != removed {
			t.Errorf("redrive %d: %+v, %v", i, d, err)
		}
	}
	if _, err := c.Redrive(t.Context(), "orders", ids[2], "away"); err == nil || !strings.Contains(err.Error(), "nobody runs") {
		t.Errorf("redrive to nobody: %v", err)
	}
	for to, want := range map[string]string{"orders:": "names no version", "orders:x": `no version or alias "x"`, ":3": "no version 3", "nobody:1": "unknown function"} {
		if _, err := c.Redrive(t.Context(), "orders", ids[2], to); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("redrive to %s: %v", to, err)
		}
	}
	if d, err := c.Redrive(t.Context(), "orders", ids[3], "orders:$latest"); err != nil || d.By != "orders" || d.Removed {
		t.Errorf("redrive to the working copy: %+v, %v", d, err)
	}
	if n, err := c.Purge(t.Context(), "orders", time.Unix(5, 0)); err != nil || n != 4 { // 1, 2, 3 and 4
		t.Errorf("purged %d, %v", n, err)
	}
	if err := c.RemoveLetter(t.Context(), "orders", ids[10]); err != nil {
		t.Error(err)
	}
	if n, err := c.Purge(t.Context(), "orders", time.Time{}); err != nil || n != 19 {
		t.Errorf("purged %d, %v", n, err)
	}
	for _, bad := range []string{"?limit=0", "?limit=x", "?limit=1001"} {
		w := &world{T: t, url: srv.URL}
		if code, text := w.ask("GET", "/api/v1/functions/orders/letters"+bad, ""); code != 400 {
			t.Errorf("%s: %d %s", bad, code, text)
		}
	}
}
