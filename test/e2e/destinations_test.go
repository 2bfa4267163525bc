package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/processor/logs"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/trigger/queue"
	"github.com/myelin-run/myelin/trigger/triggertest"
	"github.com/myelin-run/myelin/trigger/triggertest/memory"
)

// heard are the letters that somebody got.
type heard struct {
	mu   sync.Mutex
	said []string
}

func (h *heard) add(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.said = append(h.said, fmt.Sprintf(format, args...))
}

func (h *heard) has(t *testing.T, what string) {
	t.Helper()
	eventually(t, what, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return strings.Contains(strings.Join(h.said, "\n")+"\n", what+"\n")
	})
}

// goProcessor runs a function in Go with the triggers of spec.
func goProcessor(t *testing.T, name, spec string, b triggertest.Broker, functions map[string]string, f native.Function) (url, dir string) {
	t.Helper()
	dir = t.TempDir()
	l, err := function.Parse("function.yaml", []byte("metadata: {name: "+name+"}\nspec:\n  runtime: golang\n"+spec))
	if err != nil {
		t.Fatal(err)
	}
	function.Defaults(&l.Config)
	url, _ = inProcess(t, processor.Config{Function: l.Config, Dir: dir, Scratch: filepath.Join(dir, "s"), Admin: processor.Admin{Listen: "none"},
		Letters: processor.Letters{Dir: filepath.Join(dir, "letters")}, Functions: functions, Logs: processor.Logs{Processor: logs.Sink{File: filepath.Join(dir, "processor.log")}}}, b, f)
	return url, dir
}

// What fails goes to a function, once that is there, and the answers of what
// does not to an HTTP server. A letter that the function breaks on, or refuses,
// goes to the dead letters, and holds up nobody.
func TestLettersGoToFunctionsAndServers(t *testing.T) {
	var failed, done heard
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		done.add("%s %s %s", r.Header.Get("myelin-reason"), r.Header.Get("myelin-status"), b)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer server.Close()
	undertaker := native.Of(func(_ *myelin.Context, ev *myelin.Event) (any, error) {
		switch body := string(ev.Body); body {
		case "bad break":
			return nil, errors.New("broken too")
		case "bad refuse":
			return nil, event.Errorf(http.StatusUnprocessableEntity, "no")
		default:
			failed.add("%s %s %s %s: %s", ev.Header("myelin-reason"), ev.Header("myelin-attempts"), ev.Header("myelin-trigger"), body, ev.Header("myelin-error"))
			return "buried", nil
		}
	}, nil)
	orders := native.Of(func(_ *myelin.Context, ev *myelin.Event) (any, error) {
		if strings.HasPrefix(string(ev.Body), "bad") {
			return nil, fmt.Errorf("cannot do %s", ev.Body)
		}
		return "did " + string(ev.Body), nil
	}, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0") // where the function will be
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httptest.Server{Listener: ln}
	var later sync.Map
	proxy.Config = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		url, there := later.Load("url")
		if !there {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		req, _ := http.NewRequestWithContext(r.Context(), r.Method, url.(string), r.Body)
		req.Header = r.Header.Clone()
		resp, err := fresh.Do(req)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	})}
	proxy.Start()
	defer proxy.Close()
	q := memory.NewQueue(queue.Options{Requeues: true})
	_, dir := goProcessor(t, "orders", fmt.Sprintf(`
  triggers:
    in:
      kind: memory
      retry: {attempts: 2, backoff: {initial: 1ms}}
      onFailure: {kind: function, function: undertaker}
      onSuccess: {kind: http, url: "%s/done?token=s3cret", timeout: 10s}
`, server.URL), q, map[string]string{"undertaker": proxy.URL}, orders)
	q.Produce(t, triggertest.Record{Body: "good"}, triggertest.Record{Body: "bad one"})
	done.has(t, "success 200 did good")
	url, _ := goProcessor(t, "undertaker", "", memory.NewQueue(queue.Options{}), nil, undertaker)
	later.Store("url", url)
	failed.has(t, "attempts 2 in bad one: cannot do bad one")
	q.Produce(t, triggertest.Record{Body: "bad break"}, triggertest.Record{Body: "bad refuse"}, triggertest.Record{Body: "bad two"})
	failed.has(t, "attempts 2 in bad two: cannot do bad two")
	for _, body := range []string{"bad break", "bad refuse"} {
		eventually(t, body+" is a dead letter", func() bool { return strings.Contains(lettersIn(dir), `"body":"`+body+`"`) })
	}
	if text := lettersIn(dir); strings.Contains(text, `"bad two"`) || !strings.Contains(text, "cannot do bad break; then: ") || !strings.Contains(text, "status 422") {
		t.Errorf("dead letters:\n%s", text)
	}
	log, err := os.ReadFile(filepath.Join(dir, "processor.log"))
	if err != nil || strings.Contains(string(log), "s3cret") {
		t.Errorf("%v; the log tells a secret:\n%s", err, log)
	}
}

func lettersIn(dir string) string {
	var all strings.Builder
	_ = filepath.WalkDir(filepath.Join(dir, "letters"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, _ := os.ReadFile(path)
			all.Write(b)
		}
		return nil
	})
	return all.String()
}
