package control

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform/platformtest"
)

// answers asks until the version at a URL is the wanted one.
func (w *world) answers(url, version string) {
	w.Helper()
	w.await(url+" to be version "+version, func(context.Context) error {
		a, err := platformtest.Ask(platformtest.Fresh(), url, "x")
		if err == nil && a.Version != version {
			err = fmt.Errorf("it is version %s", a.Version)
		}
		return err
	})
}

func TestVersionsRunSideBySide(t *testing.T) {
	w := newWorld(t)
	w.start()
	for _, v := range []string{"one", "two"} {
		w.deploy(config("hello", v), function.Ready)
		w.publish("hello")
	}
	again, fresh, err := w.client.Publish(t.Context(), "hello", client.Author{})
	if err != nil || fresh || again.Number != 2 {
		t.Errorf("published what has not changed: %+v, %v, %v", again.Number, fresh, err)
	}
	f := w.deploy(config("hello", "three"), function.Ready)
	url := "http://" + w.gateway + "/hello"
	if code, text := get(t, url+":1"); code != http.StatusNotFound || !strings.Contains(text, "does not run") {
		t.Errorf("a version that nothing names: %d %s", code, text)
	}
	w.move(alias("prod", 1, 100))
	w.move(alias("beta", 2, 100))
	for path, want := range map[string]string{"": "three", ":prod": "one", ":beta": "two", ":1": "one", ":2": "two", ":$latest": "three"} {
		a, err := platformtest.Ask(platformtest.Fresh(), url+path+"/a", "x")
		if err != nil || a.Version != want || a.Path != "/a" {
			t.Errorf("%s: %+v, %v, want %s", path, a, err, want)
		}
	}
	vs, err := w.client.Versions(t.Context(), "hello")
	if err != nil || len(vs) != 2 || vs[0].Number != 2 || fmt.Sprint(vs[0].Status.NamedBy) != "[alias beta]" || vs[0].Artefact != digest || vs[1].Publisher != "test" {
		t.Errorf("%+v, %v", vs, err)
	}
	if vs[0].Status.Address == vs[1].Status.Address || vs[0].Status.Address == f.Status.Address {
		t.Error("two versions share an address")
	}
	if err := w.client.DeleteVersion(t.Context(), "hello", 1); !client.Conflict(err) || !strings.Contains(err.Error(), "alias prod") {
		t.Errorf("a version that is named: %v", err)
	}
	if _, err := w.client.PutAlias(t.Context(), alias("prod", 9, 100), client.MoveOptions{}); err == nil || !strings.Contains(err.Error(), "spec.versions[0].version: hello has no version 9") {
		t.Errorf("a version that is not there: %v", err)
	}
	if err := w.client.Delete(t.Context(), "hello"); err != nil {
		t.Fatal(err)
	}
	w.await("all versions' end", func(ctx context.Context) error {
		for _, path := range []string{"", ":prod", ":1"} {
			if code, text := get(t, url+path); code != http.StatusNotFound {
				return errors.New(path + text)
			}
		}
		return nil
	})
	w.deploy(config("hello", "four"), function.Ready)
	if n := w.publish("hello"); n != 3 {
		t.Errorf("the number %d is given again", n)
	}
}

// A move is in effect soon after its answer, drops nothing, and the new version
// is ready before; going back takes no longer, because the old one lingers.
func TestAliasMovesAtOnceAndDropsNothing(t *testing.T) {
	w := newWorld(t)
	w.start()
	for _, v := range []string{"1", "2"} {
		w.deploy(config("hello", v), function.Ready)
		w.publish("hello")
	}
	w.move(alias("prod", 1, 100))
	url := "http://" + w.gateway + "/hello:prod"
	kept := keepAlive(t)
	stops := []func() (int64, error){
		platformtest.Load(2, func() error { _, err := platformtest.Ask(kept, url, "kept"); return err }),
		platformtest.Load(1, func() error { _, err := platformtest.Ask(platformtest.Fresh(), url, "fresh"); return err }),
	}
	began := time.Now()
	w.move(alias("prod", 2, 100))
	t.Logf("the first move to a version that did not run took %v", time.Since(began))
	asker := keepAlive(t)
	var longest time.Duration
	for i := range 20 {
		want := fmt.Sprint(1 + i%2)
		_, err := w.client.PutAlias(t.Context(), alias("prod", 1+i%2, 100), movedBy)
		if err != nil {
			t.Fatal(err)
		}
		answered := time.Now()
		for {
			a, err := platformtest.Ask(asker, url, "x")
			if err != nil {
				t.Fatal(err)
			}
			if a.Version == want {
				break
			}
			if time.Since(answered) > patience {
				t.Fatalf("version %s does not come", want)
			}
		}
		longest = max(longest, time.Since(answered))
	}
	t.Logf("from a move's answer to the first answer of the other version: %v at most", longest)
	if longest > 5*time.Second { // 100 ms on a machine that does nothing else
		t.Error("moves take too long")
	}
	for i, stop := range stops {
		if n, err := stop(); err != nil || n == 0 {
			t.Errorf("load %d: %d requests: %v", i, n, err)
		}
	}
	a, err := w.client.Rollback(t.Context(), "hello", "prod", waiting(patience))
	if err != nil || a.Spec.Versions[0].Version != "1" || len(a.Status.History) != 23 || a.Status.History[0].Note != "rollback" {
		t.Errorf("%+v, %v", a, err)
	}
	w.answers(url, "1")
}

// A move to a version that does not get ready leaves the alias where it is.
func TestAliasStaysUntilTheNewVersionIsReady(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.deploy(config("hello", "1"), function.Ready)
	w.publish("hello")
	w.move(alias("prod", 1, 100))
	bad := config("hello", "2")
	bad.Spec.Env = append(bad.Spec.Env, function.EnvVar{Name: "MODE", Value: "fail"})
	w.deploy(bad, function.Failed)
	w.publish("hello")
	a, err := w.client.PutAlias(t.Context(), alias("prod", 2, 100), waiting(500*time.Millisecond))
	if err != nil || client.Effective(a) || a.Status.Effective.Versions[0].Version != "1" {
		t.Errorf("%+v, %v", a.Status, err)
	}
	w.answers("http://"+w.gateway+"/hello:prod", "1")
	w.await("the reason", func(ctx context.Context) error {
		a, err := w.client.Alias(ctx, "hello", "prod")
		if err == nil && !strings.Contains(fmt.Sprint(a.Status.Waiting), "version 2 is down: ") {
			err = fmt.Errorf("waiting for %q", a.Status.Waiting)
		}
		return err
	})
	w.kill()
	w.start()
	w.answers("http://"+w.gateway+"/hello:prod", "1")
	if a := w.move(alias("prod", 1, 100)); len(a.Status.Waiting) != 0 {
		t.Errorf("%+v", a.Status)
	}
}

var movedBy = client.MoveOptions{Author: client.Author{By: "test"}}

func waiting(wait time.Duration) client.MoveOptions { return client.MoveOptions{Wait: wait} }
