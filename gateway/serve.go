package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/gateway/access"
	"github.com/myelin-run/myelin/gateway/front"
	"github.com/myelin-run/myelin/gateway/meter"
	"github.com/myelin-run/myelin/gateway/upstream"
	"github.com/myelin-run/myelin/gateway/wire"
	"github.com/myelin-run/myelin/processor/calls"
)

// way is where a call goes.
type way struct {
	target route.Target
	route  *route.Route // nil: the path or a header names the function
	path   []byte       // that the function sees, with the query
	prefix string       // that was cut off
}

// Serve implements [front.Handler].
func (g *router) Serve(c *front.Call) {
	if st := g.state.Load(); st == nil {
		refuse(c, problem.New(http.StatusServiceUnavailable, "the gateway is starting"))
	} else if !g.insist(c) {
		g.route(c, st)
	}
	g.note(c)
}

// Broken implements [front.Handling].
func (g *router) Broken(c *front.Call) { g.note(c) }

// route finds the way of a call and sends it there.
func (g *router) route(c *front.Call, st *state) {
	if bytes.HasPrefix(c.Req.Target, []byte(resultsPath)) {
		g.result(c, st)
		return
	}
	facts := factsOf(c)
	w, ok := st.find(c, facts)
	if !ok {
		g.own(c, st)
		return
	}
	o := upstream.Order{Target: w.path, Prefix: w.prefix, Again: safe(c)}
	if w.route != nil {
		c.Note.Route = w.route.Name
		if r := st.rules[ruleKey{w.target.Namespace, w.route.Name}]; r != nil {
			if g.admit(c, r, &o) {
				g.policed(c, st, r, &w, facts, &o)
			}
			return
		}
	} else if len(st.guarded) > 0 && st.guarded[route.Key{Namespace: w.target.Namespace, Function: w.target.Function}] {
		refuse(c, problem.New(http.StatusForbidden, "function "+w.target.Function+" is reached by its routes only"))
		return
	}
	g.pass(c, st, &w, facts, &o)
}

// find says where a call goes; false: it is for the gateway itself.
func (s *state) find(c *front.Call, f route.Facts) (way, bool) {
	if name := c.Req.Fields.Get(TargetHeader); len(name) > 0 {
		return way{target: route.Named(string(name)), path: c.Req.Target}, true
	}
	if r := s.Find(f); r != nil {
		return way{target: r.Target, route: r, path: c.Req.Target}, true
	}
	p := c.Req.Path()
	if len(p) == 1 || string(p) == "/healthz" {
		return way{}, false
	}
	name, _, _ := strings.Cut(view(p[1:]), "/")
	rest := c.Req.Target[1+len(name):]
	switch {
	case len(rest) == 0:
		rest = root
	case rest[0] != '/':
		rest = append([]byte("/"), rest...)
	}
	return way{target: route.Named(name), path: rest, prefix: view(p[:1+len(name)])}, true
}

// root is never changed.
var root = []byte("/")

// own answers for the gateway itself.
func (g *router) own(c *front.Call, st *state) {
	c.Note.Own = true
	if string(c.Req.Path()) == "/healthz" {
		c.Reply(http.StatusOK, []byte("ok\n"), front.F("Content-Type", "text/plain; charset=utf-8"))
		return
	}
	g.list(c, st)
}

// policed does what a route's policy says of answers that are kept.
func (g *router) policed(c *front.Call, st *state, r *rule, w *way, f route.Facts, o *upstream.Order) {
	pass := func() { g.pass(c, st, w, f, o) }
	switch p := &r.policy; {
	case p.Async != nil && (p.Async.Always || prefers(c)):
		g.putOff(c, r, w, o)
	case p.Idempotency != nil && !safe(c):
		g.once(c, r, pass)
	default:
		pass()
	}
}

// pass sends a call on its way.
func (g *router) pass(c *front.Call, st *state, w *way, f route.Facts, o *upstream.Order) {
	var choice route.Choice
	p, ok := g.choose(c, st, w.target, f, o, &choice)
	if !ok {
		return
	}
	if err := p.Exchange(c, o); err != nil {
		failed(c, w.target, choice.Version, err)
	}
}

// choose picks who answers a call, notes it and enters there; false: nobody does,
// and the call is answered.
func (g *router) choose(c *front.Call, st *state, t route.Target, f route.Facts, o *upstream.Order, choice *route.Choice) (*pool, bool) {
	p, chosen, no := g.pick(st, t, f)
	*choice = chosen
	if no == nil || t.Alias != "" && chosen.Version != "" { // what a client names and is not there is not counted
		c.Note.Namespace, c.Note.Function, c.Note.Alias, c.Note.Version = t.Namespace, t.Function, t.Alias, chosen.Version
	}
	if no != nil {
		refuse(c, no)
		return nil, false
	}
	if chosen.Cookie != "" {
		o.Answered = func(c *front.Call) { stick(c, st.Sticky(t), chosen) }
	}
	if p.asleep.Load() && !g.hold(p, route.Key{Namespace: t.Namespace, Function: t.Function, Version: chosen.Version}, o) {
		p.Leave()
		refuse(c, problem.New(http.StatusServiceUnavailable, "function "+t.Function+" is waking, and too many requests wait for it"))
		return nil, false
	}
	return p, true
}

