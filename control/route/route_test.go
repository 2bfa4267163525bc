package route

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/myelin-run/myelin/function"
)

func TestSplit(t *testing.T) {
	for path, want := range map[string][2]string{
		"/hello": {"hello", "/"}, "/hello/": {"hello", "/"}, "/hello/a/b": {"hello", "/a/b"},
		"/": {"", "/"}, "": {"", "/"}, "/hello//x": {"hello", "//x"}, "/a%2Fb/c": {"a%2Fb", "/c"},
	} {
		if name, rest := Split(path); name != want[0] || rest != want[1] {
			t.Errorf("%s: %q, %q", path, name, rest)
		}
	}
}

func TestNamed(t *testing.T) {
	for s, want := range map[string]Target{
		"hello": {Function: "hello"}, "hello:prod": {Function: "hello", Alias: "prod"},
		"hello:3": {Function: "hello", Version: "3"}, "hello:$latest": {Function: "hello", Version: "$latest"}, "hello:": {Function: "hello"},
	} {
		want.Namespace = DefaultNamespace
		if got := Named(s); got != want {
			t.Errorf("%s: %+v", s, got)
		}
	}
}

func deployed(namespace, name, version string) Deployment {
	return Deployment{Namespace: namespace, Function: name, Version: version, State: Serving}
}

