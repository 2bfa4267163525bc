package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/api/openapi/conform"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

// builder answers as the archive says.
type builder struct{}

func (builder) Build(_ context.Context, cfg function.Config, src api.SourceRef, log io.Writer) (build.Artefact, error) {
	text, err := os.ReadFile(src.Archive)
	if err != nil {
		return build.Artefact{}, err
	}
	fmt.Fprint(log, "first line\nsecond")
	if string(text) == "bad" {
		return build.Artefact{}, &build.Error{File: "main.py", Line: 3, Text: "def f(", Msg: "syntax error"}
	}
	return build.Artefact{Digest: "d1", Config: cfg, Runtime: string(text)}, nil
}

type world struct {
	*testing.T
	catalog *catalog.Catalog
	client  *client.Client
	url     string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c := catalog.New(s)
	h := api.New(api.Options{Catalog: c, Builder: builder{}, Temp: t.TempDir(), Version: "1.2", Heartbeat: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	srv := httptest.NewServer(conform.New(t).Handler(t, h))
	t.Cleanup(srv.Close)
	return &world{t, c, client.New(srv.URL, "", nil), srv.URL}
}

// ask sends text and returns the status and the answer.
func (w *world) ask(method, path, text string, header ...string) (int, string) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, w.url+path, strings.NewReader(text))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

const hello = `{"metadata":{"name":"hello"},"spec":{"handler":"main:handler","runtime":"python"}}`

func TestWrongRequestsAreTold(t *testing.T) {
	w := newWorld(t)
	if code, text := w.ask("POST", "/api/v1/functions", hello); code != 201 {
		t.Fatalf("%d %s", code, text)
	}
	for name, c := range map[string]struct {
		method, path, body string
		header             []string
		code               int
		want               string
	}{
		"unknown field":     {"POST", "/api/v1/functions", `{"metadata":{"name":"x"},"spec":{"handlr":"a"}}`, nil, 400, "handler"},
		"not JSON":          {"POST", "/api/v1/functions", `{`, nil, 400, ""},
		"bad name":          {"POST", "/api/v1/functions", `{"metadata":{"name":"No Good"},"spec":{"handler":"a:b","runtime":"python"}}`, nil, 422, "metadata.name"},
		"exists":            {"POST", "/api/v1/functions", hello, nil, 409, "exists already"},
		"old version":       {"PUT", "/api/v1/functions/hello", strings.Replace(hello, `"hello"`, `"hello","resourceVersion":"1"`, 1), nil, 409, "changed by somebody else"},
		"another name":      {"PUT", "/api/v1/functions/other", hello, nil, 422, "not renamed"},
		"not there":         {"GET", "/api/v1/functions/helo", "", nil, 404, `did you mean \"hello\"?`},
		"delete not there":  {"DELETE", "/api/v1/functions/nothing", "", nil, 404, "unknown function"},
		"no such path":      {"GET", "/api/v1/funktions", "", nil, 404, "there is nothing at"},
		"form":              {"POST", "/api/v1/functions", hello, []string{"Content-Type", "text/plain"}, 415, "application/json"},
		"foreign page":      {"POST", "/api/v1/functions", hello, []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		"foreign name":      {"GET", "/api/v1/functions", "", []string{"Host", "evil.example"}, 403, "evil.example"},
		"too large":         {"POST", "/api/v1/functions", `{"metadata":{"name":"` + strings.Repeat("x", 2<<20) + `"}}`, nil, 413, ""},
		"bad tail":          {"GET", "/api/v1/functions/hello/logs?tail=x", "", nil, 501, ""},
		"invoke nothing":    {"GET", "/api/v1/functions/hello/invoke", "", nil, 502, "waitingForBuild"},
		"invoke latest":     {"GET", "/api/v1/functions/hello/invoke", "", []string{"X-Myelin-Version", "$latest"}, 502, "waitingForBuild"},
		"invoke version":    {"GET", "/api/v1/functions/hello/invoke", "", []string{"X-Myelin-Version", "7"}, 404, "no version 7"},
		"invoke alias":      {"GET", "/api/v1/functions/hello/invoke", "", []string{"X-Myelin-Version", "prod"}, 404, `no version or alias \"prod\"`},
		"bad revision":      {"GET", "/api/v1/functions?watch=true&resourceVersion=x", "", nil, 400, "not a number"},
		"namespaces":        {"POST", "/api/v1/functions?namespace=a", `{"metadata":{"name":"x","namespace":"b"}}`, nil, 422, "metadata.namespace"},
		"unknown parameter": {"GET", "/api/v1/functions?limt=5", "", nil, 400, `did you mean \"limit\"?`},
		"parameter twice":   {"GET", "/api/v1/functions?limit=5&limit=6", "", nil, 400, "2 times"},
		"no such namespace": {"GET", "/api/v1/functions?namespace=A%2FB", "", nil, 400, "query.namespace"},
		"all namespaces":    {"GET", "/api/v1/functions/hello?namespace=*", "", nil, 400, "one namespace"},
		"bad limit":         {"GET", "/api/v1/functions?limit=0", "", nil, 400, "1 to 1000"},
		"bad continue":      {"GET", "/api/v1/functions?continue=x", "", nil, 400, "query.continue"},
		"bad selector":      {"GET", "/api/v1/functions?fieldSelector=spec.runtim=go", "", nil, 400, "did you mean"},
		"bad label":         {"GET", "/api/v1/functions?labelSelector==x", "", nil, 400, "query.labelSelector"},
		"bad watch":         {"GET", "/api/v1/functions?watch=1", "", nil, 400, "true or false"},
		"wrong method":      {"PUT", "/api/v1/functions", "", nil, 405, "allowed: GET, HEAD, POST"},
		"odd path":          {"GET", "/api/v1//functions", "", nil, 404, "there is nothing at"},
		"dots":              {"GET", "/api/v1/functions/a%2Fx", "", nil, 404, "nothing can have the name"},
		"a list":            {"POST", "/api/v1/functions", "[]", nil, 400, "JSON object"},
		"YAML":              {"POST", "/api/v1/functions", "metadata: {name: x}", nil, 400, "JSON object"},
		"no project":        {"POST", "/api/v1/functions", `{"metadata":{"name":"x","labels":{"nuclio.io/project-name":"defualt"}},"spec":{"handler":"a:b","runtime":"python"}}`, nil, 422, `did you mean \"default\"?`},
		"older, by header":  {"PUT", "/api/v1/functions/hello", hello, []string{"If-Match", `"1"`}, 412, "changed by somebody else"},
		"there, by header":  {"PUT", "/api/v1/functions/hello", hello, []string{"If-None-Match", "*"}, 412, "exists already"},
		"not there, header": {"PUT", "/api/v1/functions/other", strings.Replace(hello, "hello", "other", 1), []string{"If-Match", "*"}, 412, "there is no function"},
		"no ETag":           {"PUT", "/api/v1/functions/hello", hello, []string{"If-Match", "1"}, 400, "If-Match"},
		"two versions":      {"PUT", "/api/v1/functions/hello?resourceVersion=5", hello, []string{"If-Match", `"1"`}, 400, "say one"},
		"no version":        {"PUT", "/api/v1/functions/hello?resourceVersion=x", hello, nil, 422, "not a number"},
	} {
		code, text := w.ask(c.method, c.path, c.body, c.header...)
		if code != c.code || !strings.Contains(text, c.want) {
			t.Errorf("%s: %d %s, want %d with %s", name, code, text, c.code, c.want)
		}
		var p problem.Problem
		if c.want != "" && (json.Unmarshal([]byte(text), &p) != nil || p.Status != code || p.Detail == "") {
			t.Errorf("%s: not a problem: %s", name, text)
		}
	}
}

func TestSecretsAreKeptAndNotShown(t *testing.T) {
	w := newWorld(t)
	cfg := function.Config{Metadata: function.Metadata{Name: "f"}}
	cfg.Spec.Handler, cfg.Spec.Runtime = "main:handler", "python"
	cfg.Spec.Env = []function.EnvVar{{Name: "PLAIN", Value: "seen"}, {Name: "DB_PASSWORD", Value: "hush1"}}
	cfg.Spec.Triggers = map[string]function.Trigger{"q": {
		Kind: "rabbit-mq", URL: "amqp://me:hush2@host:1/", Password: "hush3",
		Attributes: json.RawMessage(`{"exchangeName":"e","queueName":"q","sasl":{"password":"hush4"}}`),
	}}
	if _, err := w.client.Create(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	shown, err := w.client.Function(t.Context(), "f")
	if err != nil {
		t.Fatal(err)
	}
	_, text := w.ask("GET", "/api/v1/functions/f", "")
	if strings.Contains(text, "hush") || !strings.Contains(text, "seen") || !strings.Contains(text, "amqp://me:***@host:1/") {
		t.Errorf("shown: %s", text)
	}
	shown.Spec.Env[0].Value = "changed"
	text2, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	if code, text := w.ask("PUT", "/api/v1/functions/f", string(text2)); code != 200 || strings.Contains(text, "hush") {
		t.Fatalf("%d %s", code, text)
	}
	f, err := w.catalog.Get(t.Context(), catalog.Name{Namespace: "default", Name: "f"})
	if err != nil {
		t.Fatal(err)
	}
	q := f.Spec.Triggers["q"]
	if f.Spec.Env[0].Value != "changed" || f.Spec.Env[1].Value != "hush1" || q.URL != "amqp://me:hush2@host:1/" || q.Password != quantity.Secret("hush3") || !strings.Contains(string(q.Attributes), "hush4") {
		t.Errorf("kept: %+v, password %q", f.Spec, q.Password.Reveal())
	}
}

func TestFullDiskIsAnAnswer(t *testing.T) {
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir(), Reserve: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := api.New(api.Options{Catalog: catalog.New(full{s}), Log: slog.New(slog.DiscardHandler)})
	r := httptest.NewRequest("POST", "http://127.0.0.1/api/v1/functions", strings.NewReader(hello))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusInsufficientStorage {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// full is a store on a full disk.
type full struct{ store.Store }

func (full) Commit(context.Context, ...store.Op) (store.Revision, error) {
	return 0, fmt.Errorf("commit: %w", store.ErrFull)
}

func TestOptimisticConcurrency(t *testing.T) {
	w := newWorld(t)
	cfg := function.Config{Metadata: function.Metadata{Name: "f"}}
	cfg.Spec.Handler, cfg.Spec.Runtime = "main:handler", "python"
	first, err := w.client.Create(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Create(t.Context(), cfg); !client.Conflict(err) {
		t.Errorf("second create: %v", err)
	}
	// A status that changes is in nobody's way.
	if err := w.catalog.SetStatus(t.Context(), catalog.Name{Namespace: "default", Name: "f"}, function.Status{State: function.Ready}); err != nil {
		t.Fatal(err)
	}
	second, err := w.client.Put(t.Context(), first.Config)
	if err != nil || second.Status.State != function.Ready {
		t.Fatalf("%+v, %v", second.Status, err)
	}
	if _, err := w.client.Put(t.Context(), first.Config); !client.Conflict(err) {
		t.Errorf("put over another's change: %v", err)
	}
	if err := w.client.Delete(t.Context(), "f"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Function(t.Context(), "f"); !client.NotFound(err) {
		t.Errorf("got %v", err)
	}
}

func TestBuildStreamsItsLog(t *testing.T) {
	w := newWorld(t)
	cfg := function.Config{Metadata: function.Metadata{Name: "f"}}
	var log bytes.Buffer
	a, err := w.client.Build(t.Context(), cfg, strings.NewReader("content"), &log)
	if err != nil || a.Digest != "d1" || a.Runtime != "content" || a.Config.Metadata.Name != "f" {
		t.Errorf("%+v, %v", a, err)
	}
	if log.String() != "first line\nsecond\n" {
		t.Errorf("log %q", log.String())
	}
	_, err = w.client.Build(t.Context(), cfg, strings.NewReader("bad"), &log)
	var p *problem.Problem
	if !errors.As(err, &p) || p.Status != 422 || p.Errors[0].Line != 3 || p.Errors[0].File != "main.py" || p.Errors[0].Text != "def f(" {
		t.Errorf("got %#v", err)
	}
	if code, text := w.ask("POST", "/api/v1/builds", "x"); code != 415 {
		t.Errorf("%d %s", code, text)
	}
}

func TestWatchResumes(t *testing.T) {
	w := newWorld(t)
	cfg := function.Config{Metadata: function.Metadata{Name: "a"}}
	cfg.Spec.Handler, cfg.Spec.Runtime = "main:handler", "python"
	if _, err := w.client.Create(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("enough")
	var got []string
	last := ""
	see := func(n int) func(client.Event) error {
		got = nil
		return func(e client.Event) error {
			got = append(got, e.Kind+" "+e.Function.Metadata.Name)
			last = e.Revision
			if len(got) == n {
				return stop
			}
			return nil
		}
	}
	if err := w.client.Watch(t.Context(), "", see(2)); !errors.Is(err, stop) || fmt.Sprint(got) != "[put a synced ]" {
		t.Fatalf("%v, %v", got, err)
	}
	cfg.Metadata.Name = "b"
	if _, err := w.client.Create(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := w.client.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := w.client.Watch(t.Context(), last, see(3)); !errors.Is(err, stop) || fmt.Sprint(got) != "[synced  put b delete a]" {
		t.Errorf("%v, %v", got, err)
	}
}
