package story

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform/platformtest"
	"github.com/myelin-run/myelin/quantity"
)

// built: the control plane makes an artefact of an uploaded source.
func built(s *story) {
	source, err := packed()
	s.must(err)
	s.artefact, err = s.client.Build(s.Context(), function.Config{}, source, s.Output())
	s.must(err)
	if s.artefact.Digest == "" || s.artefact.Runtime != "golang" {
		s.Errorf("artefact %+v", s.artefact)
	}
}

// deployedAndInvoked: it serves, through the gateway and through the API.
func deployedAndInvoked(s *story) {
	s.deploy(s.witness("story-witness", "one"), function.Ready)
	_, fresh := s.clients()
	if got, err := s.invoke(fresh, "story-witness", "first"); err != nil || got != "one" {
		s.Errorf("through the gateway: %q, %v", got, err)
	}
	resp, err := s.client.Invoke(s.Context(), "story-witness", http.MethodPost, "/", nil, strings.NewReader("second"))
	s.must(err)
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "one" {
		s.Errorf("through the API: %s %q, %v", resp.Status, text, err)
	}
	if again := s.ran([]string{"first", "second"}); again > 0 {
		s.Errorf("%d ran again", again)
	}
}

// shared is how many requests are dealt by weight. Of so many less than 5% or more
// than 15% go to a version of weight 10 once in ten thousand million times and more.
const shared = 2000

// publishedAndSharedOut: versions stay as they were published, and an alias shares
// requests out by weight.
func publishedAndSharedOut(s *story) {
	one := s.publish("story-witness")
	s.deploy(s.witness("story-witness", "two"), function.Ready)
	s.last = s.publish("story-witness")
	s.leads(weight(one, 90), weight(s.last, 10))
	kept, _ := s.clients()
	var mu sync.Mutex
	var senders sync.WaitGroup
	got := map[string]int{}
	for range 8 {
		senders.Go(func() {
			for range shared / 8 {
				version, err := s.invoke(kept, "story-witness:prod", "shared")
				if err != nil {
					version = err.Error()
				}
				mu.Lock()
				got[version]++
				mu.Unlock()
			}
		})
	}
	senders.Wait()
	if n := got["two"]; got["one"]+n != shared || n < shared/20 || n > 3*shared/20 {
		s.Errorf("of 90 to 10 in %d requests came %v", shared, got)
	}
	s.Logf("90 to 10: %v", got)
	s.leads(weight(one, 100))
}

// mappingFollows: events go to the version that the alias leads to; none is lost and
// none runs twice when that is another.
func mappingFollows(s *story) {
	raw, err := json.Marshal(map[string]any{"streams": []string{stream}, "makeStreams": true, "bodyField": "body", "minIdle": "2s", "claimInterval": "500ms"})
	s.must(err)
	m := function.Mapping{Metadata: function.Metadata{Name: "orders"}, Spec: function.MappingSpec{Function: "story-witness", Alias: "prod",
		Source: function.Trigger{Kind: "redis", URL: "redis://" + s.reached, NumWorkers: 4, Attributes: raw}}}
	_, err = s.client.CreateMapping(s.Context(), m)
	s.must(err)
	s.follows(1)
	all := begin("m", s.add)
	s.await("events in the first version", s.eventsIn("one", 20))
	s.leads(weight(s.last, 100))
	s.follows(s.last)
	_, before, err := s.runs(s.Context())
	s.must(err)
	s.await("events in the second version", s.eventsIn("two", before["two"]+20))
	sent := all.stop()
	if again := s.ran(sent); again > 0 {
		s.Errorf("of %d events %d ran again", len(sent), again)
	}
	_, after, err := s.runs(s.Context())
	s.must(err)
	if after["one"] != before["one"] {
		s.Errorf("%d events went to the first version after the alias had moved", after["one"]-before["one"])
	}
}

// follows waits until the mapping leads to a version alone.
func (s *story) follows(version int) {
	s.Helper()
	s.await("the mapping to follow", func(ctx context.Context) error {
		m, err := s.client.Mapping(ctx, "orders")
		if err == nil && (m.Status.State != "active" || fmt.Sprint(m.Status.Targets) != fmt.Sprintf("[{%d 100}]", version)) {
			err = fmt.Errorf("it is %+v", m.Status)
		}
		return err
	})
}

// eventsIn wants so many events in a version.
func (s *story) eventsIn(version string, n int) func(context.Context) error {
	return func(ctx context.Context) error {
		_, versions, err := s.runs(ctx)
		if err == nil && versions[version] < n {
			err = fmt.Errorf("%d of %d", versions[version], n)
		}
		return err
	}
}

