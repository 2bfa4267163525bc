package route

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/function"
)

// A matcher that was led through differences decides as one that was compiled
// from the whole table, and those before it stay as they were.
func TestDifferencesLeadToTheSameTable(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 7))
		deployments, aliases, routes := map[Key]Deployment{}, map[AliasName]Alias{}, map[RouteName]Route{}
		whole := func() (out Table) {
			for _, d := range deployments {
				out.Deployments = append(out.Deployments, d)
			}
			for _, a := range aliases {
				out.Aliases = append(out.Aliases, a)
			}
			for _, x := range routes {
				out.Routes = append(out.Routes, x)
			}
			return out
		}
		m := Compile(whole())
		for range 60 {
			before := decisions(m)
			var d Diff // of different functions, so that it says nothing twice
			for _, f := range r.Perm(4)[:r.IntN(4)] {
				fn := fmt.Sprint("f", f)
				switch gone := r.IntN(3) == 0; r.IntN(3) {
				case 0:
					x := Deployment{Namespace: "default", Function: fn, Version: []string{function.Latest, "1", "2"}[r.IntN(3)], State: Serving, Address: fmt.Sprint("a", r.IntN(9))}
					if delete(deployments, x.Key()); gone {
						d.GoneDeployments = append(d.GoneDeployments, x.Key())
					} else {
						deployments[x.Key()] = x
						d.Deployments = append(d.Deployments, x)
					}
				case 1:
					x := Alias{Namespace: "default", Function: fn, Name: "prod", Versions: []function.Weighted{{Version: fmt.Sprint(1 + r.IntN(2)), Weight: 100}}}
					k := AliasName{x.Namespace, x.Function, x.Name}
					if delete(aliases, k); gone {
						d.GoneAliases = append(d.GoneAliases, k)
					} else {
						aliases[k] = x
						d.Aliases = append(d.Aliases, x)
					}
				default:
					x := Route{Name: "r" + fn, Match: Match{Path: fmt.Sprint("/p", r.IntN(3))}, Target: Target{Namespace: "default", Function: fn}}
					if r.IntN(2) == 0 {
						x.Match.Hosts = []string{[]string{"a.example", "*.example"}[r.IntN(2)]}
					}
					if delete(routes, x.key()); gone {
						d.GoneRoutes = append(d.GoneRoutes, x.key())
					} else {
						routes[x.key()] = x
						d.Routes = append(d.Routes, x)
					}
				}
			}
			next := m.With(d)
			if diff := cmp.Diff(decisions(Compile(whole())), decisions(next)); diff != "" {
				t.Fatalf("seed %d: %s", seed, diff)
			}
			if diff := cmp.Diff(before, decisions(m)); diff != "" {
				t.Fatalf("seed %d: the matcher before is another now: %s", seed, diff)
			}
			m = next
		}
	}
}

func decisions(m *Matcher) (out []string) {
	for _, d := range m.Deployments() {
		out = append(out, fmt.Sprintf("%+v", *d))
	}
	for f := range 4 {
		to := Target{Namespace: "default", Function: fmt.Sprint("f", f), Alias: "prod"}
		out = append(out, fmt.Sprint(m.Known(to), m.Pick(to, Facts{}, 0)))
	}
	for _, host := range []string{"a.example", "b.example", "other"} {
		for p := range 4 {
			r := m.Find(Facts{Host: host, Path: fmt.Sprintf("/p%d/x", p)})
			if r == nil {
				out = append(out, "none")
			} else {
				out = append(out, r.Name+" "+r.Target.String())
			}
		}
	}
	return out
}
