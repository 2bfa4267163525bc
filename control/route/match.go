package route

import (
	"cmp"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// Source says where in a request a value stands.
type Source int

// The sources.
const (
	Header Source = iota
	Cookie
	Query
	Claim // of the token that was verified; nothing where none was
)

// Values are what a request carries, looked up only where a route or an alias
// asks for it.
type Values interface {
	Value(from Source, name string) (value string, ok bool)
}

// Facts are what a request is matched by.
type Facts struct {
	Host   string // without port
	Method string
	Path   string // escaped, as it came
	Values Values // may be nil: it carries nothing
}

func (f Facts) value(from Source, name string) (string, bool) {
	if f.Values == nil {
		return "", false
	}
	return f.Values.Value(from, name)
}

// Matcher is a compiled table. It never changes and may be used by any number
// of goroutines.
type Matcher struct {
	deployments map[Key]*Deployment
	aliases     map[AliasName]*dealt
	routes      map[RouteName]*Route
	hosts       map[string][]*compiled // by exact host
	wild        []wildcard             // the longest suffix first
	any         []*compiled            // of any host
}

type wildcard struct {
	suffix string // with the dot
	routes []*compiled
}

type compiled struct {
	route   *Route
	path    string // without a slash at the end
	methods []string
	headers []header
}

type header struct{ name, value string }

// Compile prepares a table for lookups.
func Compile(t Table) *Matcher {
	m := &Matcher{deployments: make(map[Key]*Deployment, len(t.Deployments)), aliases: make(map[AliasName]*dealt, len(t.Aliases)), routes: make(map[RouteName]*Route, len(t.Routes))}
	for i := range t.Deployments {
		m.deployments[t.Deployments[i].Key()] = &t.Deployments[i]
	}
	for _, a := range t.Aliases {
		m.aliases[AliasName{a.Namespace, a.Function, a.Name}] = deal(a)
	}
	for i := range t.Routes {
		m.routes[t.Routes[i].key()] = &t.Routes[i]
	}
	m.order()
	return m
}

// order puts the routes where requests find them.
func (m *Matcher) order() {
	m.hosts, m.wild, m.any = map[string][]*compiled{}, nil, nil
	wild := map[string][]*compiled{}
	for _, r := range m.routes {
		c := compileRoute(r)
		if len(r.Match.Hosts) == 0 {
			m.any = append(m.any, c)
		}
		for _, h := range r.Match.Hosts {
			h = strings.ToLower(h)
			if suffix, ok := strings.CutPrefix(h, "*"); ok {
				wild[suffix] = append(wild[suffix], c)
			} else {
				m.hosts[h] = append(m.hosts[h], c)
			}
		}
	}
	m.sort(wild)
}

func (m *Matcher) sort(wild map[string][]*compiled) {
	for _, rs := range m.hosts {
		slices.SortStableFunc(rs, stronger)
	}
	for suffix, rs := range wild {
		slices.SortStableFunc(rs, stronger)
		m.wild = append(m.wild, wildcard{suffix, rs})
	}
	slices.SortFunc(m.wild, func(a, b wildcard) int {
		return cmp.Or(cmp.Compare(len(b.suffix), len(a.suffix)), cmp.Compare(a.suffix, b.suffix))
	})
	slices.SortStableFunc(m.any, stronger)
}

// stronger puts the route that says more first; between equals the name
// decides, so that every gateway decides alike.
func stronger(a, b *compiled) int {
	exact := func(c *compiled) int {
		if c.route.Match.Exact {
			return 0
		}
		return 1
	}
	restricted := func(c *compiled) int {
		if len(c.methods) > 0 {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(len(b.path), len(a.path)), cmp.Compare(exact(a), exact(b)), cmp.Compare(len(b.headers), len(a.headers)),
		cmp.Compare(restricted(a), restricted(b)), cmp.Compare(a.route.Target.Namespace, b.route.Target.Namespace), cmp.Compare(a.route.Name, b.route.Name))
}

func compileRoute(r *Route) *compiled {
	c := &compiled{route: r, path: strings.TrimSuffix(r.Match.Path, "/")}
	for _, m := range r.Match.Methods {
		c.methods = append(c.methods, strings.ToUpper(m))
	}
	for name, value := range r.Match.Headers {
		c.headers = append(c.headers, header{name, value})
	}
	slices.SortFunc(c.headers, func(a, b header) int { return cmp.Compare(a.name, b.name) })
	return c
}

// Find returns the route that takes a request, nil if none does: then the
// path's first segment names a function, see [Named]. A host that is named
// exactly goes before a wildcard, that before none; then the longer path, more
// headers, and named methods go first. The name of a function counts as a path
// of any host: a route of any host and path leaves it alone.
func (m *Matcher) Find(f Facts) *Route {
	if len(m.routes) == 0 {
		return nil
	}
	path := plain(f.Path)
	host := strings.ToLower(f.Host)
	if c := first(m.hosts[host], f, path); c != nil {
		return c.route
	}
	for _, w := range m.wild {
		if len(host) > len(w.suffix) && strings.HasSuffix(host, w.suffix) {
			if c := first(w.routes, f, path); c != nil {
				return c.route
			}
		}
	}
	if c := first(m.any, f, path); c != nil && (c.path != "" || !m.names(path)) {
		return c.route
	}
	return nil
}

// names says whether the path's first segment names a function.
func (m *Matcher) names(path string) bool {
	name, _ := Split(path)
	t := Named(name)
	return m.deployments[Key{t.Namespace, t.Function, function.Latest}] != nil
}

func plain(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	if p, err := url.PathUnescape(path); err == nil {
		return p
	}
	return path
}

func first(rs []*compiled, f Facts, path string) *compiled {
	for _, c := range rs {
		if c.takes(f, path) {
			return c
		}
	}
	return nil
}

func (c *compiled) takes(f Facts, path string) bool {
	rest, ok := strings.CutPrefix(path, c.path)
	switch {
	case !ok || rest != "" && rest[0] != '/' && c.path != "":
		return false
	case c.route.Match.Exact && path != c.route.Match.Path:
		return false
	case len(c.methods) > 0 && !slices.Contains(c.methods, f.Method):
		return false
	}
	for _, h := range c.headers {
		got, ok := f.value(Header, h.name)
		if !ok || h.value != "" && got != h.value {
			return false
		}
	}
	return true
}

// Deployment returns a deployment, nil if there is none.
func (m *Matcher) Deployment(k Key) *Deployment { return m.deployments[k] }

// Deployments returns all of them, in the order of their keys. They are not to be
// changed.
func (m *Matcher) Deployments() []*Deployment {
	return slices.SortedFunc(maps.Values(m.deployments), func(a, b *Deployment) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Function, b.Function), cmp.Compare(a.Version, b.Version))
	})
}

