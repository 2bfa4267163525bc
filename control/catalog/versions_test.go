package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/function"
)

var hello = Name{"default", "hello"}

func open(t *testing.T) *Catalog {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir(), Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return New(s)
}

func config(description string) function.Config {
	return function.Config{
		Metadata: function.Metadata{Name: hello.Name, Namespace: hello.Namespace, Annotations: map[string]string{plan.ArtefactAnnotation: strings.Repeat("ab", 32)}},
		Spec:     function.Spec{Description: description, Triggers: map[string]function.Trigger{"q": {Kind: "nats", Password: "hunter2"}}},
	}
}

// published makes a catalog with versions of hello.
func published(t *testing.T, n int) *Catalog {
	t.Helper()
	c := open(t)
	for i := range n {
		if err := c.Put(t.Context(), config(fmt.Sprint(i)), ""); err != nil {
			t.Fatal(err)
		}
		if v, fresh, err := c.Publish(t.Context(), hello, "note", "me"); err != nil || !fresh || v.Number != i+1 {
			t.Fatal(v.Number, fresh, err)
		}
	}
	return c
}

func prod(labels ...string) function.Alias {
	a := function.Alias{Metadata: function.Metadata{Name: "prod", Namespace: hello.Namespace}, Spec: function.AliasSpec{Function: hello.Name}}
	for _, l := range labels {
		a.Spec.Versions = append(a.Spec.Versions, function.Weighted{Version: l, Weight: 100 / float64(len(labels))})
	}
	return a
}

func numbers(t *testing.T, c *Catalog) (out []int) {
	t.Helper()
	vs, _, err := c.Versions(t.Context(), hello)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vs {
		out = append(out, v.Number)
	}
	return out
}

func TestPublishedIsWhatItWas(t *testing.T) {
	c := published(t, 1)
	if err := c.Put(t.Context(), config("changed"), ""); err != nil {
		t.Fatal(err)
	}
	v, err := c.Version(t.Context(), Deployment{hello, 1})
	if err != nil || v.Config.Spec.Description != "0" || v.Config.Spec.Triggers["q"].Password != "hunter2" || v.Note != "note" || v.Publisher != "me" || v.Created.IsZero() || v.Config.Metadata.ResourceVersion != "" {
		t.Errorf("%+v, %v", v, err)
	}
	if v, fresh, err := c.Publish(t.Context(), hello, "", ""); err != nil || !fresh || v.Number != 2 {
		t.Error(v.Number, fresh, err)
	}
	if v, fresh, err := c.Publish(t.Context(), hello, "again", ""); err != nil || fresh || v.Number != 2 || v.Note != "" {
		t.Error("published what has not changed:", v.Number, fresh, err)
	}
	none := config("x")
	none.Metadata.Annotations = nil
	if err := c.Put(t.Context(), none, ""); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Publish(t.Context(), hello, "", ""); !errors.Is(err, ErrNotBuilt) {
		t.Error(err)
	}
	if _, _, err := c.Publish(t.Context(), Name{"default", "gone"}, "", ""); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
}

// A number is given once, whoever publishes at the same time, and also after
// its version and its function have gone.
func TestNumbersAreNeverGivenAgain(t *testing.T) {
	c := published(t, 3)
	if err := c.DeleteVersion(t.Context(), Deployment{hello, 3}); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteVersion(t.Context(), Deployment{hello, 3}); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	if v, fresh, err := c.Publish(t.Context(), hello, "", ""); err != nil || !fresh || v.Number != 4 {
		t.Error(v.Number, fresh, err)
	}
	if err := c.Delete(t.Context(), hello, ""); err != nil {
		t.Fatal(err)
	}
	if left := numbers(t, c); len(left) > 0 {
		t.Errorf("versions %v outlive their function", left)
	}
	var wg sync.WaitGroup
	given := make([]int, 8)
	for i := range given {
		wg.Go(func() {
			if err := c.Put(t.Context(), config(fmt.Sprint("new", i)), ""); err != nil {
				t.Error(err)
			}
			v, _, err := c.Publish(t.Context(), hello, "", "")
			if err != nil {
				t.Error(err)
			}
			given[i] = v.Number
		})
	}
	wg.Wait()
	seen := numbers(t, c)
	if seen[0] != 5 || len(slices.Compact(slices.Clone(seen))) != len(seen) {
		t.Errorf("given %v, there are %v", given, seen)
	}
	for _, n := range given {
		if !slices.Contains(seen, n) {
			t.Errorf("%d was given and is not there", n)
		}
	}
}

