package platformtest

import (
	"encoding/json"
	"net/http"
	"os"
	"sync"
	"time"
)

// tally counts what the test processor runs, as a processor does.
type tally struct {
	mu      sync.Mutex
	started time.Time
	running int
	events  int64
	ran     time.Duration
}

// count counts the requests to h.
func (t *tally) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		t.mu.Lock()
		t.running++
		t.mu.Unlock()
		defer func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.running--
			t.events++
			t.ran += time.Since(began)
		}()
		h.ServeHTTP(w, r)
	})
}

// testWorkers is how many events the test processor says that it takes at once.
const testWorkers = 10

func (t *tally) answer(w http.ResponseWriter, _ *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]any{
		"pid": os.Getpid(), "started": t.started, "ready": true, "workers": testWorkers,
		"inFlight": t.running, "events": t.events, "ran": t.ran.Seconds(), "measured": t.events,
	})
}
