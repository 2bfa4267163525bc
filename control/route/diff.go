package route

import "maps"

// Edition names a state of a table: whose it is, and how far that one has come.
// The zero Edition is none.
type Edition struct {
	Of string `json:"of"`
	At int64  `json:"at"`
}

// Diff leads from one edition of a table to a later one. Who has another
// edition than From needs the whole table.
type Diff struct {
	From Edition `json:"from"`
	To   Edition `json:"to"`

	Deployments []Deployment `json:"deployments,omitempty"` // new, or other than before
	Aliases     []Alias      `json:"aliases,omitempty"`
	Routes      []Route      `json:"routes,omitempty"`

	GoneDeployments []Key       `json:"goneDeployments,omitempty"`
	GoneAliases     []AliasName `json:"goneAliases,omitempty"`
	GoneRoutes      []RouteName `json:"goneRoutes,omitempty"`
}

// AliasName names an alias among all.
type AliasName struct{ Namespace, Function, Name string }

// RouteName names a route among all, by its mapping.
type RouteName struct{ Namespace, Name string }

func (r *Route) key() RouteName { return RouteName{r.Target.Namespace, r.Name} }

// With returns a matcher for the table to which d leads. m stays as it is, and
// what d does not change they share.
func (m *Matcher) With(d Diff) *Matcher {
	next := *m
	if len(d.Deployments)+len(d.GoneDeployments) > 0 {
		next.deployments = maps.Clone(m.deployments)
		for _, k := range d.GoneDeployments {
			delete(next.deployments, k)
		}
		for i := range d.Deployments {
			next.deployments[d.Deployments[i].Key()] = &d.Deployments[i]
		}
	}
	if len(d.Aliases)+len(d.GoneAliases) > 0 {
		next.aliases = maps.Clone(m.aliases)
		for _, k := range d.GoneAliases {
			delete(next.aliases, k)
		}
		for _, a := range d.Aliases {
			next.aliases[AliasName{a.Namespace, a.Function, a.Name}] = deal(a)
		}
	}
	if len(d.Routes)+len(d.GoneRoutes) > 0 {
		next.routes = maps.Clone(m.routes)
		for _, k := range d.GoneRoutes {
			delete(next.routes, k)
		}
		for i := range d.Routes {
			next.routes[d.Routes[i].key()] = &d.Routes[i]
		}
		next.order()
	}
	return &next
}
