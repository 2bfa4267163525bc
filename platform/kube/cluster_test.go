package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/platformtest"
	"github.com/myelin-run/myelin/quantity"
)

// TestCluster: what all platforms promise and what this one does besides, on a
// cluster in which namespaces are as restricted as there are.
func TestCluster(t *testing.T) {
	s := newSite(t)
	t.Run("Suite", func(t *testing.T) { t.Parallel(); platformtest.Run(t, s.harness()) })
	for name, test := range map[string]func(*testing.T, *site){
		"RollsUnderLoad": rollsUnderLoad, "NothingIsAskedAtRest": nothingIsAskedAtRest, "NothingIsLeft": nothingIsLeft,
		"CrashIsTold": crashIsTold, "OutOfMemoryIsTold": outOfMemoryIsTold, "SecretsByReference": secretsByReference,
		"MissingImageIsTold": missingImageIsTold, "RefusalIsTold": refusalIsTold, "QuotaIsTold": quotaIsTold, "NoNodeIsTold": noNodeIsTold, "AutoscalerFollows": autoscalerFollows,
		"StrangersAreNotAnswered": strangersAreNotAnswered,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, s) })
	}
}

// world is one platform in a namespace of its own.
func (s *site) world(t *testing.T, change func(*Options)) *platformtest.World {
	t.Helper()
	h := s.harness()
	h.New = func(t *testing.T, dir string) platform.Platform {
		t.Helper()
		o := s.options(t, dir)
		if change != nil {
			change(&o)
		}
		p, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	return platformtest.NewWorld(t, h)
}

// client reaches the cluster's addresses, by a new connection each time or not.
func (s *site) client(fresh bool) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: s.dial, DisableKeepAlives: fresh}, Timeout: time.Minute}
}

// rollsUnderLoad: no request fails while two replicas are replaced, become three and
// one again, whether connections are kept or not.
func rollsUnderLoad(t *testing.T, s *site) {
	w := s.world(t, nil)
	d := w.Deployment("f", "0")
	d.Replicas = 2
	w.Apply(d)
	url := "http://" + w.See("f").Address + "/"
	var stops []func() (int64, error)
	for _, fresh := range []bool{true, false} {
		c := s.client(fresh)
		stops = append(stops, platformtest.Load(2, func() error { _, err := platformtest.Ask(c, url, "x"); return err }))
	}
	for i, replicas := range []int{2, 2, 3, 1} {
		d = w.Deployment("f", fmt.Sprint(min(i+1, 2)))
		d.Replicas = replicas
		w.Apply(d)
	}
	w.Await("f", "one replica", func(o platform.Observed) bool { return len(o.Replicas) == 1 })
	for _, stop := range stops {
		n, err := stop()
		if err != nil || n == 0 {
			t.Errorf("of %d requests failed: %v", n, err)
		}
		t.Logf("%d requests", n)
	}
}

