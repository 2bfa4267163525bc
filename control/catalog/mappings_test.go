package catalog_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/function"
)

func open(t *testing.T) *catalog.Catalog {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return catalog.New(s)
}

// put stores a function with triggers, "in:kafka:topic" each.
func put(t *testing.T, c *catalog.Catalog, name string, triggers ...string) {
	t.Helper()
	cfg := function.Config{Metadata: function.Metadata{Name: name, Namespace: "default", Annotations: map[string]string{plan.ArtefactAnnotation: "a"}}}
	cfg.Spec.Triggers = map[string]function.Trigger{"web": {Kind: "http"}}
	for _, text := range triggers {
		p := strings.Split(text, ":")
		b, err := json.Marshal(map[string]any{"topics": []string{p[2]}})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Spec.Triggers[p[0]] = function.Trigger{Kind: p[1], Attributes: b, Password: "hush"}
	}
	if err := c.Put(t.Context(), cfg, ""); err != nil {
		t.Fatal(err)
	}
}

func named(name string) catalog.Name { return catalog.Name{Namespace: "default", Name: name} }

func names(t *testing.T, c *catalog.Catalog, fn string) (out []string) {
	t.Helper()
	ms, err := c.MappingsOf(t.Context(), named(fn))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range ms {
		out = append(out, m.Metadata.Name)
	}
	return out
}

func wrote(t *testing.T, c *catalog.Catalog, m function.Mapping, want string) {
	t.Helper()
	err := c.PutMapping(t.Context(), m, m.Metadata.ResourceVersion)
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: %v, want %q", m.Metadata.Name, err, want)
	}
}

// The triggers of a function.yaml are mappings: they come and go with it, and a
// redeploy replaces their source and nothing else.
func TestOwnedMappings(t *testing.T) {
	c := open(t)
	put(t, c, "hello", "in:kafka:a", "other:kafka:b")
	if got := names(t, c, "hello"); !slices.Equal(got, []string{"hello-in", "hello-other"}) {
		t.Fatalf("mappings %v", got)
	}
	m, err := c.Mapping(t.Context(), named("hello-in"))
	if err != nil || m.Spec.Owner != "function hello" || m.Spec.Source.Kind != "kafka" || m.Spec.Source.Password != "hush" || plan.TriggerOf(m) != "in" {
		t.Fatalf("%+v, %v", m, err)
	}
	if _, _, err := c.Publish(t.Context(), named("hello"), "", ""); err != nil {
		t.Fatal(err)
	}
	m.Spec.Version, m.Spec.Disabled = "1", true
	wrote(t, c, m, "")
	before, err := c.Mapping(t.Context(), named("hello-other"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, "hello", "in:kafka:c", "other:kafka:b")
	m, err = c.Mapping(t.Context(), named("hello-in"))
	if err != nil || m.Spec.Version != "1" || !m.Spec.Disabled || !strings.Contains(string(m.Spec.Source.Attributes), `"c"`) {
		t.Errorf("after a redeploy: %+v, %v", m, err)
	}
	if after, err := c.Mapping(t.Context(), named("hello-other")); err != nil || after.Metadata.ResourceVersion != before.Metadata.ResourceVersion {
		t.Errorf("what was not changed was written: %+v, %v", after.Metadata, err)
	}
	if err := c.DeleteMapping(t.Context(), named("hello-in"), ""); !errors.Is(err, catalog.ErrOwned) {
		t.Errorf("delete: %v", err)
	}
	if err := c.DeleteVersion(t.Context(), catalog.Deployment{Name: named("hello"), Version: 1}); err == nil || !strings.Contains(err.Error(), "version 1 of hello is named by mapping hello-in") {
		t.Errorf("delete the version: %v", err)
	}
	m.Spec.Owner = ""
	wrote(t, c, m, `is "function hello" and stays so`)
	put(t, c, "hello", "other:kafka:b")
	if got := names(t, c, "hello"); !slices.Equal(got, []string{"hello-other"}) {
		t.Errorf("without a trigger: %v", got)
	}
	if err := c.Delete(t.Context(), named("hello"), ""); err != nil {
		t.Fatal(err)
	}
	if got := names(t, c, "hello"); len(got) != 0 {
		t.Errorf("without the function: %v", got)
	}
	if _, err := c.Mapping(t.Context(), named("hello-other")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("without the function: %v", err)
	}
}

// Two triggers whose mappings would have one name have two, each its own.
func TestNamesOfOwnedMappings(t *testing.T) {
	c := open(t)
	put(t, c, "a", "b-c:kafka:x", "My_Queue:kafka:y")
	put(t, c, "a-b", "c:kafka:z")
	put(t, c, "a-b", "c:kafka:zz")
	put(t, c, "a", "b-c:kafka:x", "My_Queue:kafka:y")
	if a, b := names(t, c, "a"), names(t, c, "a-b"); len(a) != 2 || len(b) != 1 || slices.Contains(a, b[0]) {
		t.Errorf("%v and %v", a, b)
	}
}

func TestMappings(t *testing.T) {
	c := open(t)
	put(t, c, "hello", "in:kafka:a")
	put(t, c, "world")
	one := function.Mapping{Metadata: function.Metadata{Name: "one", Namespace: "default"}, Spec: function.MappingSpec{Function: "hello", Source: function.Trigger{Kind: "kafka"}}}
	with := func(change func(*function.Mapping)) function.Mapping {
		m := one
		change(&m)
		return m
	}
	wrote(t, c, with(func(m *function.Mapping) { m.Spec.Function = "helo" }), `there is no function "helo" in namespace default, did you mean "hello"?`)
	wrote(t, c, with(func(m *function.Mapping) { m.Spec.Alias = "prod" }), `hello has no alias "prod"`)
	wrote(t, c, with(func(m *function.Mapping) { m.Spec.Version = "7" }), "hello has no version 7")
	wrote(t, c, with(func(m *function.Mapping) { m.Spec.Owner = "function hello" }), "spec.owner")
	wrote(t, c, with(func(m *function.Mapping) { m.Metadata.Name = "in" }), `"in" is a trigger in the function.yaml of hello`)
	wrote(t, c, with(func(m *function.Mapping) { m.Metadata.ResourceVersion = "99" }), store.ErrConflict.Error())
	wrote(t, c, one, "")
	wrote(t, c, with(func(m *function.Mapping) { m.Metadata.ResourceVersion = "0" }), store.ErrConflict.Error())
	if got := names(t, c, "hello"); !slices.Equal(got, []string{"hello-in", "one"}) {
		t.Errorf("mappings %v", got)
	}
	wrote(t, c, with(func(m *function.Mapping) { m.Spec.Function = "world" }), "")
	if a, b := names(t, c, "hello"), names(t, c, "world"); !slices.Equal(a, []string{"hello-in"}) || !slices.Equal(b, []string{"one"}) {
		t.Errorf("given to another function: %v and %v", a, b)
	}
	if err := c.SetMappingStatus(t.Context(), named("one"), function.MappingStatus{State: plan.MappingActive}); err != nil {
		t.Fatal(err)
	}
	all, _, err := c.Mappings(t.Context(), "")
	if err != nil || len(all) != 2 || all[1].Status.State != plan.MappingActive {
		t.Errorf("%+v, %v", all, err)
	}
	if err := c.DeleteMapping(t.Context(), named("one"), ""); err != nil {
		t.Error(err)
	}
	if got := names(t, c, "world"); len(got) != 0 {
		t.Errorf("deleted: %v", got)
	}
}
