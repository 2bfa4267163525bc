package http

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"
)

// CORS says which pages of other origins may call the function. A list that is
// left out has its default.
type CORS struct {
	Enabled          bool     `json:"enabled"`
	AllowOrigins     []string `json:"allowOrigins,omitempty"`     // default ["*"]
	AllowMethods     []string `json:"allowMethods,omitempty"`     // default HEAD, GET, POST, PUT, DELETE, OPTIONS, PATCH
	AllowHeaders     []string `json:"allowHeaders,omitempty"`     // default Accept, Content-Length, Content-Type, Authorization, X-Nuclio-Log-Level
	AllowCredentials bool     `json:"allowCredentials,omitempty"` // default false; needs AllowOrigins without "*"
	ExposeHeaders    []string `json:"exposeHeaders,omitempty"`    // default none
	// PreflightRequestMethod is the method of a preflight, default OPTIONS.
	PreflightRequestMethod string `json:"preflightRequestMethod,omitempty"`
	// PreflightMaxAgeSeconds a browser may keep the answer, default 5; a
	// negative one leaves the header out.
	PreflightMaxAgeSeconds *int64 `json:"preflightMaxAgeSeconds,omitempty"`
}

// Validate refuses what cannot stand in a header.
func (c *CORS) Validate() error {
	lists := []struct {
		name   string
		values []string
	}{{"allowMethods", c.AllowMethods}, {"allowHeaders", c.AllowHeaders}, {"exposeHeaders", c.ExposeHeaders}}
	for _, l := range lists {
		for _, v := range l.values {
			if !token(v) {
				return fmt.Errorf("cors.%s: %q is no HTTP token", l.name, v)
			}
		}
	}
	for _, o := range c.AllowOrigins {
		if o == "" || clean(o) != o {
			return fmt.Errorf("cors.allowOrigins: %q is no origin such as \"https://example.com\"", o)
		}
	}
	if m := c.PreflightRequestMethod; m != "" && !token(m) {
		return errors.New("cors.preflightRequestMethod: not an HTTP method")
	}
	return nil
}

// cors is a CORS with its headers made.
type cors struct {
	any         bool
	anyHeader   bool
	credentials bool
	origins     []string
	preflight   string
	methods     string
	headers     string
	expose      string
	maxAge      string
}

func newCORS(c *CORS) *cors {
	if c == nil || !c.Enabled {
		return nil
	}
	origins := or(c.AllowOrigins, "*")
	headers := or(c.AllowHeaders, "Accept", "Content-Length", "Content-Type", "Authorization", headerLogLevel)
	p := &cors{
		any:         slices.Contains(origins, "*"),
		anyHeader:   slices.Contains(headers, "*"),
		credentials: c.AllowCredentials,
		origins:     origins,
		preflight:   "OPTIONS",
		methods:     strings.Join(or(c.AllowMethods, "HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"), ", "),
		headers:     strings.Join(headers, ", "),
		expose:      strings.Join(c.ExposeHeaders, ", "),
		maxAge:      "5",
	}
	if c.PreflightRequestMethod != "" {
		p.preflight = c.PreflightRequestMethod
	}
	if age := c.PreflightMaxAgeSeconds; age != nil {
		p.maxAge = ""
		if *age >= 0 {
			p.maxAge = strconv.FormatInt(*age, 10)
		}
	}
	return p
}

func or(list []string, defaults ...string) []string {
	if len(list) > 0 {
		return list
	}
	return defaults
}

// apply sets the CORS headers of the response and reports whether the request
// was a preflight, which is answered by that. A request of an origin that is
// not allowed is served without them: it is the browser that then keeps the
// response from the page.
func (p *cors) apply(ctx *fasthttp.RequestCtx) (done bool) {
	h := &ctx.Response.Header
	if !p.any {
		h.Add(fasthttp.HeaderVary, fasthttp.HeaderOrigin)
	}
	origin := ctx.Request.Header.Peek(fasthttp.HeaderOrigin)
	if len(origin) == 0 {
		return false
	}
	method := ctx.Request.Header.Peek(fasthttp.HeaderAccessControlRequestMethod)
	done = len(method) > 0 && string(ctx.Method()) == p.preflight
	allowed := p.allow(h, origin)
	switch {
	case done:
		ctx.SetStatusCode(fasthttp.StatusNoContent)
		h.Add(fasthttp.HeaderVary, fasthttp.HeaderAccessControlRequestMethod)
		h.Add(fasthttp.HeaderVary, fasthttp.HeaderAccessControlRequestHeaders)
		if allowed {
			p.permit(h, ctx.Request.Header.Peek(fasthttp.HeaderAccessControlRequestHeaders))
		}
	case allowed && p.expose != "":
		h.Set(fasthttp.HeaderAccessControlExposeHeaders, p.expose)
	}
	return done
}

// allow names the origin as allowed, if it is. Where every origin is, no page
// may send credentials: browsers refuse "*" with them, and naming each origin
// instead would let any page act as its visitor.
func (p *cors) allow(h *fasthttp.ResponseHeader, origin []byte) bool {
	switch {
	case p.any:
		h.Set(fasthttp.HeaderAccessControlAllowOrigin, "*")
		return true
	case !p.listed(origin):
		return false
	}
	h.SetBytesV(fasthttp.HeaderAccessControlAllowOrigin, origin)
	if p.credentials {
		h.Set(fasthttp.HeaderAccessControlAllowCredentials, "true")
	}
	return true
}

func (p *cors) listed(origin []byte) bool {
	for _, o := range p.origins {
		if strings.EqualFold(o, string(origin)) {
			return true
		}
	}
	return false
}

// permit answers a preflight. With credentials, a browser does not take "*" as
// any header, so that those it asked for are named.
func (p *cors) permit(h *fasthttp.ResponseHeader, asked []byte) {
	h.Set(fasthttp.HeaderAccessControlAllowMethods, p.methods)
	if p.anyHeader && len(bytes.TrimSpace(asked)) > 0 {
		h.SetBytesV(fasthttp.HeaderAccessControlAllowHeaders, asked)
	} else {
		h.Set(fasthttp.HeaderAccessControlAllowHeaders, p.headers)
	}
	if p.maxAge != "" {
		h.Set(fasthttp.HeaderAccessControlMaxAge, p.maxAge)
	}
}
