package control

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform/platformtest"
)

var long = flag.Bool("long", false, "the long form of what is killed and moved: 5,000 requests a second, 100 moves, 10 kills")

// stream is requests at a steady rate.
type stream struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	began  time.Time
	asked  atomic.Int64
	mu     sync.Mutex
	failed []error
	by     map[string]int // answers by version
}

// steady asks at a rate, as far as the machine can, and notes each failure and
// each version that answered.
func steady(rate int, url string) *stream {
	ctx, cancel := context.WithCancel(context.Background())
	s := &stream{cancel: cancel, began: time.Now(), by: map[string]int{}}
	due := make(chan struct{}, rate)
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	asker := &http.Client{Transport: tr, Timeout: patience}
	s.wg.Go(func() {
		defer close(due)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for sent := 0; ; {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				for want := int(now.Sub(s.began).Seconds() * float64(rate)); sent < want; sent++ {
					select {
					case due <- struct{}{}:
					default: // the machine cannot keep up
					}
				}
			}
		}
	})
	for range 32 {
		s.wg.Go(func() {
			defer tr.CloseIdleConnections()
			for range due {
				a, err := platformtest.Ask(asker, url, "x")
				s.asked.Add(1)
				s.mu.Lock()
				s.by[a.Version]++
				if err != nil {
					s.failed = append(s.failed, err)
				}
				s.mu.Unlock()
			}
		})
	}
	return s
}

func (s *stream) stop(t *testing.T) {
	t.Helper()
	took := time.Since(s.began)
	s.cancel()
	s.wg.Wait()
	t.Logf("%d requests in %v (%.0f/s), by version %v", s.asked.Load(), took, float64(s.asked.Load())/took.Seconds(), s.by)
	if len(s.failed) > 0 || s.asked.Load() == 0 {
		t.Errorf("%d of %d requests failed, the first: %v", len(s.failed), s.asked.Load(), append(s.failed, nil)[0])
	}
}

// Not one request fails while an alias is moved between versions and weights,
// versions are published and collected, and the control plane is killed.
func TestKilledWhileAliasesMoveLosesNothing(t *testing.T) {
	rate, moves, kills := 300, 24, 3
	if *long {
		rate, moves, kills = 5000, 100, 10
	}
	w := newWorld(t)
	w.start()
	for _, v := range []string{"1", "2"} {
		w.deploy(config("hello", v), function.Ready)
		w.publish("hello")
	}
	w.move(alias("prod", 1, 100))
	load := steady(rate, "http://"+w.gateway+"/hello:prod")
	last := 2
	for i := range moves {
		switch i % 4 {
		case 0:
			w.move(alias("prod", last-1, 50, last, 50))
		case 1:
			w.move(alias("prod", last, 100))
		case 2:
			w.move(alias("prod", last-1, 10, last, 90))
		case 3:
			last++
			w.deploy(config("hello", fmt.Sprint(last)), function.Ready)
			if n := w.publish("hello"); n != last {
				t.Fatalf("published %d, want %d", n, last)
			}
			if _, err := w.client.Collect(t.Context(), "hello", client.CollectOptions{Keep: 2}); err != nil {
				t.Fatal(err)
			}
		}
		if i%(moves/kills) == moves/kills-1 {
			// Killed while it moves: whether that one counts is not known.
			moved := make(chan struct{})
			go func() {
				defer close(moved)
				_, _ = w.client.PutAlias(t.Context(), alias("prod", last, 100), client.MoveOptions{})
			}()
			w.kill()
			<-moved
			w.start()
		}
	}
	load.stop(t)
}

// Weights are right to one percent over real requests by many users.
func TestWeightsAreRightAtTheGateway(t *testing.T) {
	w := newWorld(t)
	w.start()
	for _, v := range []string{"1", "2"} {
		w.deploy(config("hello", v), function.Ready)
		w.publish("hello")
	}
	w.move(alias("prod", 1, 90, 2, 10))
	requests := 5000
	slack := 0.02 // four standard deviations
	if *long {
		requests, slack = 100_000, 0.01
	}
	asker := keepAlive(t)
	var second atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range requests / 8 {
				a, err := platformtest.Ask(asker, "http://"+w.gateway+"/hello:prod", "x")
				if err != nil {
					t.Error(err)
					return
				}
				if a.Version == "2" {
					second.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if share := float64(second.Load()) / float64(requests); share < 0.1-slack || share > 0.1+slack {
		t.Errorf("%.4f of the requests went to 10%%", share)
	}
}

// A user stays with a version while the weights are what they are, whatever else
// happens: other versions are published, the control plane is killed.
func TestStickyUsersStayAtTheGateway(t *testing.T) {
	w := newWorld(t)
	w.start()
	for _, v := range []string{"1", "2"} {
		w.deploy(config("hello", v), function.Ready)
		w.publish("hello")
	}
	a := alias("prod", 1, 50, 2, 50)
	a.Spec.Sticky = &function.Sticky{Header: "X-User"}
	w.move(a)
	rounds := 10
	if *long {
		rounds = 1000
	}
	const users = 100
	at, count, asker := map[string]string{}, map[string]int{}, keepAlive(t)
	for round := range rounds {
		for u := range users {
			user := fmt.Sprint("user", u)
			version, err := askAs(asker, "http://"+w.gateway+"/hello:prod", user)
			if err != nil {
				t.Fatal(err)
			}
			if was, known := at[user]; known && was != version {
				t.Fatalf("round %d: %s went from %s to %s", round, user, was, version)
			}
			at[user] = version
			count[version]++
		}
		switch round {
		case rounds / 3:
			w.deploy(config("hello", "3"), function.Ready)
			w.publish("hello")
		case rounds / 2:
			w.kill()
			w.start()
		}
	}
	if len(count) != 2 {
		t.Errorf("the users are at %v", count)
	}
}

// askAs asks in the name of a user, and returns the version that answered.
func askAs(c *http.Client, url, user string) (string, error) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader("x"))
	if err != nil {
		return "", err
	}
	req.Header.Set("X-User", user)
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var a platformtest.Answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return "", fmt.Errorf("read answer %s: %w", resp.Status, err)
	}
	return a.Version, nil
}
