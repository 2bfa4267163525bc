package gateway

import (
	"bytes"
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/gateway/front"
	"github.com/myelin-run/myelin/gateway/guard"
	"github.com/myelin-run/myelin/gateway/upstream"
	"github.com/myelin-run/myelin/gateway/wire"
)

// SubjectHeader tells a function who the gateway found its caller to be. What a
// client says there is left out.
const SubjectHeader = "X-Myelin-Subject"

// admit asks of a call what its route's policy says, and answers it if it may
// not go on. What of the policy is for the way is noted in o.
func (g *router) admit(c *front.Call, r *rule, o *upstream.Order) bool {
	p := &r.policy
	if r.broken != nil {
		refuse(c, problem.New(http.StatusInternalServerError, "this route's policy cannot be kept: "+r.broken.Error()))
		return false
	}
	if r.cors != nil {
		if r.cors.preflight(c) {
			return false
		}
		c.Before = func(resp *wire.Response) { r.cors.answer(c, resp) }
	}
	bySubject := r.limiter != nil && p.RateLimit.Client == "subject"
	if r.limiter != nil && !bySubject && !g.within(c, r) {
		return false
	}
	if r.guard != nil && !identify(c, r.guard, o) {
		return false
	}
	if bySubject && !g.within(c, r) {
		return false
	}
	o.Timeout, o.Limit = p.Timeout.Std(), int64(p.MaxBody)
	if p.Rewrite != nil {
		rewrite(p.Rewrite, o)
	}
	return true
}

// within counts the call against the route's rates.
func (g *router) within(c *front.Call, r *rule) bool {
	client := c.Peer
	switch by := r.policy.RateLimit.Client; {
	case by == "subject":
		client = c.Note.Subject
	case strings.HasPrefix(by, "header:"):
		client = string(c.Req.Fields.Get(strings.TrimPrefix(by, "header:")))
	}
	wait, ok := r.limiter.Take(client, time.Now())
	if !ok {
		seconds := max(1, int(math.Ceil(wait.Seconds())))
		refuse(c, problem.New(http.StatusTooManyRequests, "more requests than this route takes"), front.F("Retry-After", strconv.Itoa(seconds)))
	}
	return ok
}

// identify finds out who calls, and lets nobody else go on.
func identify(c *front.Call, by *guard.Guard, o *upstream.Order) bool {
	who, err := by.Check(context.Background(), (*values)(c))
	if err != nil {
		var no *guard.Refusal
		if !errors.As(err, &no) {
			no = &guard.Refusal{Status: http.StatusUnauthorized, Detail: err.Error()}
		}
		var fields []wire.Field
		if no.Challenge != "" {
			fields = append(fields, front.F("WWW-Authenticate", no.Challenge))
		}
		refuse(c, problem.New(no.Status, no.Detail), fields...)
		return false
	}
	c.Note.Subject, c.Note.Claims = who.Name, who.Claim
	if clean := strings.Map(printable, who.Name); clean != "" {
		o.Extra = append(o.Extra, front.F(SubjectHeader, clean))
	}
	if who.Spent != "" {
		o.Drop = func(f *wire.Field) bool { return f.Is(who.Spent) }
	}
	return true
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// rewrite changes the path that the function sees.
func rewrite(r *route.Rewrite, o *upstream.Order) {
	strip := strings.TrimSuffix(r.StripPrefix, "/")
	if rest, ok := bytes.CutPrefix(o.Target, []byte(strip)); ok && strip != "" && (len(rest) == 0 || rest[0] == '/' || rest[0] == '?') {
		if o.Target = rest; len(rest) == 0 || rest[0] != '/' {
			o.Target = append([]byte("/"), rest...)
		}
		o.Prefix += strip
	}
	if add := strings.TrimSuffix(r.AddPrefix, "/"); add != "" {
		o.Target = append([]byte(add), o.Target...)
	}
}
