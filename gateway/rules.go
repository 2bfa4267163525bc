package gateway

import (
	"net/http"
	"reflect"
	"time"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/gateway/guard"
	"github.com/myelin-run/myelin/gateway/limit"
)

// ruleKey names a route.
type ruleKey struct{ namespace, name string }

// rule is a route's policy, prepared. What it remembers of clients stays when a
// table says the same of the route again.
type rule struct {
	policy  route.Policy
	guard   *guard.Guard   // nil: nobody is asked
	limiter *limit.Limiter // nil: no limit
	cors    *cors          // nil: off
	broken  error          // the policy cannot be kept, so nobody is let in
}

func newRule(p route.Policy, client *http.Client) *rule {
	r := &rule{policy: p, broken: p.Check()}
	if p.Auth != nil && r.broken == nil {
		r.guard, r.broken = guard.New(*p.Auth, client)
	}
	if p.RateLimit != nil {
		r.limiter = limit.New(*p.RateLimit)
	}
	r.cors = newCORS(p.CORS)
	return r
}

// fetcher is how the keys of issuers are fetched.
func fetcher() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 4, IdleConnTimeout: time.Minute}}
}

// rules prepares the policies of a table's routes. Routes with authentication guard
// their functions: those are not reached by name, round the route.
func (g *router) rules(old, next *state) {
	next.rules, next.guarded = map[ruleKey]*rule{}, map[route.Key]bool{}
	for r := range next.Routes() {
		if reflect.DeepEqual(r.Policy, route.Policy{}) {
			continue
		}
		key := ruleKey{r.Target.Namespace, r.Name}
		if had := old.rule(key); had != nil && reflect.DeepEqual(had.policy, r.Policy) {
			next.rules[key] = had
		} else {
			next.rules[key] = newRule(r.Policy, g.fetch)
		}
		if r.Policy.Auth != nil {
			next.guarded[route.Key{Namespace: r.Target.Namespace, Function: r.Target.Function}] = true
		}
	}
}

func (s *state) rule(k ruleKey) *rule {
	if s == nil {
		return nil
	}
	return s.rules[k]
}
