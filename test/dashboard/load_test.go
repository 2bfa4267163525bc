package dashboard_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/history"
	"github.com/myelin-run/myelin/function"
)

// long is how long the page is looked at under load; with it, figures that a busy
// machine spoils have to be met too (make load).
var long = flag.Duration("load", 0, "look at the overview under load this long, and want its figures")

const (
	many = 1000 // functions
	rate = 500  // changes of them a second
)

// TestOverviewUnderLoad has a thousand functions in the overview, five hundred
// changes a second, and scrolls. The functions are stored in a real control plane,
// disabled; what they did, which only running ones would have, is made up. With
// -load, this process, which makes it up and asks for the changes, gives way to the
// control plane and the browser: it is not what is looked at.
func TestOverviewUnderLoad(t *testing.T) {
	m := newMachine(t)
	c := client.New("http://"+m.api, "", nil)
	store(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	var changes atomic.Int64
	var writers sync.WaitGroup
	defer writers.Wait()
	defer cancel()

	target, _ := url.Parse("http://" + m.api)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.FlushInterval = -1
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/figures" {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(madeUp(time.Now(), r.URL.Query().Get("since")))
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer server.Close()
	seen := *m
	seen.api = strings.TrimPrefix(server.URL, "http://")
	seen.env = append(seen.env, fmt.Sprintf("DASHBOARD_LOAD=%g", long.Seconds()))
	var began time.Time
	seen.browse("load.mjs", func(what string) {
		if what != "change" {
			t.Errorf("the browser's script wants %q", what)
		}
		if *long > 0 {
			giveWay(t)
		}
		began = time.Now()
		for i := range 8 {
			writers.Go(func() { change(ctx, c, i, 8, &changes) })
		}
	})
	got := float64(changes.Load()) / time.Since(began).Seconds()
	t.Logf("%.0f changes a second", got)
	if *long > 0 && got < 0.9*rate {
		t.Errorf("%.0f changes a second, want %d", got, rate)
	}
}

// giveWay has the threads of this process, and what they start from now on, run
// when nothing else wants to; other tests are not to come after it.
func giveWay(t *testing.T) {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err == nil {
			err = syscall.Setpriority(syscall.PRIO_PROCESS, id, 19)
		}
		if err != nil && !errors.Is(err, syscall.ESRCH) { // one that ended meanwhile
			t.Fatal(err)
		}
	}
}

func named(i int) string { return fmt.Sprintf("function-%04d", i) }

func stored(i, n int) function.Config {
	cfg := function.Config{Metadata: function.Metadata{Name: named(i), Annotations: map[string]string{"count": fmt.Sprint(n)}}}
	cfg.Spec.Handler, cfg.Spec.Runtime, cfg.Spec.Disable = "main:handler", "python", true
	return cfg
}

// store stores the functions.
func store(t *testing.T, c *client.Client) {
	t.Helper()
	var next atomic.Int64
	var writers sync.WaitGroup
	for range 16 {
		writers.Go(func() {
			for i := next.Add(1) - 1; i < many; i = next.Add(1) - 1 {
				if _, err := c.Put(t.Context(), stored(int(i), 0)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// change changes functions, one after another, at its part of the rate.
func change(ctx context.Context, c *client.Client, first, of int, changes *atomic.Int64) {
	tick := time.NewTicker(time.Second * time.Duration(of) / rate)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := c.Put(ctx, stored((first+n*of)%many, n)); err == nil {
			changes.Add(1)
		}
	}
}

// madeUp is what GET /api/v1/figures answers about functions that run.
func madeUp(now time.Time, since string) any {
	const every = 2 * time.Second
	from, err := time.Parse(time.RFC3339Nano, since)
	if err != nil || now.Sub(from) > 60*every {
		from = now.Add(-60 * every)
	}
	type figures struct {
		Name      string          `json:"name"`
		Namespace string          `json:"namespace"`
		Points    []history.Point `json:"points"`
	}
	items := make([]figures, many)
	for i := range items {
		items[i] = figures{Name: named(i), Namespace: "default"}
		for at := from.Truncate(every).Add(every); at.Before(now); at = at.Add(every) {
			wave := 1 + math.Sin(float64(at.Unix())/20+float64(i))
			items[i].Points = append(items[i].Points, history.Point{At: at, Seconds: 2, Events: 100 * wave, P50: 0.001, P99: 0.01 * (1 + wave), Workers: 4, Busy: wave, Processors: 1})
		}
	}
	return map[string]any{"at": now, "items": items}
}