// note counts and logs a call that is done.
func (g *router) note(c *front.Call) {
	n, took := &c.Note, time.Since(c.Began)
	status := c.Status
	if c.Aborted() {
		status = statusGone
	}
	g.meters.Count(meter.Key{Route: n.Route, Namespace: n.Namespace, Function: n.Function, Version: n.Version, Alias: n.Alias}, status, n.Own, took)
	if !g.access.Wanted(status) {
		return
	}
	l := access.Line{
		Time: c.Began, Took: took, Peer: c.Peer, Subject: n.Subject, Method: view(c.Req.Method), Host: view(c.Req.Host), Target: view(c.Req.Target), Proto: "HTTP/1.1",
		Status: status, Sent: c.Sent, Route: n.Route, Function: n.Function, Version: n.Version, Agent: view(c.Req.Fields.Get("User-Agent")), Referer: view(c.Req.Fields.Get("Referer")),
	}
	if c.H2 {
		l.Proto = "HTTP/2.0"
	} else if c.Req.Minor == 0 {
		l.Proto = "HTTP/1.0"
	}
	g.access.Write(&l)
}

// safe says whether a request asks for nothing to be done, so that it may be
// sent twice if its connection ended.
func safe(c *front.Call) bool {
	switch string(c.Req.Method) {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return true
	}
	return false
}

// pick finds who answers requests to t, and enters there. If nobody does, it
// says why, and who would have.
func (g *router) pick(st *state, t route.Target, f route.Facts) (*pool, route.Choice, *problem.Problem) {
	for {
		var none route.Choice
		if !st.Known(t) {
			return nil, none, problem.New(http.StatusNotFound, st.Unknown(t))
		}
		choice := st.Pick(t, f, rand.Uint64())
		key := route.Key{Namespace: t.Namespace, Function: t.Function, Version: choice.Version}
		p := st.pools[key]
		if p == nil || !answers(st.Deployment(key)) {
			return nil, choice, absent(st.Deployment(key), t, choice.Version)
		}
		if p.Enter() {
			return p, choice, nil
		}
		st = g.state.Load() // the table has changed in between
	}
}

func absent(d *route.Deployment, t route.Target, version string) *problem.Problem {
	name := route.Target{Function: t.Function, Version: version}.String()
	switch {
	case d == nil:
		return problem.New(http.StatusNotFound, "version "+version+" of function "+t.Function+" does not run: there is none, or no alias names it")
	case d.State == route.Starting:
		return problem.New(http.StatusServiceUnavailable, because("function "+name+" is starting", d.Message))
	}
	return problem.New(http.StatusBadGateway, because("function "+name+" is down", d.Message))
}

func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + why
}

// failed answers for a function that did not.
func failed(c *front.Call, t route.Target, version string, err error) {
	name := route.Target{Function: t.Function, Version: version}.String()
	var wrong *wire.Error
	switch {
	case errors.Is(err, upstream.ErrTooLarge):
		refuse(c, problem.New(http.StatusRequestEntityTooLarge, "the request's body is larger than this route takes"))
	case errors.Is(err, upstream.ErrTimeout):
		refuse(c, problem.New(http.StatusGatewayTimeout, "function "+name+" did not answer in the time that this route gives it"))
	case errors.Is(err, upstream.ErrHeld):
		refuse(c, problem.New(http.StatusServiceUnavailable, "function "+name+" did not wake in time"))
	case errors.Is(err, upstream.ErrClient) && errors.As(err, &wrong):
		refuse(c, problem.New(wrong.Status, wrong.Detail))
	case errors.Is(err, upstream.ErrClient):
		c.Status = statusGone
		c.Abort()
	default:
		refuse(c, problem.New(http.StatusBadGateway, "function "+name+" did not answer: "+err.Error()))
	}
}

// statusGone stands in logs for a client that went away before the answer.
const statusGone = 499

// refuse answers for the gateway itself, and says so.
func refuse(c *front.Call, p *problem.Problem, fields ...wire.Field) {
	c.Note.Own = true
	b, err := json.Marshal(p)
	if err != nil {
		b = []byte("{}")
	}
	fields = append(fields, front.F("Content-Type", problem.MediaType), front.F("X-Content-Type-Options", "nosniff"), front.F(calls.RefusedHeader, "1"))
	if p.Status == http.StatusServiceUnavailable {
		fields = append(fields, front.F("Retry-After", "1"))
	}
	c.Reply(p.Status, append(b, '\n'), fields...)
}

// stick gives the client its cookie. No script needs it.
func stick(c *front.Call, s *function.Sticky, choice route.Choice) {
	if s == nil || s.Cookie == "" {
		return
	}
	k := http.Cookie{Name: s.Cookie, Value: choice.Cookie, Path: "/", MaxAge: choice.TTL, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.TLS}
	c.Resp.Fields = append(c.Resp.Fields, front.F("Set-Cookie", k.String()))
}

// list shows the functions, as JSON to whoever asks for it.
func (g *router) list(c *front.Call, st *state) {
	type entry struct {
		Name  string `json:"name"`
		Path  string `json:"path"`
		State string `json:"state"`
	}
	entries := []entry{}
	for _, d := range st.Deployments() {
		if d.Namespace == route.DefaultNamespace && d.Version == function.Latest {
			entries = append(entries, entry{d.Function, "/" + d.Function, d.State})
		}
	}
	if strings.Contains(string(c.Req.Fields.Get("Accept")), "json") {
		b, err := json.Marshal(map[string]any{"functions": entries})
		if err != nil {
			b = []byte(strconv.Quote(err.Error()))
		}
		c.Reply(http.StatusOK, append(b, '\n'), front.F("Content-Type", "application/json"))
		return
	}
	var b []byte
	for _, e := range entries {
		b = fmt.Appendf(b, "%s\t%s\n", e.Path, e.State)
	}
	if len(entries) == 0 {
		b = []byte("no functions\n")
	}
	c.Reply(http.StatusOK, b, front.F("Content-Type", "text/plain; charset=utf-8"))
}
