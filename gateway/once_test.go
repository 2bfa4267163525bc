package gateway

import (
	"strings"
	"testing"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/gateway/front"
	"github.com/myelin-run/myelin/gateway/once"
	"github.com/myelin-run/myelin/gateway/wire"
)

// A gateway that is started after one that was killed, or beside one that
// drains, gives the answers that the other one gave.
func TestAnswersOutliveTheGateway(t *testing.T) {
	d, calls, _ := counting(t)
	dir := t.TempDir()
	begin := func() func(method, path, body string, fields ...string) string {
		g := newRouter(quiet)
		var err error
		if g.answers, err = once.NewLog(dir, 1<<20); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { g.answers.Close() })
		g.set(t.Context(), route.Table{Deployments: []route.Deployment{d}, Routes: []route.Route{
			{Name: "r", Match: route.Match{Path: "/"}, Target: to("f"), Policy: route.Policy{Idempotency: &route.Idempotency{MaxBody: 1000}}}}})
		ask := through(t, g)
		return func(method, path, body string, fields ...string) string {
			resp, text := ask(method, path, body, append(fields, "Host", "shop.example")...)
			return resp.Status + " " + resp.Header.Get("X-Count") + " " + resp.Header.Get("Idempotent-Replayed") + " " + text
		}
	}
	first := begin()
	a := first("POST", "/x", "one", "Idempotency-Key", "a")
	failed := first("POST", "/fail", "", "Idempotency-Key", "b")
	long := first("POST", "/long", strings.Repeat("x", 995), "Idempotency-Key", "c")
	if calls.Load() != 3 || !strings.HasPrefix(failed, "500") || !strings.HasPrefix(long, "200") {
		t.Fatalf("%d calls: %s, %s", calls.Load(), failed, long)
	}
	second := begin() // the first one is not told, as if it had been killed
	if got := second("POST", "/x", "one", "Idempotency-Key", "a"); got != strings.Replace(a, "  ", " true ", 1) || calls.Load() != 3 {
		t.Errorf("%q after %q, %d calls", got, a, calls.Load())
	}
	if got := second("POST", "/x", "two", "Idempotency-Key", "a"); !strings.HasPrefix(got, "422") {
		t.Errorf("another request with that key: %s", got)
	}
	second("POST", "/fail", "", "Idempotency-Key", "b")
	second("POST", "/long", strings.Repeat("x", 995), "Idempotency-Key", "c")
	if calls.Load() != 5 {
		t.Errorf("%d calls: what failed, or was too long to keep, is to be done again", calls.Load())
	}
	b := first("POST", "/y", "late", "Idempotency-Key", "d") // by the one that drains
	if got := second("POST", "/y", "late", "Idempotency-Key", "d"); got != strings.Replace(b, "  ", " true ", 1) || calls.Load() != 6 {
		t.Errorf("%q after %q, %d calls", got, b, calls.Load())
	}
}

// taker is a client's side of an answer.
type taker struct {
	head  bool
	body  strings.Builder
	ended bool
}

func (k *taker) Head(*wire.Response) error   { k.head = true; return nil }
func (k *taker) Write(p []byte) (int, error) { return k.body.Write(p) }
func (k *taker) Flush() error                { return nil }
func (k *taker) End() error                  { k.ended = true; return nil }

// Nobody has an answer whole before it was kept.
func TestAnAnswerIsKeptBeforeItIsWhole(t *testing.T) {
	for _, parts := range [][]string{{}, {"a"}, {"ab", "c", "def"}, {"", "x", ""}, {"abc", "too long for it"}, {"too long for it", "abc"}} {
		text, k, kept := strings.Join(parts, ""), &taker{}, "never"
		r := &front.Recorder{To: k, Limit: 8}
		r.Before = func() {
			if kept = string(r.Body); k.ended || len(text) == 0 && k.head || len(text) > 0 && k.body.String() == text {
				t.Errorf("%q: the client had %q before", parts, k.body.String())
			}
		}
		if err := r.Head(&wire.Response{Status: 200, Length: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			if _, err := r.Write([]byte(p)); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.End(); err != nil {
			t.Fatal(err)
		}
		want := text
		if len(text) > 8 {
			want = "never"
		}
		if kept != want || k.body.String() != text || !k.ended {
			t.Errorf("%q: kept %q, the client had %q", parts, kept, k.body.String())
		}
	}
}
