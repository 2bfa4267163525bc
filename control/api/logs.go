package api

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
)

// logs streams a log of a function as text: ?which=function|processor,
// ?tail=lines (all without), ?follow=true, ?version= for one that was published.
func (s *server) logs(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.find(r); err != nil {
		return err
	}
	of, err := meant(r)
	if err != nil {
		return err
	}
	if s.o.Logs == nil {
		return problem.New(http.StatusNotImplemented, "this platform keeps no logs")
	}
	q := r.URL.Query()
	which := platform.LogKind(cmp.Or(q.Get("which"), string(platform.FunctionLog)))
	if which != platform.FunctionLog && which != platform.ProcessorLog {
		return problem.New(http.StatusBadRequest, fmt.Sprintf("which=%s: want function or processor", which))
	}
	tail := -1
	if text := q.Get("tail"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return problem.New(http.StatusBadRequest, fmt.Sprintf("tail=%s: want a number of lines", text))
		}
		tail = n
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out := flushing{w, http.NewResponseController(w)}
	if err := out.c.Flush(); err != nil { // a follower hears at once that there is a log
		return nil //nolint:nilerr // the client has gone
	}
	if err := s.o.Logs.Logs(r.Context(), of.String(), which, tail, q.Get("follow") == "true", out); err != nil && r.Context().Err() == nil {
		s.o.Log.Warn("stream log", "function", of.String(), "error", err)
	}
	return nil
}

// flushing sends on what it is given at once.
type flushing struct {
	w io.Writer
	c *http.ResponseController
}

func (f flushing) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	if err == nil {
		err = f.c.Flush()
	}
	return n, err
}

// invoke passes a request on to a function, also one that the gateway does not
// know because it is in another namespace.
func (s *server) invoke(w http.ResponseWriter, r *http.Request) error {
	f, err := s.find(r)
	if err != nil {
		return err
	}
	if version := r.Header.Get(versionHeader); version != "" {
		if f.Status, err = s.versionStatus(r, version); err != nil {
			return err
		}
	}
	if f.Status.Address == "" || len(f.Status.Replicas) == 0 && f.Status.State != function.Asleep {
		return problem.New(http.StatusBadGateway, strings.TrimSuffix(fmt.Sprintf("function %q has nothing that answers, it is %s: %s", f.Metadata.Name, f.Status.State, f.Status.Message), ": "))
	}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL = &url.URL{Scheme: "http", Host: f.Status.Address, Path: "/" + r.PathValue("path"), RawQuery: invokeQuery(r)}
			p.Out.Host = f.Status.Address
			p.Out.Header.Del(versionHeader)
			p.SetXForwarded()
		},
		ModifyResponse: func(answer *http.Response) error {
			// The dashboard is served from here as well: a page that a function
			// answers with is of no origin, and so cannot do what the dashboard may.
			answer.Header.Add("Content-Security-Policy", "sandbox")
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				problem.New(http.StatusBadGateway, fmt.Sprintf("function %q did not answer: %v", f.Metadata.Name, err)).Write(w)
			}
		},
		Transport: s.once,
	}
	proxy.ServeHTTP(w, r)
	return nil
}

// versionHeader of an invocation names what shall run it: a version, $latest, or
// an alias, which deals.
const versionHeader = "X-Myelin-Version"

// versionStatus is how the version is that is to run a request.
func (s *server) versionStatus(r *http.Request, version string) (out function.Status, err error) {
	d, err := s.redriver(r.Context(), name(r), ":"+version, rand.Text())
	if err != nil {
		return out, err
	}
	if d.Version == 0 {
		f, err := s.find(r)
		return f.Status, err
	}
	v, err := s.o.Catalog.Version(r.Context(), d)
	if err != nil {
		return out, noVersion(d, err)
	}
	if v.Status.Address == "" {
		return out, problem.New(http.StatusBadGateway, fmt.Sprintf("version %d of %q does not run%s", d.Version, d.Name.Name, hintOf(d)))
	}
	return v.Status.Status, nil
}

// invokeQuery is the query without what was for this API.
func invokeQuery(r *http.Request) string {
	q := r.URL.Query()
	if !q.Has("namespace") {
		return r.URL.RawQuery
	}
	q.Del("namespace")
	return q.Encode()
}
