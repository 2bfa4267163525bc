package api_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/api/openapi/conform"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/history"
)

// past has a point a second of one function, and notes what it was asked.
type past struct{ asked string }

func (p *past) Of(n catalog.Name, since time.Time, most int) []history.Point {
	p.asked = fmt.Sprint(n, since.Unix(), most)
	if n.Name != "hello" {
		return nil
	}
	return []history.Point{{At: time.Unix(100, 0).UTC(), Seconds: 2, Events: 10, Errors: 1, P99: 0.25, Times: []history.Took{{UpTo: 0.5, Events: 2}, {Events: 1}}}}
}

func (p *past) All(ns string, since time.Time, most int) map[catalog.Name][]history.Point {
	n := catalog.Name{Namespace: "default", Name: "hello"}
	return map[catalog.Name][]history.Point{n: p.Of(n, since, most), {Namespace: "default", Name: "quiet"}: nil}
}

func (p *past) Sources(n catalog.Name) []history.Source {
	return []history.Source{{Trigger: "in", Version: "2", Rate: 5, Errors: 0.5}}
}

func TestFigures(t *testing.T) {
	w := newWorld(t)
	if code, text := w.ask("GET", "/api/v1/figures", ""); code != 501 {
		t.Errorf("%d %s", code, text)
	}
	p := &past{}
	srv := httptest.NewServer(conform.New(t).Handler(t, api.New(api.Options{Catalog: w.catalog, History: p, Log: slog.New(slog.DiscardHandler)})))
	defer srv.Close()
	w.url = srv.URL
	if code, text := w.ask("POST", "/api/v1/functions", hello); code != 201 {
		t.Fatalf("%d %s", code, text)
	}
	var list api.FigureList
	code, text := w.ask("GET", "/api/v1/figures?namespace=*&since=2026-01-01T00:00:00.5Z&points=7", "")
	if err := json.Unmarshal([]byte(text), &list); err != nil || code != 200 || len(list.Items) != 2 || list.Items[0].Points[0].Events != 10 || list.Items[1].Points == nil {
		t.Errorf("%d %s %v", code, text, err)
	}
	if want := fmt.Sprint(catalog.Name{Namespace: "default", Name: "hello"}, 1767225600, 7); p.asked != want {
		t.Errorf("asked for %q, want %q", p.asked, want)
	}
	if code, text := w.ask("GET", "/api/v1/functions/hello/figures", ""); code != 200 || !strings.Contains(text, `"p99":0.25`) || strings.Contains(text, "sources") || strings.Contains(text, "times") {
		t.Errorf("%d %s", code, text)
	}
	if code, text := w.ask("GET", "/api/v1/figures?namespace=*&sources=true", ""); code != 200 || strings.Count(text, `"sources":[{"errors":0.5,"rate":5,"trigger":"in","version":"2"}]`) != 2 {
		t.Errorf("%d %s", code, text)
	}
	if code, text := w.ask("GET", "/api/v1/functions/hello/figures?times=true", ""); code != 200 || !strings.Contains(text, `"times":[{"events":2,"upTo":0.5},{"events":1}]`) {
		t.Errorf("%d %s", code, text)
	}
	for path, want := range map[string]int{
		"functions/helo/figures": 404, "functions/hello/figures?points=0": 400, "figures?points=451": 400, "figures?since=yesterday": 400, "figures?what=1": 400,
	} {
		if code, text := w.ask("GET", "/api/v1/"+path, ""); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, text, want)
		}
	}
}
