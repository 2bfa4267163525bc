package http

import (
	"math/rand/v2"
	"testing"

	"github.com/valyala/fasthttp"
)

// The short way to a path and fasthttp's own agree, whatever the URI.
func TestPathIsFasthttps(t *testing.T) {
	uris := []string{"", "/", "*", "/a", "/a/b.c", "/a/.b", "/a/../b", "/a/./b", "/..", "/.", "//a", "/a//b", "/a%20b", "/a+b", "/a?b", "/?", "?a", "/a?b/../c",
		"/a?u=http://b/c", "/a#b", "/a?b#c", "/a#b?c", "http://h/a", "http://h", "h:1", "/a:b", "/a;b", "/a\\b", "/\xff", "/a?b%20c"}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		b := []byte("/")
		for range r.IntN(8) {
			b = append(b, "/.?#%2:ab\x01"[r.IntN(10)])
		}
		uris = append(uris, string(b))
	}
	short := 0
	for _, uri := range uris {
		ctx := &fasthttp.RequestCtx{}
		ctx.Request.Header.SetRequestURI(uri)
		ctx.Request.Header.SetHost("host")
		if plainPath(ctx.Request.Header.RequestURI()) > 0 {
			short++
		}
		if got, want := string(pathOf(ctx)), string(ctx.Path()); got != want {
			t.Errorf("URI %q: path %q, want %q", uri, got, want)
		}
	}
	if short < 100 {
		t.Errorf("only %d URIs went the short way", short)
	}
}
