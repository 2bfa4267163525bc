package platformtest

import (
	"context"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
)

// shares is what the test processor knows of its triggers' shares.
type shares struct {
	mu    sync.Mutex
	now   function.Shares
	times int
	tally *tally
}

func (s *shares) see() function.Shares {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.now)
}

func (s *shares) told() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.times
}

// harmless is what everybody may ask where health is open.
var harmless = map[string]bool{"/ready": true, "/live": true}

// serve answers its platform until ctx is done, or the process ends.
func (s *shares) serve(ctx context.Context, at admin) error {
	network, address := "tcp", at.Listen
	if path, ok := strings.CutPrefix(at.Listen, "unix:"); ok {
		network, address = "unix", path
		_ = os.Remove(path) // a predecessor's
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /shares", s.put)
	mux.HandleFunc("GET /shares", func(w http.ResponseWriter, _ *http.Request) { s.answer(w) })
	mux.HandleFunc("GET /load", s.tally.answer)
	for path := range harmless {
		mux.HandleFunc("GET "+path, func(http.ResponseWriter, *http.Request) {})
	}
	known := func(w http.ResponseWriter, r *http.Request) {
		if at.Token != "" && (!at.OpenHealth || !harmless[r.URL.Path]) && r.Header.Get("Authorization") != "Bearer "+at.Token {
			http.Error(w, "who asks?", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}
	server := &http.Server{Handler: http.HandlerFunc(known), ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(l) }()
	return nil
}

func (s *shares) put(w http.ResponseWriter, r *http.Request) {
	var now function.Shares
	if err := json.NewDecoder(r.Body).Decode(&now); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.now = now
	s.times++
	s.mu.Unlock()
	s.answer(w)
}

func (s *shares) answer(w http.ResponseWriter) {
	now := s.see()
	views := map[string]any{}
	for name, share := range now {
		views[name] = map[string]any{"part": share.Part, "state": "stopped", "until": time.Unix(1e9, 0)}
	}
	_ = json.NewEncoder(w).Encode(views)
}

// sharesAreTold: processors begin with the shares of their deployment, are told
// others while they run, once, and again by a later platform and after a crash.
func sharesAreTold(t *testing.T, w *World) {
	s, ok := w.Platform.(platform.Sharer)
	if !ok {
		t.Skip("this platform tells no shares")
	}
	tell := func(s platform.Sharer, part float64) platform.Shared {
		t.Helper()
		out, err := s.Share(t.Context(), "f", function.Shares{"queue": {Part: part}})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	sees := func(part float64) Answer {
		t.Helper()
		a := w.ask("f")
		if a.Shares["queue"].Part != part {
			t.Errorf("the processor has the shares %v, want %v", a.Shares, part)
		}
		return a
	}
	tell(s, 0.5) // nothing runs
	d := w.Deployment("f", "1")
	d.Shares = function.Shares{"queue": {Part: 0}}
	w.Apply(d)
	first := sees(0)
	if out := tell(s, 0.25); !out.Until["queue"].Equal(time.Unix(1e9, 0)) || len(out.Pending) != 0 {
		t.Errorf("told: %+v", out)
	}
	told := sees(0.25)
	if out, next, err := s.Shares(t.Context(), "f"); err != nil || out.Parts["queue"] != 0.25 || next.Of("queue").Part != 0.25 {
		t.Errorf("the platform says %+v, %v, %v", out, next, err)
	}
	tell(s, 0.25)
	if again := sees(0.25); again.Life != first.Life || again.Told != told.Told {
		t.Errorf("process %s, told %d times; then %s, told %d times", first.Life, told.Told, again.Life, again.Told)
	}
	next := w.Deployment("f", "2") // which says nothing of shares
	w.Apply(next)
	settle(w, "f")
	if a := sees(0.25); a.Version != "2" {
		t.Errorf("version %s answers", a.Version)
	}
	w.End()
	w.Start()
	s = w.Platform.(platform.Sharer)
	before := sees(0.25)
	tell(s, 1)
	if a := sees(1); a.Life != before.Life {
		t.Errorf("process %s was replaced by %s", before.Life, a.Life)
	}
	killed := w.Kill("f")
	w.Await("f", "another process", func(o platform.Observed) bool {
		return len(o.Replicas) == 1 && o.Replicas[0].State == "ready" && o.Replicas[0].Restarts > killed.Restarts
	})
	tell(s, 1)
	sees(1)
	if _, err := s.Share(t.Context(), "f", function.Shares{"queue": {Part: 7}}); err == nil {
		t.Error("a share of 7 was taken")
	}
}
