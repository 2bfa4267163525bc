package kinesis

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// edge stands before a service and answers in its place what it is told to: errors
// that the service of the tests does not have.
type edge struct {
	addr string

	mu    sync.Mutex
	rules map[string]rule // by action, or of all
	calls map[string]int  // that were answered, of each action
}

// rule is what an action is answered with.
type rule struct {
	status int
	code   string
	left   int    // how often still; below 0: always
	having string // in the request
}

func newEdge(t testing.TB, addr string) *edge {
	t.Helper()
	e := &edge{rules: map[string]rule{}, calls: map[string]int{}}
	to := &url.URL{Scheme: "http", Host: addr}
	through := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport:    &http.Transport{MaxIdleConnsPerHost: 32},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) },
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		defer e.count(action)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if x, is := e.meets(action, string(body)); is {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.WriteHeader(x.status)
			fmt.Fprintf(w, `{"__type": %q, "message": "said by the test"}`, x.code)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		through.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { through.Transport.(*http.Transport).CloseIdleConnections() })
	e.addr = strings.TrimPrefix(s.URL, "http://")
	return e
}

func (e *edge) meets(action, body string) (rule, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, name := range []string{action, ""} {
		if x, is := e.rules[name]; is && x.left != 0 && strings.Contains(body, x.having) {
			x.left--
			e.rules[name] = x
			return x, true
		}
	}
	return rule{}, false
}

// refuse answers an action, or all, with an error; status 0: no more.
func (e *edge) refuse(action string, status int, code string) {
	e.rule(action, rule{status: status, code: code, left: -1})
}

func (e *edge) rule(action string, x rule) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if x.status == 0 {
		x.left = 0
	}
	e.rules[action] = x
}

func (e *edge) count(action string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls[action]++
}

// called is how often an action was answered.
func (e *edge) called(action string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls[action]
}
