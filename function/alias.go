package function

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/quantity"
)

// Alias is a name of a function under which a version, or several by weight,
// are reached. It is moved while the versions stay as they are.
type Alias struct {
	// myelin.run/v1.
	APIVersion string `json:"apiVersion,omitempty"`
	// Alias.
	Kind string `json:"kind,omitempty"`
	// What the alias is called within its function, and labelled. A name is no number.
	Metadata Metadata `json:"metadata"`
	// Where the alias leads.
	Spec AliasSpec `json:"spec"`
	// What is now. It is not the writer's to say.
	Status AliasStatus `json:"status,omitzero"`
}

// AliasSpec says where an alias leads.
type AliasSpec struct {
	// The function.
	Function string `json:"function,omitempty"`
	// The versions, whose weights add up to 100.
	Versions []Weighted `json:"versions,omitempty"`
	// What keeps a user at one version. Default: each request is dealt anew.
	Sticky *Sticky `json:"sticky,omitempty"`
	// Who goes where whatever the weights; the first that fits decides.
	Rules []Rule `json:"rules,omitempty"`
}

// Weighted is a version with its share.
type Weighted struct {
	// Number of the version, or $latest.
	Version string `json:"version" document:"scalar"`
	// Share in percent, decimals allowed. A version alone has 100.
	Weight float64 `json:"weight"`
}

// Sticky says what a user is known by: exactly one of cookie, header and
// query.
type Sticky struct {
	// Name of a cookie. Who has none gets it from the gateway, and stays with a version as long as the alias has it.
	Cookie string `json:"cookie,omitempty"`
	// Name of a header.
	Header string `json:"header,omitempty"`
	// Name of a parameter of the query.
	Query string `json:"query,omitempty"`
	// How long the gateway's cookie is kept. Default: as long as the browser runs.
	TTL quantity.Duration `json:"ttl,omitempty"`
}

// Rule sends the requests that fit to one version. It has exactly one of
// header, claim and cookie, and at most one of value, prefix and regex; without
// any of these the thing has only to be there.
type Rule struct {
	// Name of a header.
	Header string `json:"header,omitempty"`
	// Name of a claim of the token that the route verified.
	Claim string `json:"claim,omitempty"`
	// Name of a cookie.
	Cookie string `json:"cookie,omitempty"`
	// The whole value.
	Value string `json:"value,omitempty" document:"scalar"`
	// How the value begins.
	Prefix string `json:"prefix,omitempty"`
	// A regular expression that is found in the value.
	Regex string `json:"regex,omitempty"`
	// Number of the version, or $latest.
	Version string `json:"version" document:"scalar"`
}

// AliasStatus is how an alias is now.
type AliasStatus struct {
	// What requests and events follow now: the spec, once all that it names is ready.
	Effective *AliasSpec `json:"effective,omitempty"`
	// Revision of the alias that is in effect.
	Observed int64 `json:"observedRevision,omitempty"`
	// What is waited for, such as "version 4 is starting".
	Waiting []string `json:"waiting,omitempty"`
	// Where the alias led, the newest first and what is now included.
	History []Move `json:"history,omitempty"`
}

// Move is one change of an alias.
type Move struct {
	// When it was moved.
	At time.Time `json:"at"`
	// Who moved it.
	By string `json:"by,omitempty"`
	// Why, in the mover's words.
	Note string `json:"note,omitempty"`
	// To where.
	Spec AliasSpec `json:"spec"`
}

// MaxHistory is how many moves an alias remembers.
const MaxHistory = 50

// AliasDefaults fills in what a does not say.
func AliasDefaults(a *Alias) {
	fill(&a.APIVersion, APIVersion)
	fill(&a.Kind, AliasKind)
	a.Spec.Versions = slices.Clone(a.Spec.Versions)
	for i := range a.Spec.Versions {
		fill(&a.Spec.Versions[i].Version, Latest)
	}
	if len(a.Spec.Versions) == 1 {
		fill(&a.Spec.Versions[0].Weight, 100)
	}
}

// Names returns the versions that requests or events can get by s, each once,
// the working copy as 0. Versions with weight 0 are among them: they are kept
// running.
func (s AliasSpec) Names() []int {
	var out []int
	add := func(label string) {
		if n, err := ParseVersion(label); err == nil && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	for _, w := range s.Versions {
		add(w.Version)
	}
	for _, r := range s.Rules {
		add(r.Version)
	}
	return out
}

// Share is the part, 0 to 1, of what follows s by weight that version n gets.
func (s AliasSpec) Share(n int) float64 {
	sum, its := 0.0, 0.0
	for _, w := range s.Versions {
		sum += w.Weight
		if v, err := ParseVersion(w.Version); err == nil && v == n {
			its += w.Weight
		}
	}
	if sum <= 0 {
		return 0
	}
	return its / sum
}

// weightSlack is how far from 100 the sum may be, so that 33.3, 33.3 and 33.4
// do not depend on how decimals are added.
const weightSlack = 1e-6

func sumOf(ws []Weighted) (sum float64) {
	for _, w := range ws {
		sum += w.Weight
	}
	return sum
}

func isHundred(sum float64) bool { return math.Abs(sum-100) < weightSlack }

func percent(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