// nothingIsAskedAtRest: a platform whose functions do nothing asks the cluster nothing.
func nothingIsAskedAtRest(t *testing.T, s *site) {
	var asked atomic.Int64
	w := s.world(t, func(o *Options) {
		o.wrap = func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Query().Get("watch") == "" {
					asked.Add(1)
				}
				return next.RoundTrip(r)
			})
		}
	})
	w.Apply(w.Deployment("f", "1"))
	before := asked.Load()
	if before == 0 {
		t.Fatal("nothing is counted")
	}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		w.See("f")
	}
	if n := asked.Load() - before; n > 0 {
		t.Errorf("it asked %d times", n)
	}
	w.Apply(w.Deployment("f", "1"))
	if n := asked.Load() - before; n > 4 {
		t.Errorf("applying the same asked %d times", n)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// nothingIsLeft: of a function that is removed, and of versions that were replaced,
// nothing stays in the cluster.
func nothingIsLeft(t *testing.T, s *site) {
	w := s.world(t, nil)
	left := func() string {
		return s.kubectl(t, "", "get", "deployments,replicasets,pods,services,secrets,poddisruptionbudgets", "-n", s.space(t, w.Dir), "-l", labelOwner, "-o", "name")
	}
	for i := range 2 {
		d := w.Deployment("a.very-long-name-of-a-function-which-has-dots.and-goes-on-and-on-and-on-and-on-and-on.3", fmt.Sprint(i))
		d.Replicas = 2
		w.Apply(d)
		if i == 0 {
			continue
		}
		if all := strings.Fields(left()); len(slices.DeleteFunc(all, func(name string) bool { return !strings.HasPrefix(name, "secret/") })) != 1 {
			t.Errorf("there are %v", all)
		}
		if err := w.Remove(t.Context(), d.Name); err != nil {
			t.Error(err)
		}
	}
	if text := left(); text != "" {
		t.Errorf("left is %s", text)
	}
}

// crashIsTold: a replica that died is started again, and it is told why it died.
func crashIsTold(t *testing.T, s *site) {
	w := s.world(t, nil)
	w.Apply(w.Deployment("f", "1"))
	if resp, err := s.client(true).Get("http://" + w.See("f").Address + "/exit"); err == nil {
		resp.Body.Close()
	}
	o := w.Await("f", "another life", func(o platform.Observed) bool {
		return len(o.Replicas) == 1 && o.Replicas[0].State == "ready" && o.Replicas[0].Restarts > 0
	})
	if r := o.Replicas[0]; r.LastEnd != "exit code 7" {
		t.Errorf("observed %+v", r)
	}
}

// outOfMemoryIsTold: a replica that outgrows its limit is killed, and that is told.
func outOfMemoryIsTold(t *testing.T, s *site) {
	w := s.world(t, nil)
	d := w.Deployment("f", "1")
	d.Config.Spec.Resources.Limits = map[string]quantity.Amount{"memory": "64Mi", "cpu": "1"}
	w.Apply(d)
	if resp, err := s.client(true).Get("http://" + w.See("f").Address + "/grow"); err == nil {
		resp.Body.Close()
	}
	w.Await("f", "an end that is told", func(o platform.Observed) bool {
		return len(o.Replicas) == 1 && strings.Contains(o.Replicas[0].LastEnd, "more memory than its limit")
	})
}

// secretsByReference: what a function takes from a Secret by name is the cluster's to
// give, and it is told when there is none.
func secretsByReference(t *testing.T, s *site) {
	w := s.world(t, nil)
	d := w.Deployment("f", "1")
	d.Config.Spec.Env = append(d.Config.Spec.Env, function.EnvVar{Name: "PASSWORD", ValueFrom: []byte(`{"secretKeyRef": {"name": "theirs", "key": "password"}}`)})
	told(t, w.Platform.Apply(t.Context(), d), `"theirs" not found`)
	s.kubectl(t, "", "create", "secret", "generic", "theirs", "-n", s.space(t, w.Dir), "--from-literal", "password=swordfish")
	w.Apply(d)
	a, err := platformtest.Ask(s.client(true), "http://"+w.See("f").Address+"/", "x")
	if err != nil || !slices.Contains(a.Env, "PASSWORD=swordfish") {
		t.Errorf("%v, %v", a.Env, err)
	}
}

// told wants an error that says why replicas did not start.
func told(t *testing.T, err error, why string) {
	t.Helper()
	var start *platform.StartError
	if !errors.As(err, &start) || !strings.Contains(err.Error(), why) {
		t.Errorf("got %v, want %q", err, why)
	}
}

func missingImageIsTold(t *testing.T, s *site) {
	w := s.world(t, func(o *Options) {
		o.Image = func(context.Context, string, build.Artefact) (string, error) {
			return s.registry.Addr + "/nowhere:1", nil
		}
	})
	told(t, w.Platform.Apply(t.Context(), w.Deployment("f", "1")), "nowhere:1")
}

func refusalIsTold(t *testing.T, s *site) {
	w := s.world(t, nil)
	d := w.Deployment("f", "1")
	d.Config.Spec.SecurityContext = []byte(`{"runAsNonRoot": false, "runAsUser": 0}`)
	told(t, w.Platform.Apply(t.Context(), d), "violates PodSecurity")
}

// quotaIsTold: a version for which there is no room is given up, and the former one
// serves on.
func quotaIsTold(t *testing.T, s *site) {
	w := s.world(t, nil)
	w.Apply(w.Deployment("f", "1"))
	s.kubectl(t, "", "create", "quota", "small", "-n", s.space(t, w.Dir), "--hard", "pods=1")
	told(t, w.Platform.Apply(t.Context(), w.Deployment("f", "2")), "exceeded quota")
	a, err := platformtest.Ask(s.client(true), "http://"+w.See("f").Address+"/", "x")
	if err != nil || a.Version != "1" || w.See("f").Fingerprint != "1" {
		t.Errorf("%+v, %v", a, err)
	}
}

// noNodeIsTold: that no node takes a replica is told, if the scheduler has said so before
// the time is up.
func noNodeIsTold(t *testing.T, s *site) {
	w := s.world(t, nil)
	d := w.Deployment("f", "1")
	d.Config.Spec.ReadinessTimeoutSeconds = 1
	d.Config.Spec.NodeSelector = map[string]string{"kubernetes.io/hostname": "elsewhere"}
	var err error
	for limit := 3 * time.Second; limit < time.Minute; limit *= 3 { // a scheduler that has much to do is given more
		w.Platform.(*Platform).o.startLimit = limit
		if err = w.Platform.Apply(t.Context(), d); err == nil || strings.Contains(err.Error(), "no node takes it") {
			break
		}
	}
	told(t, err, "no node takes it")
}

// strangersAreNotAnswered: the processors of a function do what the control plane says,
// and nobody else in the cluster.
func strangersAreNotAnswered(t *testing.T, s *site) {
	w := s.world(t, nil)
	w.Apply(w.Deployment("f", "1"))
	p := w.Platform.(*Platform)
	if all := p.Ask(t.Context(), "f", http.MethodGet, "/load", nil); len(all) != 1 || all[0].Err() != nil {
		t.Errorf("the control plane was answered %+v", all)
	}
	at := p.seen.of(p.idOf("f")).pods[0].Status.PodIP
	resp, err := s.client(true).Get("http://" + at + ":8082/load")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger was answered %s", resp.Status)
	}
}
