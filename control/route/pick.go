package route

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/function"
)

// Choice is the version that a request goes to.
type Choice struct {
	Version string // "" if the alias is not there
	// Cookie is the value of the alias's cookie that the client is to be
	// given, "" if it has one or needs none.
	Cookie string
	TTL    int // in seconds, of the cookie; 0: as long as the browser runs
}

// dealt is an alias prepared for picking.
type dealt struct {
	alias Alias
	rules []rule
	seeds []uint64  // by version
	sums  []float64 // of the weights up to and with each version
}

type rule struct {
	from    Source
	name    string
	value   string
	prefix  string
	regex   *regexp.Regexp // nil: none
	version string
}

func deal(a Alias) *dealt {
	d := &dealt{alias: a}
	sum := 0.0
	for _, w := range a.Versions {
		sum += w.Weight
		d.sums = append(d.sums, sum)
		d.seeds = append(d.seeds, hash(w.Version))
	}
	for _, r := range a.Rules {
		c := rule{from: Header, name: r.Header, value: r.Value, prefix: r.Prefix, version: r.Version}
		switch {
		case r.Cookie != "":
			c.from, c.name = Cookie, r.Cookie
		case r.Claim != "":
			c.from, c.name = Claim, r.Claim
		}
		if r.Regex != "" {
			re, err := regexp.Compile(r.Regex)
			if err != nil {
				continue // it was checked when it was stored: one that cannot be read fits nobody
			}
			c.regex = re
		}
		d.rules = append(d.rules, c)
	}
	return d
}

// Pick returns the version that a request to t goes to. random is a fresh
// number for each request, equally likely over all of its range.
//
// The first rule of the alias that fits decides. Else, if the alias is sticky
// and the request carries what it sticks to, the user's value decides: as long
// as weights stay the same a value always goes to the same version, and when
// they change few more go elsewhere than must. Else the weights decide.
func (m *Matcher) Pick(t Target, f Facts, random uint64) Choice {
	if t.Alias == "" {
		if t.Version == "" {
			return Choice{Version: function.Latest}
		}
		return Choice{Version: t.Version}
	}
	d := m.aliases[AliasName{t.Namespace, t.Function, t.Alias}]
	if d == nil {
		return Choice{}
	}
	for i := range d.rules {
		if d.rules[i].fits(f) {
			return Choice{Version: d.rules[i].version}
		}
	}
	if s := d.alias.Sticky; s != nil && len(d.alias.Versions) > 0 {
		return d.stick(s, f, random)
	}
	return Choice{Version: d.byWeight(random)}
}

func (r *rule) fits(f Facts) bool {
	got, ok := f.value(r.from, r.name)
	switch {
	case !ok:
		return false
	case r.value != "":
		return got == r.value
	case r.prefix != "":
		return strings.HasPrefix(got, r.prefix)
	case r.regex != nil:
		return r.regex.MatchString(got)
	}
	return true
}

// Deal returns the version that the weights give to a key, which is the same one as
// long as they stay; "" if there are none.
func Deal(versions []function.Weighted, key string) string {
	return deal(Alias{Versions: versions}).byWeight(hash(key))
}

// byWeight maps the range of random onto the weights.
func (d *dealt) byWeight(random uint64) string {
	n := len(d.sums)
	if n == 0 {
		return ""
	}
	at := float64(random>>11) / (1 << 53) * d.sums[n-1]
	for i, sum := range d.sums {
		if at < sum {
			return d.alias.Versions[i].Version
		}
	}
	return d.alias.Versions[n-1].Version
}

// stick finds the version of a user. A cookie that the gateway gave says which
// version its user had, and is followed as long as that version has a share.
func (d *dealt) stick(s *function.Sticky, f Facts, random uint64) Choice {
	from, name := Cookie, s.Cookie
	switch {
	case s.Header != "":
		from, name = Header, s.Header
	case s.Query != "":
		from, name = Query, s.Query
	}
	value, ok := f.value(from, name)
	if ok && value != "" {
		if had, given := given(value); from == Cookie && given && d.has(had) {
			return Choice{Version: had}
		}
		return d.again(from, value, s)
	}
	version := d.byWeight(random)
	if from != Cookie {
		return Choice{Version: version}
	}
	return Choice{Version: version, Cookie: cookie(version, random), TTL: int(s.TTL.Std().Seconds())}
}

// again finds the version of a user whose value says none. One that the gateway
// gave is given anew, with the version that it stands for from now on.
func (d *dealt) again(from Source, value string, s *function.Sticky) Choice {
	c := Choice{Version: d.byValue(value)}
	if _, ours := given(value); from == Cookie && ours {
		c.Cookie, c.TTL = cookie(c.Version, hash(value)), int(s.TTL.Std().Seconds())
	}
	return c
}

// mark ends a cookie that the gateway made.
const mark = ".myelin"

// cookie writes what given reads: the version, and a number that tells users
// apart when the version has gone.
func cookie(version string, random uint64) string {
	return strings.TrimPrefix(version, "$") + "." + strconv.FormatUint(mix(random), 36) + mark
}

func given(cookie string) (version string, ok bool) {
	rest, ok := strings.CutSuffix(cookie, mark)
	version, _, cut := strings.Cut(rest, ".")
	if version == strings.TrimPrefix(function.Latest, "$") {
		version = function.Latest
	}
	return version, ok && cut
}

func (d *dealt) has(version string) bool {
	return slices.ContainsFunc(d.alias.Versions, func(w function.Weighted) bool { return w.Version == version && w.Weight > 0 })
}

// byValue is weighted rendezvous hashing: each version draws a lot for the
// value, better lots the greater its weight, and the best lot wins. A changed
// weight changes that version's lots alone.
func (d *dealt) byValue(value string) string {
	h := hash(value)
	best, at := math.Inf(-1), 0
	for i, w := range d.alias.Versions {
		if w.Weight <= 0 {
			continue
		}
		u := (float64(mix(h^d.seeds[i])>>11) + 0.5) / (1 << 53)
		if lot := math.Log(u) / w.Weight; lot > best {
			best, at = lot, i
		}
	}
	return d.alias.Versions[at].Version
}

// hash is FNV-1a, well mixed.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finaliser of splitmix64: every bit of x moves half of the result.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