func TestManyVersionsGoWithTheirFunction(t *testing.T) {
	c := published(t, 3)
	var ops []store.Op
	for i := 4; i < 300; i++ {
		ops = append(ops, store.Op{Key: Deployment{hello, i}.spec(), Value: []byte("{}")})
	}
	for batch := range slices.Chunk(ops, maxOps) {
		if _, err := c.s.Commit(t.Context(), batch...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.PutAlias(t.Context(), prod("1"), "", Author{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), hello, ""); err != nil {
		t.Fatal(err)
	}
	if keys, err := c.relatives(t.Context(), hello); err != nil || len(keys) > 0 {
		t.Errorf("left: %d, %v", len(keys), err)
	}
}

func TestAliasMovesAreCompareAndSwap(t *testing.T) {
	c := published(t, 3)
	first, err := c.PutAlias(t.Context(), prod("1"), "0", Author{By: "me", Note: "begin"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutAlias(t.Context(), prod("2"), "0", Author{}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("made twice: %v", err)
	}
	again, err := c.PutAlias(t.Context(), prod("1"), "", Author{})
	if err != nil || again.Metadata.ResourceVersion != first.Metadata.ResourceVersion {
		t.Errorf("what is so already was written: %+v, %v", again, err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = c.PutAlias(t.Context(), prod(fmt.Sprint(2+i%2)), first.Metadata.ResourceVersion, Author{})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, store.ErrConflict) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d of the same moves succeeded", won)
	}
	if a, err := c.Alias(t.Context(), hello, "prod"); err != nil || len(a.Status.History) != 2 || a.Status.History[1].Note != "begin" || a.Status.History[1].By != "me" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestRollback(t *testing.T) {
	c := published(t, 2)
	if _, err := c.PutAlias(t.Context(), prod("1"), "", Author{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Rollback(t.Context(), hello, "prod", "", Author{}); !errors.Is(err, ErrNoFormer) {
		t.Error(err)
	}
	moved, err := c.PutAlias(t.Context(), prod("1", "2"), "", Author{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Rollback(t.Context(), hello, "prod", "1", Author{}); !errors.Is(err, store.ErrConflict) {
		t.Error(err)
	}
	for _, want := range []int{1, 2} {
		a, err := c.Rollback(t.Context(), hello, "prod", "", Author{})
		if err != nil || len(a.Spec.Versions) != want {
			t.Fatalf("%+v, %v", a.Spec, err)
		}
	}
	a, err := c.Alias(t.Context(), hello, "prod")
	if err != nil || len(a.Status.History) != 4 || a.Metadata.ResourceVersion == moved.Metadata.ResourceVersion {
		t.Errorf("%+v, %v", a, err)
	}
	for i := range function.MaxHistory * 2 {
		if _, err := c.PutAlias(t.Context(), prod(fmt.Sprint(1+i%2)), "", Author{}); err != nil {
			t.Fatal(err)
		}
	}
	if a, err := c.Alias(t.Context(), hello, "prod"); err != nil || len(a.Status.History) != function.MaxHistory {
		t.Errorf("%d moves, %v", len(a.Status.History), err)
	}
}

func TestNamedVersionsStay(t *testing.T) {
	c := published(t, 4)
	a := prod("1", "2")
	a.Spec.Rules = []function.Rule{{Header: "x", Version: "3"}}
	if _, err := c.PutAlias(t.Context(), a, "", Author{}); err != nil {
		t.Fatal(err)
	}
	a = prod("4")
	effective := prod("1").Spec
	a.Status.Effective = &effective
	if err := c.SetAliasStatus(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutAlias(t.Context(), prod("4"), "", Author{}); err != nil {
		t.Fatal(err)
	}
	var named *NamedError
	for v, want := range map[int]bool{1: true, 2: false, 3: false, 4: true} {
		if err := c.DeleteVersion(t.Context(), Deployment{hello, v}); errors.As(err, &named) != want || !want && err != nil {
			t.Errorf("version %d: %v", v, err)
		}
	}
	if _, err := c.PutAlias(t.Context(), prod("2"), "", Author{}); err == nil || !strings.Contains(err.Error(), "hello has no version 2") {
		t.Error(err)
	}
	if err := c.DeleteAlias(t.Context(), hello, "prod", "", false); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteVersion(t.Context(), Deployment{hello, 4}); err != nil {
		t.Error(err)
	}
}

// An alias that mappings or routes follow stays, unless it is forced away.
func TestFollowedAliasesStay(t *testing.T) {
	c := published(t, 1)
	if _, err := c.PutAlias(t.Context(), prod("1"), "", Author{}); err != nil {
		t.Fatal(err)
	}
	for name, kind := range map[string]string{"orders": "kafka", "shop": "http"} {
		m := function.Mapping{Metadata: function.Metadata{Name: name, Namespace: hello.Namespace}, Spec: function.MappingSpec{Function: hello.Name, Alias: "prod", Source: function.Trigger{Kind: kind}}}
		if err := c.PutMapping(t.Context(), m, ""); err != nil {
			t.Fatal(err)
		}
	}
	err := c.DeleteAlias(t.Context(), hello, "prod", "", false)
	if want := "alias prod of hello is named by mapping orders, route shop"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := c.DeleteAlias(t.Context(), hello, "prod", "", true); err != nil {
		t.Error(err)
	}
	for range 10 { // a mapping that comes while its alias goes: one of them is told no
		if _, err := c.PutAlias(t.Context(), prod("1"), "", Author{}); err != nil {
			t.Fatal(err)
		}
		m := function.Mapping{Metadata: function.Metadata{Name: "late", Namespace: hello.Namespace}, Spec: function.MappingSpec{Function: hello.Name, Alias: "prod", Source: function.Trigger{Kind: "kafka"}}}
		for _, name := range []string{"orders", "shop", "late"} {
			if err := c.DeleteMapping(t.Context(), Name{hello.Namespace, name}, ""); err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			}
		}
		var put, del error
		var wg sync.WaitGroup
		wg.Go(func() { put = c.PutMapping(t.Context(), m, "") })
		wg.Go(func() { del = c.DeleteAlias(t.Context(), hello, "prod", "", false) })
		wg.Wait()
		if (put == nil) == (del == nil) {
			t.Errorf("mapping: %v, deletion: %v", put, del)
		}
	}
}

// While one names a version and another deletes it, one of them is told no.
func TestNamingAndDeletingMeet(t *testing.T) {
	c := published(t, 20)
	for v := 1; v <= 20; v++ {
		var put, del error
		var wg sync.WaitGroup
		wg.Go(func() { _, put = c.PutAlias(t.Context(), prod(fmt.Sprint(v)), "", Author{}) })
		wg.Go(func() { del = c.DeleteVersion(t.Context(), Deployment{hello, v}) })
		wg.Wait()
		if (put == nil) == (del == nil) {
			t.Fatalf("version %d: named: %v, deleted: %v", v, put, del)
		}
	}
}

func TestKeysAreRead(t *testing.T) {
	d := Deployment{hello, 7}
	for key, want := range map[string]Object{
		hello.spec(): {Kind: Spec, Name: hello}, hello.status(): {Kind: Status, Name: hello},
		d.spec(): {Kind: VersionSpec, Name: hello, Version: 7}, d.status(): {Kind: VersionStatus, Name: hello, Version: 7},
		hello.alias("prod"): {Kind: AliasSpec, Name: hello, Alias: "prod"}, hello.aliasStatus("prod"): {Kind: AliasStatus, Name: hello, Alias: "prod"},
	} {
		if got, ok := parseKey(key); !ok || got != want {
			t.Errorf("%s: %+v, %v", key, got, ok)
		}
	}
	for s, want := range map[string]Deployment{"default.hello": {Name: hello}, "default.hello.7": d} {
		if got, ok := ParseDeployment(s); !ok || got != want || got.String() != s {
			t.Errorf("%s: %+v, %v", s, got, ok)
		}
	}
	for _, s := range []string{"default", "default.", ".hello", "default.hello.", "default.hello.0", "default.hello.x", "default.hello.1.2", "default.hello.$latest"} {
		if d, ok := ParseDeployment(s); ok {
			t.Errorf("%s is read as %+v", s, d)
		}
	}
}
