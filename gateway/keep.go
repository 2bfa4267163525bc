package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/gateway/front"
	"github.com/myelin-run/myelin/gateway/later"
	"github.com/myelin-run/myelin/gateway/once"
	"github.com/myelin-run/myelin/gateway/upstream"
	"github.com/myelin-run/myelin/gateway/wire"
)

const (
	// resultsPath is where answers are fetched that were put off. No function
	// can have such a name.
	resultsPath = "/-/results/"
	// ResultHeader says whether a result is "pending" or "done".
	ResultHeader = "X-Myelin-Result"

	keyHeader     = "Idempotency-Key"
	mostKept      = 100_000
	mostKeptBytes = 256 << 20
	mostKey       = 255
	// mostKeep is how long a file of the log stays at most.
	mostKeep   = 30 * 24 * time.Hour
	forgetTime = time.Minute
)

// whole reads the body of a call, and answers it if it is too large or broken.
func whole(c *front.Call, limit int64) ([]byte, bool) {
	err := c.Want()
	var b []byte
	if err == nil && c.Req.Length <= limit {
		b, err = io.ReadAll(io.LimitReader(&c.Body, limit+1))
	}
	var wrong *wire.Error
	switch {
	case c.Req.Length > limit || int64(len(b)) > limit:
		refuse(c, problem.New(http.StatusRequestEntityTooLarge, "the request's body is larger than this route keeps"))
	case errors.As(err, &wrong):
		refuse(c, problem.New(wrong.Status, wrong.Detail))
	case err != nil:
		c.Abort() // the client has gone
	default:
		return b, true
	}
	return nil, false
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// once gives a request that was answered its answer again, and has others done.
func (g *router) once(c *front.Call, r *rule, pass func()) {
	p := r.policy.Idempotency
	key := c.Req.Fields.Get(keyHeader)
	if len(key) == 0 || len(key) > mostKey {
		if p.Required || len(key) > 0 {
			refuse(c, problem.New(http.StatusBadRequest, fmt.Sprintf("this route asks for an %s of 1 to %d characters", keyHeader, mostKey)))
			return
		}
		pass()
		return
	}
	limit := or(int64(p.MaxBody), 1<<20)
	body, ok := whole(c, limit)
	if !ok {
		return
	}
	name := fmt.Sprintf("%q %q %q %q", c.Note.Route, c.Req.Host, c.Note.Subject, key)
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q\n%s", c.Req.Method, c.Req.Target, c.Req.Fields.Get("Content-Type"), body)
	sum := once.Sum(h.Sum(nil))
	if g.claim(c, name, sum, p.Wait.Std()) {
		g.first(c, name, sum, body, int(limit), or(p.Keep.Std(), 24*time.Hour), pass)
	}
}

// claim answers a call whose key is known, and says whether it is not.
func (g *router) claim(c *front.Call, name string, sum once.Sum, wait time.Duration) bool {
	patience := time.NewTimer(wait)
	defer patience.Stop()
	g.recall()
	for {
		state, kept, done := g.kept.Begin(name, sum, time.Now())
		switch state {
		case once.Run:
			return true
		case once.Stored:
			c.Replay(kept, front.F("Idempotent-Replayed", "true"))
			return false
		case once.Mismatch:
			refuse(c, problem.New(http.StatusUnprocessableEntity, "this "+keyHeader+" was used for another request"))
			return false
		case once.Full:
			refuse(c, problem.New(http.StatusServiceUnavailable, "too many answers are kept"))
			return false
		}
		select {
		case <-done:
		case <-patience.C:
			refuse(c, problem.New(http.StatusConflict, "a request with this "+keyHeader+" is under way"), front.F("Retry-After", "1"))
			return false
		}
	}
}

// first has a call done, also if its client goes away, and keeps the answer
// before the client has the last of it. What failed may be tried again.
func (g *router) first(c *front.Call, name string, sum once.Sum, body []byte, limit int, keep time.Duration, pass func()) {
	rec := &front.Recorder{Limit: limit}
	rec.To = c.Into(rec)
	until := time.Now().Add(keep)
	good := false
	defer func() {
		g.kept.Finish(name, &rec.Kept, rec.Size(), until, good)
	}()
	if g.answers != nil {
		rec.Before = func() {
			if !c.Note.Own && rec.Status < 500 {
				g.writeDown(name, sum, until, &rec.Kept)
			}
		}
	}
	c.Stay = true
	c.Refill(body)
	pass()
	good = rec.Whole && !rec.Over && !c.Aborted() && !c.Note.Own && rec.Status < 500
	if rec.Gone {
		c.Abort()
	}
}

// writeDown puts an answer into the log. That it could not be is no reason to keep
// it from its client: it is in memory.
func (g *router) writeDown(name string, sum once.Sum, until time.Time, kept *front.Kept) {
	head, err := json.Marshal(kept)
	if err == nil {
		err = g.answers.Put(once.Record{Key: name, Sum: sum[:], Until: until, Answer: append(append(head, '\n'), kept.Body...)})
	}
	if err != nil {
		g.log.Warn("an answer that is to be given once is kept in memory only", "error", err)
	}
}

// recall reads what other gateways have kept since it looked last: the one
// before, and one that drains.
func (g *router) recall() {
	if g.answers == nil {
		return
	}
	now := time.Now()
	err := g.answers.Load(func(r once.Record) {
		var kept front.Kept
		head, body, ok := bytes.Cut(r.Answer, []byte("\n"))
		if !ok || len(r.Sum) != len(once.Sum{}) || json.Unmarshal(head, &kept) != nil {
			return
		}
		kept.Body = body
		g.kept.Add(r.Key, once.Sum(r.Sum), &kept, kept.Size(), r.Until, now)
	})
	if err != nil {
		g.log.Warn("read answers that are to be given once", "error", err)
	}
}

// forget clears away what the log has of answers that are over, now and then.
func (g *router) forget(ctx context.Context) error {
	tick := time.NewTicker(forgetTime)
	defer tick.Stop()
	for {
		if err := g.answers.Forget(time.Now().Add(-mostKeep)); err != nil {
			g.log.Warn("clear away answers that are over", "error", err)
		}
		select {
		case <-ctx.Done():
			return g.answers.Close()
		case <-tick.C:
		}
	}
}

// prefers says whether the client asks for its answer later.
func prefers(c *front.Call) bool {
	for i := range c.Req.Fields {
		f := &c.Req.Fields[i]
		if len(f.Name) != 6 || !f.Is("Prefer") {
			continue
		}
		for p := range bytes.SplitSeq(f.Value, []byte(",")) {
			p, _, _ = bytes.Cut(p, []byte(";"))
			if strings.EqualFold(string(bytes.TrimSpace(p)), "respond-async") {
				return true
			}
		}
	}
	return false
}

// putOff keeps a request and says where its answer will be.
func (g *router) putOff(c *front.Call, r *rule, w *way, o *upstream.Order) {
	p := r.policy.Async
	if g.later == nil {
		refuse(c, problem.New(http.StatusNotImplemented, "this gateway has no directory for requests that are answered later"))
		return
	}
	limit := or(int64(p.MaxBody), 4<<20)
	body, ok := whole(c, limit)
	if !ok {
		return
	}
	to, err := json.Marshal(w.target)
	keep := or(p.Keep.Std(), time.Hour)
	var id string
	if err == nil {
		id, err = g.later.Put(later.Request{
			Until: time.Now().Add(keep), Keep: int64(keep.Seconds()), Attempts: or(p.Attempts, 5), MaxBody: int(limit), Timeout: int64(o.Timeout),
			Method: string(c.Req.Method), Target: string(o.Target), Host: string(c.Req.Host), Prefix: o.Prefix, Peer: c.Peer, TLS: c.TLS,
			Fields: pairs(c.Req.Fields, o.Drop), Extra: pairs(o.Extra, nil), To: string(to), Route: c.Note.Route, Subject: c.Note.Subject, Body: body,
		})
	}
	if err != nil {
		g.notKept(c, err)
		return
	}
	c.Note.Own = true
	c.Note.Namespace, c.Note.Function = w.target.Namespace, w.target.Function
	at := resultsPath + id
	c.Reply(http.StatusAccepted, fmt.Appendf(nil, "{\"id\":%q,\"location\":%q}\n", id, at), front.F("Content-Type", "application/json"),
		front.F("Location", at), front.F("Preference-Applied", "respond-async"), front.F("Retry-After", "1"))
}

// notKept says why a request cannot be put off; nothing of it is kept.
func (g *router) notKept(c *front.Call, err error) {
	again := front.F("Retry-After", "5")
	switch {
	case errors.Is(err, later.ErrFull):
		refuse(c, problem.New(http.StatusServiceUnavailable, err.Error()), again)
		return
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		refuse(c, problem.New(http.StatusInsufficientStorage, "the request cannot be kept: the disk is full"), again)
	default:
		refuse(c, problem.New(http.StatusServiceUnavailable, "the request cannot be kept now"), again)
	}
	g.log.Error("keep a request to be answered later", "error", err)
}

// pairs copies what goes on to the function.
func pairs(fs wire.Fields, drop func(*wire.Field) bool) (out [][2]string) {
	for i := range fs {
		if f := &fs[i]; !f.Hop && !f.Is("Prefer") && (drop == nil || !drop(f)) {
			out = append(out, [2]string{string(f.Name), string(f.Value)})
		}
	}
	return out
}

func fieldsOf(ps [][2]string) (out wire.Fields) {
	for _, p := range ps {
		out = append(out, front.F(p[0], p[1]))
	}
	return out
}

// attempt asks the function of a request that was put off.
func (g *router) attempt(r *later.Request) (later.Result, later.Outcome) {
	st := g.state.Load()
	var target route.Target
	if st == nil || json.Unmarshal([]byte(r.To), &target) != nil {
		return later.Result{}, later.Wait
	}
	rec := &front.Recorder{Limit: r.MaxBody}
	c := front.NewCall(wire.Request{Method: []byte(r.Method), Target: []byte(r.Target), Host: []byte(r.Host), Minor: 1, Fields: fieldsOf(r.Fields)}, r.Body, rec)
	c.Peer, c.TLS, c.Stay = r.Peer, r.TLS, true
	c.Note.Route, c.Note.Subject = r.Route, r.Subject
	o := upstream.Order{Target: c.Req.Target, Prefix: r.Prefix, Extra: fieldsOf(r.Extra), Timeout: time.Duration(r.Timeout)}
	g.pass(c, st, &way{target: target}, factsOf(c), &o)
	g.note(c)
	res := later.Result{Status: rec.Status, Fields: rec.Fields, Body: rec.Body}
	switch {
	case c.Note.Own && c.Note.Version == "" && rec.Status != http.StatusNotFound: // it is not there yet, or down
		return res, later.Wait
	case c.Note.Own && c.Note.Version == "":
		return res, later.Done
	case c.Note.Own, c.Aborted(), !rec.Whole:
		return res, later.Failed
	case rec.Status == http.StatusServiceUnavailable:
		return res, later.Wait // every worker is busy
	case rec.Over:
		return later.Result{Status: http.StatusBadGateway, Body: []byte("the function's answer is larger than this route keeps\n")}, later.Done
	}
	return res, later.Done
}

// result gives an answer that was put off, to who asked for it.
func (g *router) result(c *front.Call, st *state) {
	c.Note.Own = true
	id := strings.TrimPrefix(string(c.Req.Path()), resultsPath)
	if g.later == nil {
		refuse(c, problem.New(http.StatusNotFound, "no results are kept here"))
		return
	}
	res, err := g.later.Get(id, time.Now())
	if err != nil && !errors.Is(err, later.ErrPending) {
		refuse(c, problem.New(http.StatusNotFound, err.Error()))
		return
	}
	if !g.mayFetch(c, st, &res) {
		return
	}
	switch method := string(c.Req.Method); {
	case method == "DELETE" && err == nil:
		if g.later.Delete(id) != nil {
			refuse(c, problem.New(http.StatusNotFound, later.ErrUnknown.Error()))
			return
		}
		c.Reply(http.StatusNoContent, nil)
	case method != "GET" && method != "HEAD":
		refuse(c, problem.New(http.StatusMethodNotAllowed, "a result is fetched with GET, and deleted when it is there"), front.F("Allow", "GET, HEAD, DELETE"))
	case err != nil:
		c.Reply(http.StatusAccepted, []byte(`{"state":"pending"}`+"\n"), front.F("Content-Type", "application/json"), front.F(ResultHeader, "pending"), front.F("Retry-After", "1"))
	default:
		c.Replay(&front.Kept{Status: res.Status, Fields: res.Fields, Body: res.Body}, front.F(ResultHeader, "done"))
	}
}

// mayFetch asks who fetches an answer, if its route asked who sent the request.
func (g *router) mayFetch(c *front.Call, st *state, res *later.Result) bool {
	var target route.Target
	if res.Subject == "" || json.Unmarshal([]byte(res.To), &target) != nil {
		return true
	}
	r := st.rules[ruleKey{target.Namespace, res.Route}]
	if r == nil || r.guard == nil {
		refuse(c, problem.New(http.StatusForbidden, "the route that this was asked of says no more who may fetch it"))
		return false
	}
	if !identify(c, r.guard, &upstream.Order{}) {
		return false
	}
	if c.Note.Subject != res.Subject {
		refuse(c, problem.New(http.StatusNotFound, later.ErrUnknown.Error()))
		return false
	}
	return true
}
