package s3_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
)

// careless stands before a service and takes conditions away, as services do that
// do not know them.
func careless(t *testing.T, target *url.URL) (addr string) {
	t.Helper()
	p := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
		r.Out.Host = r.In.Host
		r.Out.Header.Del("If-Match")
		r.Out.Header.Del("If-None-Match")
	}}
	s := httptest.NewServer(http.HandlerFunc(p.ServeHTTP))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}
