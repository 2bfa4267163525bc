package destination

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor/calls"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dead() *letter.Letter {
	return &letter.Letter{ID: "l1", Reason: letter.Attempts, Function: "orders", Trigger: "in", Kind: "kafka", Attempts: 3,
		Error: "Traceback:\r\n  X-Evil: 1\n" + strings.Repeat("e", 5000), From: letter.Place{Topic: "t", Shard: 2, Offset: 7},
		Event: letter.Event{ID: "e1", Body: letter.Bytes("body"), Headers: []letter.Header{{Key: "X-Own", Value: letter.Bytes("a\nb\xff")},
			{Key: "no token", Value: letter.Bytes("x")}, {Key: "Host", Value: letter.Bytes("evil")}, {Key: "Content-Length", Value: letter.Bytes("99")},
			{Key: "Authorization", Value: letter.Bytes("Bearer of-the-event")}}}}
}

// taker is a server that takes letters with the status that it is told.
type taker struct {
	*httptest.Server
	status, hits atomic.Int64
	heads        atomic.Pointer[http.Request]
	body         atomic.Pointer[string]
	hold         chan struct{} // the status 1 waits for it
}

func newTaker(t *testing.T, secure bool) *taker {
	t.Helper()
	x := &taker{hold: make(chan struct{})}
	x.status.Store(200)
	x.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		text := string(b)
		x.hits.Add(1)
		x.heads.Store(r)
		x.body.Store(&text)
		status := int(x.status.Load())
		if status == 1 {
			select {
			case <-x.hold:
			case <-r.Context().Done():
			}
			return
		}
		if status >= 300 && status < 400 {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
	}))
	x.Config.ErrorLog = log.New(io.Discard, "", 0)
	if secure {
		x.StartTLS()
	} else {
		x.Start()
	}
	t.Cleanup(func() {
		close(x.hold)
		x.Close()
	})
	return x
}

func open(t *testing.T, o *Opener, d function.Destination) trigger.Destination {
	t.Helper()
	to, err := o.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return to
}

// post makes a destination of x, with secrets in its URL.
func post(t *testing.T, x *taker, timeout time.Duration) trigger.Destination {
	where := strings.Replace(x.URL, "://", "://me:s3cret@", 1) + "/hook-s3cret?token=s3cret"
	return open(t, New(nil), function.Destination{Kind: "http", URL: where, Timeout: quantity.Duration(timeout)})
}

func quiet(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a secret of the URL is told: %v", err)
	}
}

