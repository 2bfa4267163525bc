package http

import "github.com/valyala/fasthttp"

// pathOf is ctx.Path(), which parses the whole URI and copies it, without
// either for the URIs of most requests.
func pathOf(ctx *fasthttp.RequestCtx) []byte {
	uri := ctx.Request.Header.RequestURI()
	if n := plainPath(uri); n > 0 {
		return uri[:n:n]
	}
	return ctx.Path()
}

// plainPath is the length of the path that uri begins with, if that is to be
// taken as it stands: it has no escapes, and nothing that fasthttp would take
// away. It is 0 otherwise.
func plainPath(uri []byte) (n int) {
	if len(uri) == 0 || uri[0] != '/' {
		return 0
	}
	for i, b := range uri {
		switch {
		case b < ' ', b == 0x7f:
			return 0
		case n > 0: // the query
		case b == '?':
			n = i
		case b == '%', b == '#', i > 0 && uri[i-1] == '/' && (b == '/' || b == '.'):
			return 0
		}
	}
	if n == 0 {
		n = len(uri)
	}
	return n
}
