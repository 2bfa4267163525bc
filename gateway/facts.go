package gateway

import (
	"bytes"
	"net/url"
	"path"
	"strings"
	"unsafe"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/gateway/front"
)

// values looks up what a call carries.
type values front.Call

// Value implements [route.Values].
func (v *values) Value(from route.Source, name string) (string, bool) {
	c := (*front.Call)(v)
	switch from {
	case route.Header:
		got := c.Req.Fields.Get(name)
		return string(got), got != nil
	case route.Cookie:
		return cookie(c, name)
	case route.Query:
		return query(c.Req.Target, name)
	case route.Claim:
		if c.Note.Claims == nil {
			return "", false
		}
		return c.Note.Claims(name)
	}
	return "", false
}

// cookie finds a cookie in all Cookie headers.
func cookie(c *front.Call, name string) (string, bool) {
	for i := range c.Req.Fields {
		f := &c.Req.Fields[i]
		if len(f.Name) != 6 || !f.Is("cookie") {
			continue
		}
		for part := range bytes.SplitSeq(f.Value, []byte(";")) {
			key, value, ok := bytes.Cut(bytes.TrimSpace(part), []byte("="))
			if ok && string(key) == name {
				return strings.Trim(string(value), `"`), true
			}
		}
	}
	return "", false
}

func query(target []byte, name string) (string, bool) {
	i := bytes.IndexByte(target, '?')
	if i < 0 {
		return "", false
	}
	for part := range bytes.SplitSeq(target[i+1:], []byte("&")) {
		key, value, _ := bytes.Cut(part, []byte("="))
		if k, err := url.QueryUnescape(string(key)); err != nil || k != name {
			continue
		}
		if v, err := url.QueryUnescape(string(value)); err == nil {
			return v, true
		}
	}
	return "", false
}

// view is b as a string that lives as long as the call.
func view(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return unsafe.String(&b[0], len(b))
}

func factsOf(c *front.Call) route.Facts {
	return route.Facts{Host: bareHost(view(c.Req.Host)), Method: view(c.Req.Method), Path: canonical(view(c.Req.Path())), Values: (*values)(c)}
}

// bareHost is a Host without its port.
func bareHost(h string) string {
	if i := strings.LastIndexByte(h, ':'); i > strings.LastIndexByte(h, ']') {
		h = h[:i]
	}
	return strings.TrimSuffix(h, ".")
}

// canonical is a path as a function's own server understands it, escaped again:
// without dots and doubled slashes, so that no other way of writing a path
// leads round the policies of its route.
func canonical(p string) string {
	if !strings.Contains(p, "//") && !strings.Contains(p, "/.") && !strings.ContainsAny(p, `%\`) {
		return p
	}
	plain, err := url.PathUnescape(p)
	if err != nil {
		plain = p
	}
	clean := path.Clean("/" + plain)
	if strings.HasSuffix(plain, "/") && clean != "/" {
		clean += "/"
	}
	return strings.ReplaceAll(clean, "%", "%25")
}
