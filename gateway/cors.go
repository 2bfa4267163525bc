package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/gateway/front"
	"github.com/myelin-run/myelin/gateway/wire"
)

// cors is a route's CORS with its headers made.
type cors struct {
	rule                             route.CORS
	any                              bool
	methods, headers, expose, maxAge string
}

func newCORS(c *route.CORS) *cors {
	if c == nil {
		return nil
	}
	age := c.MaxAge.Std()
	if age == 0 {
		age = 10 * time.Minute
	}
	return &cors{
		rule: *c, any: slices.Contains(c.Origins, "*"), maxAge: strconv.Itoa(int(age.Seconds())),
		methods: strings.Join(c.Methods, ", "), headers: strings.Join(c.Headers, ", "), expose: strings.Join(c.Expose, ", "),
	}
}

// origin is the Origin of a call if it is allowed, "" if not.
func (p *cors) origin(c *front.Call) string {
	o := string(c.Req.Fields.Get("Origin"))
	if o != "" && (p.any || slices.ContainsFunc(p.rule.Origins, func(x string) bool { return strings.EqualFold(x, o) })) {
		return o
	}
	return ""
}

// preflight answers a browser that asks beforehand, and says whether it was one.
// An origin that is not allowed gets an answer without the permission.
func (p *cors) preflight(c *front.Call) bool {
	asked := c.Req.Fields.Get("Access-Control-Request-Method")
	if string(c.Req.Method) != "OPTIONS" || len(asked) == 0 || len(c.Req.Fields.Get("Origin")) == 0 {
		return false
	}
	fields := []wire.Field{front.F("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")}
	if o := p.origin(c); o != "" {
		fields = append(fields, p.allow(o)...)
		methods, headers := p.methods, p.headers
		if methods == "" {
			methods = string(asked)
		}
		if headers == "" {
			headers = string(c.Req.Fields.Get("Access-Control-Request-Headers"))
		}
		fields = append(fields, front.F("Access-Control-Allow-Methods", methods), front.F("Access-Control-Max-Age", p.maxAge))
		if headers != "" {
			fields = append(fields, front.F("Access-Control-Allow-Headers", headers))
		}
	}
	c.Note.Own = true
	c.Reply(http.StatusNoContent, nil, fields...)
	return true
}

func (p *cors) allow(origin string) []wire.Field {
	if p.any {
		return []wire.Field{front.F("Access-Control-Allow-Origin", "*")}
	}
	fields := []wire.Field{front.F("Access-Control-Allow-Origin", origin)}
	if p.rule.Credentials {
		fields = append(fields, front.F("Access-Control-Allow-Credentials", "true"))
	}
	return fields
}

// answer puts the permission on an answer, in place of what the function says.
func (p *cors) answer(c *front.Call, r *wire.Response) {
	for i := range r.Fields {
		if f := &r.Fields[i]; len(f.Name) > 15 && strings.EqualFold(string(f.Name[:15]), "Access-Control-") {
			f.Hop = true
		}
	}
	if !p.any {
		r.Fields = append(r.Fields, front.F("Vary", "Origin"))
	}
	if o := p.origin(c); o != "" {
		r.Fields = append(r.Fields, p.allow(o)...)
		if p.expose != "" {
			r.Fields = append(r.Fields, front.F("Access-Control-Expose-Headers", p.expose))
		}
	}
}
