package catalog

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/function"
)

// The prefixes of keys. Below most of them lie namespace and name; versions and
// aliases have a segment more, and so those of a function lie side by side.
const (
	specs           = "functions/"
	statuses        = "status/"
	versions        = "versions/"
	versionStatuses = "version-status/"
	aliases         = "aliases/"
	aliasStatuses   = "alias-status/"
	rollouts        = "rollouts/"
	rolloutStatuses = "rollout-status/"
	families        = "families/"
)

// Name names a function.
type Name struct{ Namespace, Name string }

// String is the name on a platform of the function's working copy. Neither
// part has dots.
func (n Name) String() string { return n.Namespace + "." + n.Name }

// ParseName reads what String wrote.
func ParseName(s string) (Name, bool) {
	ns, name, ok := strings.Cut(s, ".")
	return Name{ns, name}, ok && ns != "" && name != ""
}

func (n Name) path() string   { return n.Namespace + "/" + n.Name }
func (n Name) spec() string   { return specs + n.path() }
func (n Name) status() string { return statuses + n.path() }
func (n Name) family() string { return families + n.path() }

func (n Name) alias(name string) string       { return aliases + n.path() + "/" + name }
func (n Name) aliasStatus(name string) string { return aliasStatuses + n.path() + "/" + name }

func (n Name) rollout(alias string) string       { return rollouts + n.path() + "/" + alias }
func (n Name) rolloutStatus(alias string) string { return rolloutStatuses + n.path() + "/" + alias }

// Deployment names one version of a function, 0 for its working copy: what can
// run.
type Deployment struct {
	Name
	Version int
}

// String is the deployment's name on a platform.
func (d Deployment) String() string {
	if d.Version == 0 {
		return d.Name.String()
	}
	return d.Name.String() + "." + strconv.Itoa(d.Version)
}

// Label is the deployment's version as it is written where versions are named.
func (d Deployment) Label() string { return function.VersionLabel(d.Version) }

// ParseDeployment reads what String wrote.
func ParseDeployment(s string) (Deployment, bool) {
	n, ok := ParseName(s)
	name, number, versioned := strings.Cut(n.Name, ".")
	d := Deployment{Name: Name{n.Namespace, name}}
	if versioned {
		v, err := function.ParseVersion(number)
		d.Version, ok = v, ok && err == nil && v > 0
	}
	return d, ok && name != ""
}

func (d Deployment) number() string { return d.path() + fmt.Sprintf("/%09d", d.Version) }

// spec is the key of what shall run.
func (d Deployment) spec() string {
	if d.Version == 0 {
		return d.Name.spec()
	}
	return versions + d.number()
}

// status is the key of what runs.
func (d Deployment) status() string {
	if d.Version == 0 {
		return d.Name.status()
	}
	return versionStatuses + d.number()
}

// Kind says what a key is about.
type Kind int

// The kinds of keys.
const (
	Spec Kind = iota + 1 // a function's configuration
	Status
	VersionSpec
	VersionStatus
	AliasSpec
	AliasStatus
	// RolloutSpec and RolloutStatus are those of the rollout of an alias.
	RolloutSpec
	RolloutStatus
	// MappingSpec and MappingStatus are a mapping's own, whose function they do
	// not say: their Name is the mapping's namespace and name.
	MappingSpec
	MappingStatus
	// MappingOf is written with every change of a mapping of a function, and
	// gone when the function has it no more.
	MappingOf
)

var prefixes = []struct {
	prefix string
	kind   Kind
}{{specs, Spec}, {statuses, Status}, {versions, VersionSpec}, {versionStatuses, VersionStatus}, {aliases, AliasSpec}, {aliasStatuses, AliasStatus},
	{rollouts, RolloutSpec}, {rolloutStatuses, RolloutStatus},
	{MappingKeys, MappingSpec}, {MappingStatusKeys, MappingStatus}, {mappingsOf, MappingOf}}

// Object says what a key is about.
type Object struct {
	Kind    Kind
	Name    Name
	Version int    // of a version
	Alias   string // of an alias, or of a rollout
	Mapping string // of a MappingOf
}

// parseKey reads a key.
func parseKey(key string) (o Object, ok bool) {
	for _, p := range prefixes {
		rest, found := strings.CutPrefix(key, p.prefix)
		if !found {
			continue
		}
		o.Kind = p.kind
		o.Name.Namespace, rest, ok = strings.Cut(rest, "/")
		switch p.kind {
		case Spec, Status, MappingSpec, MappingStatus:
			o.Name.Name = rest
		case MappingOf:
			o.Name.Name, o.Mapping, ok = strings.Cut(rest, "/")
		case AliasSpec, AliasStatus, RolloutSpec, RolloutStatus:
			o.Name.Name, o.Alias, ok = strings.Cut(rest, "/")
		default:
			number := ""
			o.Name.Name, number, _ = strings.Cut(rest, "/")
			v, err := strconv.Atoi(number)
			o.Version, ok = v, err == nil && v > 0
		}
		return o, ok
	}
	return o, false
}

// parseFamily reads the key of a family.
func parseFamily(key string) (Name, bool) {
	rest, ok := strings.CutPrefix(key, families)
	ns, name, cut := strings.Cut(rest, "/")
	return Name{ns, name}, ok && cut
}
