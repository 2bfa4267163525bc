package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/function"
)

func (w *world) make(name string, labels map[string]string) function.Function {
	w.Helper()
	cfg := function.Config{Metadata: function.Metadata{Name: name, Labels: labels}}
	cfg.Spec.Handler, cfg.Spec.Runtime = "main:handler", "python"
	f, err := w.client.Put(w.Context(), cfg)
	if err != nil {
		w.Fatal(err)
	}
	return f
}

func (w *world) page(query string) api.FunctionList {
	w.Helper()
	code, text := w.ask("GET", "/api/v1/functions?"+query, "")
	var out api.FunctionList
	if err := json.Unmarshal([]byte(text), &out); code != 200 || err != nil {
		w.Fatalf("%s: %d %s", query, code, text)
	}
	return out
}

func names(l api.FunctionList) string {
	var out []string
	for _, f := range l.Items {
		out = append(out, f.Metadata.Name)
	}
	return strings.Join(out, " ")
}

// What is there throughout is on exactly one page, whatever is written while
// pages are turned.
func TestPagesAreStableUnderWrites(t *testing.T) {
	w := newWorld(t)
	for i := range 7 {
		w.make(fmt.Sprintf("f%d", i), nil)
	}
	first := w.page("limit=3")
	if names(first) != "f0 f1 f2" || first.Remaining != 4 || first.Continue == "" {
		t.Fatalf("%s, %d more", names(first), first.Remaining)
	}
	w.make("f0a", nil)
	w.make("f3a", nil)
	for _, name := range []string{"f1", "f2"} {
		if err := w.client.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	second := w.page("limit=3&continue=" + first.Continue)
	third := w.page("limit=3&continue=" + second.Continue)
	if got := names(second) + " " + names(third); got != "f3 f3a f4 f5 f6" || third.Continue != "" {
		t.Errorf("got %s", got)
	}
	if third.ResourceVersion != first.ResourceVersion {
		t.Errorf("a watch would begin at %s and miss what is after %s", third.ResourceVersion, first.ResourceVersion)
	}
	all, err := w.client.Functions(t.Context())
	if err != nil || len(all) != 7 {
		t.Errorf("%d functions, %v", len(all), err)
	}
}

func TestSelectors(t *testing.T) {
	w := newWorld(t)
	w.make("a", map[string]string{"team": "core", "tier": "web"})
	w.make("b", map[string]string{"team": "core"})
	w.make("c", nil)
	for query, want := range map[string]string{
		"labelSelector=team%3Dcore":                   "a b",
		"labelSelector=team%3D%3Dcore,tier":           "a",
		"labelSelector=!team":                         "c",
		"labelSelector=team!%3Dcore":                  "c",
		"labelSelector=tier!%3Dweb,team":              "b",
		"fieldSelector=metadata.name%3Db":             "b",
		"fieldSelector=status.state!%3Dready":         "a b c",
		"fieldSelector=spec.runtime%3Dgo":             "",
		"project=default":                             "a b c",
		"project=other":                               "",
		"namespace=elsewhere":                         "",
		"namespace=*&limit=2&labelSelector=team":      "a b",
		"namespace=*&limit=1&fieldSelector=":          "a",
		"fieldSelector=metadata.namespace%3Ddefault&": "a b c",
	} {
		if got := names(w.page(query)); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

func TestETags(t *testing.T) {
	w := newWorld(t)
	f := w.make("hello", nil)
	tag := `"` + f.Metadata.ResourceVersion + `"`
	resp, err := http.Get(w.url + "/api/v1/functions/hello")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.Header.Get("ETag") != tag {
		t.Errorf("ETag %s, want %s", resp.Header.Get("ETag"), tag)
	}
	if code, text := w.ask("PUT", "/api/v1/functions/hello", hello, "If-Match", tag); code != 200 {
		t.Fatalf("%d %s", code, text)
	}
	if code, text := w.ask("DELETE", "/api/v1/functions/hello", "", "If-Match", tag); code != 412 {
		t.Errorf("%d %s", code, text)
	}
	if code, text := w.ask("DELETE", "/api/v1/functions/hello", "", "If-Match", "*"); code != 204 {
		t.Errorf("%d %s", code, text)
	}
}

func TestProjects(t *testing.T) {
	w := newWorld(t)
	project := `{"apiVersion":"myelin.run/v1","kind":"Project","metadata":{"name":"shop"},"spec":{"description":"sells"}}`
	if code, text := w.ask("POST", "/api/v1/projects", project); code != 201 || !strings.Contains(text, `"functions":0`) {
		t.Fatalf("%d %s", code, text)
	}
	if code, _ := w.ask("POST", "/api/v1/projects", project); code != 409 {
		t.Errorf("made twice: %d", code)
	}
	if code, text := w.ask("POST", "/api/v1/projects", `{"metadata":{"name":"x"},"spec":{"descripton":""}}`); code != 400 || !strings.Contains(text, "spec.descripton") {
		t.Errorf("%d %s", code, text)
	}
	w.make("a", map[string]string{function.ProjectLabel: "shop"})
	w.make("b", nil)
	all, err := w.client.Projects(t.Context())
	if err != nil || len(all) != 2 || all[0].Metadata.Name != "default" || all[0].Status.Functions != 1 || all[1].Status.Functions != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	if got := names(w.page("project=shop")); got != "a" {
		t.Errorf("in the project: %s", got)
	}
	if code, text := w.ask("DELETE", "/api/v1/projects/shop", ""); code != 409 || !strings.Contains(text, "in it are 1 functions: a") || !strings.Contains(text, `"path":"functions.a"`) {
		t.Errorf("%d %s", code, text)
	}
	if code, text := w.ask("DELETE", "/api/v1/projects/shop?cascade=true&resourceVersion=1", ""); code != 409 {
		t.Errorf("%d %s", code, text)
	}
	if code, text := w.ask("DELETE", "/api/v1/projects/shop?cascade=true", ""); code != 204 {
		t.Fatalf("%d %s", code, text)
	}
	if got := names(w.page("")); got != "b" {
		t.Errorf("left: %s", got)
	}
	if code, text := w.ask("DELETE", "/api/v1/projects/default", ""); code != 409 {
		t.Errorf("%d %s", code, text)
	}
}

const applyType = "application/vnd.myelin.apply+json"

// apply applies text to the function hello.
func (w *world) apply(query, text string) (api.AppliedFunction, int) {
	w.Helper()
	code, answer := w.ask("PATCH", "/api/v1/functions/hello?"+query, text, "Content-Type", applyType)
	var out api.AppliedFunction
	if err := json.Unmarshal([]byte(answer), &out); err != nil || code >= 500 {
		w.Fatalf("%d %s", code, answer)
	}
	return out, code
}

func changed(a api.AppliedFunction) string {
	var out []string
	for _, c := range a.Changes {
		out = append(out, fmt.Sprintf("%s:%v>%v", c.Path, c.From, c.To))
	}
	return strings.Join(out, " ")
}

// Fields that are declared are set, those that are not any more are removed,
// and those of others stay.
func TestApplyMergesThreeWays(t *testing.T) {
	w := newWorld(t)
	with := func(spec string) string {
		return `{"metadata":{"name":"hello"},"spec":{"handler":"m:h","runtime":"python"` + spec + `}}`
	}
	if a, code := w.apply("owner=shop&dryRun=true", with("")); code != 200 || a.Action != api.ActionCreate {
		t.Fatalf("%d %+v", code, a)
	}
	if code, _ := w.ask("GET", "/api/v1/functions/hello", ""); code != 404 {
		t.Fatalf("a dry run left something: %d", code)
	}
	first := with(`,"description":"one","env":[{"name":"A","value":"1"},{"name":"DB_PASSWORD","value":"hush1"}]`)
	if a, code := w.apply("owner=shop", first); code != 201 || a.Action != api.ActionCreate {
		t.Fatalf("%d %+v", code, a)
	}
	if a, _ := w.apply("owner=shop", first); a.Action != api.ActionNone || len(a.Changes) != 0 {
		t.Errorf("applied again: %s %s", a.Action, changed(a))
	}
	f, err := w.client.Function(t.Context(), "hello")
	if err != nil {
		t.Fatal(err)
	}
	f.Spec.Env = append(f.Spec.Env, function.EnvVar{Name: "B", Value: "theirs"})
	f.Spec.EventTimeout = 3e9
	if _, err := w.client.Put(t.Context(), f.Config); err != nil {
		t.Fatal(err)
	}
	second := with(`,"env":[{"name":"A","value":"2"},{"name":"DB_PASSWORD","value":"hush2"}],"disable":false`)
	a, _ := w.apply("owner=shop&dryRun=true", second)
	if got := changed(a); got != "spec.description:one><nil> spec.env[A].value:1>2 spec.env[DB_PASSWORD].value:***>***" {
		t.Errorf("would change %s", got)
	}
	if a, _ := w.apply("owner=shop", second); a.Action != api.ActionUpdate {
		t.Errorf("%+v", a)
	}
	stored, err := w.catalog.Get(t.Context(), catalog.Name{Namespace: "default", Name: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	s := stored.Spec
	if s.Description != "" || len(s.Env) != 3 || s.Env[0].Value != "2" || s.Env[1].Value != "hush2" || s.Env[2].Value != "theirs" || s.EventTimeout != 3e9 {
		t.Errorf("%+v", s)
	}
	if strings.Contains(stored.Metadata.Annotations[api.AppliedAnnotation], "hush") {
		t.Error("the note of what was applied has a secret in it")
	}
	if got := names(w.page("labelSelector=myelin.run/applied-by%3Dshop")); got != "hello" {
		t.Errorf("labelled: %s", got)
	}
	if _, code := w.apply("owner=other", first); code != 409 {
		t.Errorf("another set takes it over: %d", code)
	}
	if _, code := w.apply("", first); code != 409 {
		t.Errorf("no set takes it over: %d", code)
	}
	if _, code := w.apply("owner=other&force=true", first); code != 200 {
		t.Errorf("with force: %d", code)
	}
	if _, code := w.apply("owner=other", strings.Replace(first, `"spec"`, `"spce"`, 1)); code != 400 {
		t.Errorf("misspelt: %d", code)
	}
	if _, code := w.apply("owner=other", `{"metadata":{"name":"hello"},"spec":{"replicas":-1}}`); code != 422 {
		t.Errorf("wrong: %d", code)
	}
}

// An explicit false or 0 is a wish too.
func TestApplyDeclaresNothing(t *testing.T) {
	w := newWorld(t)
	f := w.make("hello", nil)
	f.Spec.Disable = true
	f.Spec.Description = "theirs"
	if _, err := w.client.Put(t.Context(), f.Config); err != nil {
		t.Fatal(err)
	}
	a, _ := w.apply("", `{"metadata":{"name":"hello"},"spec":{"disable":false}}`)
	if changed(a) != "spec.disable:true><nil>" || a.Object.Spec.Disable || a.Object.Spec.Description != "theirs" {
		t.Errorf("%s %+v", changed(a), a.Object.Spec)
	}
}

// Every kind is watched alike: with a selector, resumed, and kept alive.
func TestWatchOfEveryKind(t *testing.T) {
	w := newWorld(t)
	stop := errors.New("enough")
	var got []string
	last := ""
	see := func(n int) func(client.ObjectEvent) error {
		got = nil
		return func(e client.ObjectEvent) error {
			var o struct{ Metadata function.Metadata }
			if err := json.Unmarshal(e.Object, &o); err != nil {
				return err
			}
			got = append(got, e.Kind+" "+o.Metadata.Name)
			last = e.Revision
			if len(got) == n {
				return stop
			}
			return nil
		}
	}
	if err := w.client.WatchObjects(t.Context(), "projects", "", client.Selection{}, see(2)); !errors.Is(err, stop) || fmt.Sprint(got) != "[put default synced ]" {
		t.Fatalf("%v, %v", got, err)
	}
	for _, name := range []string{"shop", "bank"} {
		if _, err := w.client.PutProject(t.Context(), function.Project{Metadata: function.Metadata{Name: name, Labels: map[string]string{"of": name}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.client.WatchObjects(t.Context(), "projects", last, client.Selection{}, see(3)); !errors.Is(err, stop) || fmt.Sprint(got) != "[synced  put shop put bank]" {
		t.Errorf("%v, %v", got, err)
	}
	w.make("mine", map[string]string{"team": "core"})
	w.make("other", nil)
	watched := make(chan error, 1)
	events := make(chan string, 10)
	go func() {
		watched <- w.client.WatchObjects(t.Context(), "functions", "", client.Selection{Labels: "team=core"}, func(e client.ObjectEvent) error {
			events <- e.Kind
			if e.Kind == api.EventDelete {
				return stop
			}
			return nil
		})
	}()
	if a, b := <-events, <-events; a != api.EventPut || b != api.EventSynced {
		t.Fatalf("%s %s", a, b)
	}
	w.make("other", map[string]string{"x": "y"}) // in nobody's way
	w.make("mine", nil)                          // gone for this watch
	if kind := <-events; kind != api.EventDelete {
		t.Errorf("got %s", kind)
	}
	if err := <-watched; !errors.Is(err, stop) {
		t.Error(err)
	}
}

// Of a thing that changes often a watch hears less often, but always how it ended,
// and what it heard last is where to go on.
func TestWatchOfManyChanges(t *testing.T) {
	const writes = 300
	w := newWorld(t)
	w.make("busy", nil)
	stop := errors.New("enough")
	last, heard, synced := "", 0, make(chan struct{})
	watched := make(chan error, 1)
	go func() {
		watched <- w.client.WatchObjects(t.Context(), "functions", "", client.Selection{}, func(e client.ObjectEvent) error {
			if e.Kind == api.EventSynced {
				close(synced)
				return nil
			}
			var o struct{ Metadata function.Metadata }
			if err := json.Unmarshal(e.Object, &o); err != nil {
				return err
			}
			heard, last = heard+1, e.Revision
			if o.Metadata.Labels["n"] == fmt.Sprint(writes) && o.Metadata.ResourceVersion != "" {
				return stop
			}
			return nil
		})
	}()
	<-synced
	began := time.Now()
	for n := range writes {
		w.make("busy", map[string]string{"n": fmt.Sprint(n + 1)})
	}
	if err := <-watched; !errors.Is(err, stop) {
		t.Fatal(err)
	}
	// Twenty a second at once, and twenty pieces a second.
	took := time.Since(began)
	if most := 20*int(took/time.Second+2) + int(took/(50*time.Millisecond)) + 2; heard > most {
		t.Errorf("heard %d times of %d changes in %v, want %d at most", heard, writes, took, most)
	}
	w.make("next", nil)
	var names []string
	err := w.client.WatchObjects(t.Context(), "functions", last, client.Selection{}, func(e client.ObjectEvent) error {
		if e.Kind == api.EventSynced {
			return nil
		}
		var o struct{ Metadata function.Metadata }
		if err := json.Unmarshal(e.Object, &o); err != nil {
			return err
		}
		names = append(names, o.Metadata.Name)
		return stop
	})
	if !errors.Is(err, stop) || fmt.Sprint(names) != "[next]" {
		t.Errorf("%v, %v", names, err)
	}
}

func TestRevealIsAskedFor(t *testing.T) {
	w := newWorld(t)
	cfg := function.Config{Metadata: function.Metadata{Name: "f"}}
	cfg.Spec.Handler, cfg.Spec.Runtime = "main:handler", "python"
	cfg.Spec.Triggers = map[string]function.Trigger{"q": {Kind: "rabbit-mq", Password: "hush"}}
	if _, err := w.client.Put(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for query, shown := range map[string]bool{"": false, "?reveal=false": false, "?reveal=true": true} {
		for _, path := range []string{"/f", ""} {
			if _, text := w.ask("GET", "/api/v1/functions"+path+query, ""); strings.Contains(text, "hush") != shown {
				t.Errorf("%s%s: %s", path, query, text)
			}
		}
	}
}
