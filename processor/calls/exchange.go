package calls

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// exchange is one request and its response.
type exchange struct {
	req  *fasthttp.Request
	resp *fasthttp.Response
	safe bool // may be sent again if nothing was answered
}

// exchange makes the request of a call; its body stays where it is.
func (c *Client) exchange(to place, call *runtime.Call) (*exchange, error) {
	method, path := call.Method, call.Path
	if method == "" {
		if method = "GET"; len(call.Body) > 0 {
			method = "POST"
		}
	}
	if path == "" || path[0] != '/' {
		path = "/" + path
	}
	switch {
	case !isToken(method):
		return nil, fmt.Errorf("method %q is none", method)
	case !isTarget(path):
		return nil, fmt.Errorf("path %q has characters that must be escaped", path)
	}
	x := &exchange{req: fasthttp.AcquireRequest(), resp: fasthttp.AcquireResponse()}
	h := &x.req.Header
	h.DisableNormalizing()
	h.SetNoDefaultContentType(true)
	h.SetMethod(method)
	if strings.HasPrefix(to.host, "unix:") {
		h.SetHost("localhost")
	} else {
		h.SetHost(to.host)
	}
	x.req.Header.SetRequestURI(to.path + path)
	x.req.UseHostHeader = true
	if err := c.headers(h, call); err != nil {
		x.free()
		return nil, err
	}
	if call.ContentType != "" {
		h.SetContentType(call.ContentType)
	}
	x.req.SetBodyRaw(call.Body)
	x.resp.SkipBody = method == "HEAD"
	x.safe = method == "GET" || method == "HEAD" || method == "OPTIONS"
	return x, nil
}

// headers passes on what the function gave, but for what is the connection's
// business, and the trace.
func (c *Client) headers(h *fasthttp.RequestHeader, call *runtime.Call) error {
	var parent, id string
	for _, f := range call.Headers {
		switch key := strings.ToLower(f.Key); key {
		case "traceparent":
			parent = f.Value
			continue
		case "x-request-id":
			id = f.Value
		case "content-type":
			if call.ContentType != "" {
				continue
			}
		case "host", "connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "te", "trailer", "expect",
			"proxy-connection", "x-nuclio-target", strings.ToLower(RefusedHeader):
			continue
		}
		if !isToken(f.Key) || strings.ContainsAny(f.Value, "\r\n\x00") {
			return fmt.Errorf("header %q cannot be sent", f.Key)
		}
		h.Add(f.Key, f.Value)
	}
	h.Set("traceparent", c.next(parent, id))
	return nil
}

func (x *exchange) free() {
	fasthttp.ReleaseRequest(x.req)
	fasthttp.ReleaseResponse(x.resp)
}

// answer gives the response away; x keeps nothing of it.
func (x *exchange) answer(a *event.Response) {
	a.Status = x.resp.StatusCode()
	a.ContentType = string(x.resp.Header.ContentType())
	for k, v := range x.resp.Header.All() {
		switch strings.ToLower(string(k)) {
		case "content-type", "content-length", "connection", "transfer-encoding", "keep-alive":
			continue
		}
		a.Header = append(a.Header, event.Field{Key: string(k), Value: string(v)})
	}
	a.Body = x.resp.SwapBody(nil)
}

// refused is the error of a call that reached a gateway and no function.
func refused(name string, status int, body []byte) error {
	var p struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(body, &p) != nil || p.Detail == "" {
		p.Detail = "the gateway refuses it"
	}
	if status == fasthttp.StatusNotFound {
		return event.Errorf(status, "function %q is not known here: %s", name, p.Detail)
	}
	return event.Errorf(status, "call function %s: %s", name, p.Detail)
}

// isToken reports whether s may be a method or the name of a header.
func isToken(s string) bool {
	for i := range len(s) {
		b := s[i]
		if b <= ' ' || b > '~' || strings.IndexByte(`"(),/:;<=>?@[\]{}`, b) >= 0 {
			return false
		}
	}
	return s != ""
}

// isTarget reports whether s may stand in the first line of a request.
func isTarget(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '#' {
			return false
		}
	}
	return true
}