func TestLettersOverHTTP(t *testing.T) {
	x := newTaker(t, false)
	to := post(t, x, 0)
	if err := to.Send(t.Context(), dead()); err != nil {
		t.Fatal(err)
	}
	r := x.heads.Load()
	user, password, _ := r.BasicAuth()
	if r.Method != "POST" || r.RequestURI != "/hook-s3cret?token=s3cret" || user != "me" || password != "s3cret" || *x.body.Load() != "body" || strings.HasPrefix(r.Host, "evil") {
		t.Errorf("%s %s of %s to %s: %q", r.Method, r.RequestURI, user, r.Host, *x.body.Load())
	}
	for key, want := range map[string]string{"Myelin-Reason": "attempts", "Myelin-Attempts": "3", "Myelin-Topic": "t", "Myelin-Shard": "2", "Myelin-Offset": "7",
		"Myelin-Letter": "l1", "Myelin-Event-Id": "e1", "X-Own": "a b\ufffd", "X-Evil": "", "Content-Type": "application/octet-stream"} {
		if got := r.Header.Get(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	if e := r.Header.Get("Myelin-Error"); !strings.HasPrefix(e, "Traceback:    X-Evil: 1 eee") || len(e) > maxValue+10 {
		t.Errorf("error of %d bytes: %.40q", len(e), e)
	}
	answer := dead()
	answer.Reason, answer.Answer = letter.Success, &letter.Answer{Status: 201, ContentType: "text/x", Body: letter.Bytes("answer")}
	if err := to.Send(t.Context(), answer); err != nil || *x.body.Load() != "answer" || x.heads.Load().Header.Get("Content-Type") != "text/x" || x.heads.Load().Header.Get("Myelin-Status") != "201" {
		t.Errorf("%v: %s", err, *x.body.Load())
	}
	for status, permanent := range map[int]bool{301: false, 307: false, 400: true, 401: true, 404: true, 408: false, 410: true, 413: true, 429: false, 500: false, 503: false} {
		x.status.Store(int64(status))
		before := x.hits.Load()
		err := to.Send(t.Context(), dead())
		quiet(t, err)
		if err == nil || event.IsPermanent(err) != permanent || x.hits.Load() != before+1 {
			t.Errorf("%d: %v, %d requests", status, err, x.hits.Load()-before)
		}
	}
	for _, status := range []int64{201, 202, 204} {
		x.status.Store(status)
		if err := to.Send(t.Context(), dead()); err != nil {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestHTTPFailures(t *testing.T) {
	x := newTaker(t, false)
	x.status.Store(1)
	began := time.Now()
	err := post(t, x, 50*time.Millisecond).Send(t.Context(), dead())
	quiet(t, err)
	if err == nil || event.IsPermanent(err) || time.Since(began) > 10*time.Second {
		t.Errorf("a server that does not answer: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := post(t, x, 0).Send(ctx, dead()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	secure := newTaker(t, true)
	err = post(t, secure, 0).Send(t.Context(), dead())
	quiet(t, err)
	if err == nil || !strings.Contains(err.Error(), "certificate") || secure.hits.Load() != 0 {
		t.Errorf("a certificate of nobody: %v", err)
	}
	gone := newTaker(t, false)
	gone.Close()
	err = post(t, gone, 0).Send(t.Context(), dead())
	quiet(t, err)
	if err == nil || event.IsPermanent(err) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody there: %v", err)
	}
	for _, d := range []function.Destination{{Kind: "http", URL: "ftp://me:s3cret@x"}, {Kind: "http", URL: "http://me:s3cret@:x"}, {Kind: "pigeon"}} {
		_, err := New(nil).Open(d)
		if quiet(t, err); err == nil {
			t.Errorf("%s %s is opened", d.Kind, d.URL)
		}
	}
}

func TestLettersToFunctions(t *testing.T) {
	x := newTaker(t, false)
	c, err := calls.New(calls.Options{Functions: map[string]string{"undertaker": x.URL, "down": "http://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	o := New(c)
	to := open(t, o, function.Destination{Kind: "function", Function: "undertaker", Timeout: quantity.Duration(2 * time.Second)})
	if err := to.Send(t.Context(), dead()); err != nil {
		t.Fatal(err)
	}
	if r := x.heads.Load(); r.Method != "POST" || *x.body.Load() != "body" || r.Header.Get("Myelin-Reason") != "attempts" || r.Header.Get("X-Own") == "" {
		t.Errorf("%s %q %v", r.Method, *x.body.Load(), r.Header)
	}
	for status, want := range map[int64]string{404: "permanent", 422: "permanent", 429: "", 408: "", 500: "refused", 502: "", 503: "", 302: "taken"} {
		x.status.Store(status)
		err := to.Send(t.Context(), dead())
		got := ""
		switch {
		case err == nil:
			got = "taken"
		case event.IsPermanent(err):
			got = "permanent"
		case errors.Is(err, trigger.ErrRefused):
			got = "refused"
		}
		if got != want {
			t.Errorf("%d: %s (%v), want %s", status, got, err, want)
		}
	}
	for _, name := range []string{"down", "unknown"} {
		if err := open(t, o, function.Destination{Kind: "function", Function: name}).Send(t.Context(), dead()); err == nil || event.IsPermanent(err) || errors.Is(err, trigger.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