// sleepsAndWakes: a function that nobody asks has nothing that runs, and a request has
// it started.
func sleepsAndWakes(s *story) {
	cfg := s.witness("story-sleeper", "rested")
	none, one := 0, 1
	cfg.Spec.MinReplicas, cfg.Spec.MaxReplicas = &none, &one
	cfg.Spec.Scale = &function.Scale{ZeroAfter: quantity.Duration(500 * time.Millisecond)}
	_, err := s.client.Put(s.Context(), cfg)
	s.must(err)
	for range 2 {
		s.asleep()
		s.wakes(time.Now())
	}
	s.asleep()
}

func (s *story) asleep() {
	s.Helper()
	s.await("the function to sleep", func(ctx context.Context) error {
		f, err := s.client.Function(ctx, "story-sleeper")
		if err == nil && (f.Status.State != function.Asleep || len(f.Status.Replicas) > 0) {
			err = fmt.Errorf("status %+v", f.Status)
		}
		return err
	})
}

// wakes asks until the function was started for it: what is going to sleep answers
// for a moment still. No request fails.
func (s *story) wakes(since time.Time) {
	s.Helper()
	_, fresh := s.clients()
	s.await("a start by a request", func(ctx context.Context) error {
		if got, err := s.invoke(fresh, "story-sleeper", "woken"); err != nil || got != "rested" {
			s.Fatalf("%q, %v", got, err)
		}
		f, err := s.client.Function(ctx, "story-sleeper")
		if err != nil {
			return err
		}
		if f.Status.Scaling == nil || f.Status.Scaling.Start == nil || f.Status.Scaling.Start.At.Before(since) {
			return fmt.Errorf("status %+v", f.Status)
		}
		s.Logf("started in %.3f s", f.Status.Scaling.Start.Total)
		return nil
	})
}

// rolls is how many versions follow each other under load.
const rolls = 4

// rollsUnderLoad: no request fails while versions replace each other.
func rollsUnderLoad(s *story) {
	kept, fresh := s.clients()
	asks := func(c *http.Client) func() error {
		return func() error { _, err := s.invoke(c, "story-witness", "rolled"); return err }
	}
	stops := []func() (int64, error){platformtest.Load(2, asks(kept)), platformtest.Load(2, asks(fresh))}
	last := ""
	for i := range rolls {
		last = fmt.Sprint("roll", i)
		s.deploy(s.witness("story-witness", last), function.Ready)
	}
	for _, stop := range stops {
		n, err := stop()
		if err != nil || n == 0 {
			s.Errorf("of %d requests failed: %v", n, err)
		}
		s.Logf("%d requests", n)
	}
	s.answers("story-witness", last)
}

// killed: whatever is killed, what was acknowledged has run when all is back.
func killed(s *story) {
	_, fresh := s.clients()
	fresh.Timeout = 10 * time.Second
	events := begin("e", s.add)
	requests := begin("r", func(_ context.Context, event string) error {
		_, err := s.invoke(fresh, "story-witness:prod", event)
		return err
	})
	for _, what := range []Part{Functions, Control, Everything} {
		began := time.Now()
		_, before, err := s.runs(s.Context())
		s.must(err)
		s.platform.Kill(s.T, what)
		if what != Functions {
			s.platform.Up(s.T)
		}
		s.answers("story-witness", fmt.Sprint("roll", rolls-1))
		s.answers("story-witness:prod", "two")
		s.answers("story-sleeper", "rested")
		s.await("events to run", s.eventsIn("two", before["two"]+50))
		s.Logf("%s killed: all serves after %v", what, time.Since(began).Round(time.Millisecond))
	}
	sent, asked := events.stop(), requests.stop()
	again := s.ran(sent) + s.ran(asked)
	s.Logf("%d events and %d requests were acknowledged and ran, %d of them again; %d requests were not", len(sent), len(asked), again, requests.failed)
	if events.failed > 0 {
		s.Errorf("%d events could not be sent", events.failed)
	}
	for _, name := range []string{"story-witness", "story-sleeper"} {
		s.await("a status that says so", func(ctx context.Context) error {
			f, err := s.client.Function(ctx, name)
			if err == nil && f.Status.State != function.Ready && f.Status.State != function.Asleep {
				err = fmt.Errorf("%s: %+v", name, f.Status)
			}
			return err
		})
	}
}