// Routes returns all of them, in no order. They are not to be changed.
func (m *Matcher) Routes() iter.Seq[*Route] { return maps.Values(m.routes) }

// Known says whether a target is there: its function, and its alias if it
// names one. Whether its version is, [Matcher.Deployment] says.
func (m *Matcher) Known(t Target) bool {
	if t.Alias != "" {
		return m.aliases[AliasName{t.Namespace, t.Function, t.Alias}] != nil
	}
	return m.deployments[Key{t.Namespace, t.Function, function.Latest}] != nil
}

// Sticky returns what the users of a target's alias are known by, nil if they
// are not.
func (m *Matcher) Sticky(t Target) *function.Sticky {
	if d := m.aliases[AliasName{t.Namespace, t.Function, t.Alias}]; d != nil {
		return d.alias.Sticky
	}
	return nil
}

// Unknown says that there is no function or alias as t names it, and which may
// be meant.
func (m *Matcher) Unknown(t Target) string {
	var names []string
	if m.deployments[Key{t.Namespace, t.Function, function.Latest}] != nil {
		for k := range m.aliases {
			if k.Namespace == t.Namespace && k.Function == t.Function {
				names = append(names, k.Name)
			}
		}
		slices.Sort(names)
		return "function " + t.Function + " has no alias " + t.Alias + bare(document.DidYouMean(t.Alias, names))
	}
	for _, d := range m.deployments {
		if d.Namespace == t.Namespace && d.Version == function.Latest {
			names = append(names, d.Function)
		}
	}
	slices.Sort(names)
	return "unknown function " + t.Function + bare(document.DidYouMean(t.Function, names))
}

// bare takes the quotes from what is sent as JSON, where they would be
// escaped.
func bare(s string) string { return strings.ReplaceAll(s, `"`, "") }