func TestUnknownSuggests(t *testing.T) {
	m := Compile(Table{
		Deployments: []Deployment{deployed("default", "hello", function.Latest), deployed("other", "helo2", function.Latest)},
		Aliases:     []Alias{{Namespace: "default", Function: "hello", Name: "prod"}},
	})
	for name, want := range map[string]string{
		"helo": "unknown function helo, did you mean hello?", "zzz": "unknown function zzz",
		"hello:prd": "function hello has no alias prd, did you mean prod?", "helo2": "unknown function helo2, did you mean hello?",
	} {
		if m.Known(Named(name)) {
			t.Errorf("%s is known", name)
		}
		if got := m.Unknown(Named(name)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if !m.Known(Named("hello")) || !m.Known(Named("hello:prod")) || !m.Known(Target{Namespace: "other", Function: "helo2"}) {
		t.Error("what is there is not known")
	}
}

// carried are the values of a request, by "header name" and the like.
type carried map[string]string

func (c carried) Value(from Source, name string) (string, bool) {
	v, ok := c[[]string{"header", "cookie", "query", "claim"}[from]+" "+name]
	return v, ok
}

func TestFind(t *testing.T) {
	m := Compile(Table{
		Deployments: []Deployment{deployed("default", "hello", function.Latest)},
		Routes: []Route{
			{Name: "root"}, {Name: "beta", Match: Match{Path: "/beta"}}, {Name: "deep", Match: Match{Path: "/beta/deep/"}},
			{Name: "exact", Match: Match{Path: "/beta/one", Exact: true}},
			{Name: "post", Match: Match{Path: "/beta", Methods: []string{"post"}}},
			{Name: "canary", Match: Match{Path: "/beta", Headers: map[string]string{"X-Canary": "1"}}},
			{Name: "any-canary", Match: Match{Path: "/gamma", Headers: map[string]string{"X-Canary": ""}}},
			{Name: "host", Match: Match{Hosts: []string{"Shop.example.com"}}},
			{Name: "wild", Match: Match{Hosts: []string{"*.example.com"}, Path: "/beta"}},
			{Name: "wilder", Match: Match{Hosts: []string{"*.com"}}},
		},
	})
	for _, c := range []struct{ host, method, path, header, want string }{
		{"x", "GET", "/", "", "root"}, {"x", "GET", "/betamax", "", "root"}, {"x", "GET", "/beta", "", "beta"}, {"x", "GET", "/beta/", "", "beta"},
		{"x", "GET", "/beta/deep", "", "deep"}, {"x", "GET", "/beta/deep/er", "", "deep"}, {"x", "GET", "/beta/one", "", "exact"}, {"x", "GET", "/beta/one/more", "", "beta"},
		{"x", "POST", "/beta", "", "post"}, {"x", "POST", "/beta", "1", "canary"}, {"x", "GET", "/beta", "2", "beta"}, {"x", "GET", "/gamma", "2", "any-canary"},
		{"x", "GET", "/b%65ta", "", "beta"}, {"x", "GET", "/gamma", "", "root"},
		{"shop.example.com", "GET", "/beta", "", "host"}, {"a.example.com", "GET", "/beta", "", "wild"}, {"a.example.com", "GET", "/x", "", "wilder"}, {"example.com", "GET", "/x", "", "wilder"},
		{"x", "GET", "/hello/x", "", ""}, {"x", "GET", "/hello:prod/x", "", ""}, {"a.com", "GET", "/hello/x", "", "wilder"},
	} {
		f := Facts{Host: c.host, Method: c.method, Path: c.path}
		if c.header != "" {
			f.Values = carried{"header X-Canary": c.header}
		}
		got := ""
		if r := m.Find(f); r != nil {
			got = r.Name
		}
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

const picks = 100_000

var prod = Target{Namespace: "default", Function: "hello", Alias: "prod"}

func aliased(sticky *function.Sticky, rules []function.Rule, weights ...float64) *Matcher {
	a := Alias{Namespace: "default", Function: "hello", Name: "prod", Sticky: sticky, Rules: rules}
	for i, w := range weights {
		a.Versions = append(a.Versions, function.Weighted{Version: fmt.Sprint(i + 1), Weight: w})
	}
	return Compile(Table{Aliases: []Alias{a}})
}

func right(t *testing.T, what string, got map[string]int, weights ...float64) {
	t.Helper()
	for i, w := range weights {
		share := float64(got[fmt.Sprint(i+1)]) / picks * 100
		if share < w-1 || share > w+1 || w == 0 && share != 0 {
			t.Errorf("%s: version %d got %.2f%%, want %v%%", what, i+1, share, w)
		}
	}
}

// Of 100,000 requests each version gets its weight to one percent, by lot and
// by the users' names.
func TestWeightsAreRight(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, weights := range [][]float64{{100}, {90, 10}, {50, 50}, {33.3, 33.3, 33.4}, {0, 100}, {1, 0, 99}, {0.5, 99.5}} {
		m, sticky := aliased(nil, nil, weights...), aliased(&function.Sticky{Header: "X-User"}, nil, weights...)
		byLot, byName, byLots := map[string]int{}, map[string]int{}, map[string]int{}
		for i := range picks {
			byLot[m.Pick(prod, Facts{}, r.Uint64()).Version]++
			byName[sticky.Pick(prod, Facts{Values: carried{"header X-User": fmt.Sprint("user", i)}}, 0).Version]++
			byLots[sticky.Pick(prod, Facts{}, r.Uint64()).Version]++
		}
		for what, got := range map[string]map[string]int{"by lot": byLot, "by name": byName, "without a name": byLots} {
			right(t, fmt.Sprint(weights, " ", what), got, weights...)
		}
	}
}

// A user stays as long as weights do; when they change, only as many go as must.
func TestStickyUsersStay(t *testing.T) {
	for _, s := range []*function.Sticky{{Header: "K"}, {Query: "K"}, {Cookie: "K"}} {
		kind := map[bool]string{true: "header K", s.Query != "": "query K", s.Cookie != "": "cookie K"}[true]
		switch {
		case s.Query != "":
			kind = "query K"
		case s.Cookie != "":
			kind = "cookie K"
		}
		before, after, more := aliased(s, nil, 90, 10), aliased(s, nil, 80, 20), aliased(s, nil, 60, 20, 20)
		moved, back, came := 0, 0, 0
		for i := range picks {
			f := Facts{Values: carried{kind: fmt.Sprint("user-", i)}}
			a, again, b, c := before.Pick(prod, f, 1).Version, before.Pick(prod, f, 2).Version, after.Pick(prod, f, 3).Version, more.Pick(prod, f, 3).Version
			if a != again {
				t.Fatalf("%s: a user switched from %s to %s", kind, a, again)
			}
			if a != b {
				moved++
			}
			if a == "2" && b == "1" {
				back++
			}
			if b != c && c != "3" {
				came++
			}
		}
		if share := float64(moved) / picks; share < 0.09 || share > 0.11 || back > 0 {
			t.Errorf("%s: %.3f switched, want 0.1; %d went back", kind, share, back)
		}
		if share := float64(came) / picks; share > 0.04 { // 0.2 must go to the new one
			t.Errorf("%s: %.3f switched between old versions because of a new one", kind, share)
		}
	}
}

// Who was given a cookie stays with its version whatever the weights, until
// the version has none.
func TestGivenCookieStaysWithItsVersion(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	s := &function.Sticky{Cookie: "seen"}
	before, after, gone := aliased(s, nil, 90, 10), aliased(s, nil, 1, 99), aliased(s, nil, 0, 60, 40)
	elsewhere := map[string]int{}
	for range picks {
		first := before.Pick(prod, Facts{}, r.Uint64())
		if first.Cookie == "" {
			t.Fatal("no cookie is given")
		}
		f := Facts{Values: carried{"cookie seen": first.Cookie}}
		if then := after.Pick(prod, f, r.Uint64()); then.Version != first.Version || then.Cookie != "" {
			t.Fatalf("%+v, then %+v", first, then)
		}
		then := gone.Pick(prod, f, r.Uint64())
		if first.Version == "2" && then.Version != "2" {
			t.Fatalf("%+v, then %+v", first, then)
		}
		if first.Version == "1" {
			elsewhere[then.Version]++
			f.Values = carried{"cookie seen": then.Cookie}
			if again := gone.Pick(prod, f, r.Uint64()); again.Version != then.Version || again.Cookie != "" {
				t.Fatalf("%+v, then %+v", then, again)
			}
		}
	}
	if share := float64(elsewhere["2"]) / float64(elsewhere["2"]+elsewhere["3"]); share < 0.59 || share > 0.61 {
		t.Errorf("of those whose version has gone, %.3f went to 60%%", share)
	}
}

func TestRulesComeFirst(t *testing.T) {
	m := aliased(&function.Sticky{Cookie: "uid"}, []function.Rule{
		{Header: "X-Beta", Version: "7"}, {Claim: "group", Value: "staff", Version: "8"}, {Cookie: "lab", Prefix: "a-", Version: "9"}, {Header: "Agent", Regex: "^bot/[0-9]+$", Version: "10"},
	}, 100)
	for want, has := range map[string]carried{
		"7": {"header X-Beta": "", "claim group": "staff"}, "8": {"claim group": "staff"}, "9": {"cookie lab": "a-1"}, "10": {"header Agent": "bot/12"},
		"1": {"claim group": "others", "cookie lab": "b-1", "header Agent": "bot/", "header group": "staff"},
	} {
		if got := m.Pick(prod, Facts{Values: has}, 1).Version; got != want {
			t.Errorf("%v: %s, want %s", has, got, want)
		}
	}
}

func TestPickWithoutAlias(t *testing.T) {
	m := Compile(Table{})
	for target, want := range map[Target]string{{Function: "f"}: function.Latest, {Function: "f", Version: "3"}: "3", {Function: "f", Alias: "gone"}: ""} {
		if got := m.Pick(target, Facts{}, 1).Version; got != want {
			t.Errorf("%+v: %q", target, got)
		}
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	m := aliased(&function.Sticky{Header: "K"}, []function.Rule{{Header: "X", Value: "y", Version: "2"}}, 90, 10)
	f := Facts{Values: carried{"header K": "user"}}
	if n := testing.AllocsPerRun(100, func() { m.Find(f); m.Pick(prod, f, 1) }); n > 4 { // of carried's own names
		t.Errorf("%v allocations", n)
	}
}

// A key goes where it went, and keys go by the weights.
func TestDealsByKey(t *testing.T) {
	versions := []function.Weighted{{Version: "1", Weight: 90}, {Version: "2", Weight: 10}}
	n := 0
	for k := range 1000 {
		key := fmt.Sprint(k)
		first := Deal(versions, key)
		if first != Deal(versions, key) {
			t.Fatalf("key %s goes here and there", key)
		}
		if first == "2" {
			n++
		}
	}
	if n < 50 || n > 150 || Deal(nil, "a") != "" {
		t.Errorf("%d of 1000 keys have the version with a tenth", n)
	}
}
