package function

import (
	"fmt"
	"regexp"
	"strconv"
)

// ParseAlias reads an alias from YAML or JSON, as [Parse] reads a function.
func ParseAlias(name string, text []byte) (Alias, error) {
	return parseObject(name, text, (*checker).alias)
}

// ValidateAlias checks a complete alias. Its errors are [document.Errors]
// without lines. Whether the function and its versions are there it does not
// know.
func ValidateAlias(a Alias) error {
	var c checker
	c.alias(&a)
	if a.Metadata.Name == "" {
		c.Add("metadata.name", "is required, such as prod")
	}
	if a.Spec.Function == "" {
		c.Add("spec.function", "is required")
	}
	switch sum := sumOf(a.Spec.Versions); {
	case len(a.Spec.Versions) == 0:
		c.Add("spec.versions", "is required: at least one version")
	case !isHundred(sum):
		c.Add("spec.versions", "the weights add up to %s, expected 100", percent(sum))
	}
	return c.Err()
}

// alias finds what is wrong in the fields that are set.
func (c *checker) alias(a *Alias) {
	c.word("apiVersion", a.APIVersion, []string{APIVersion})
	c.word("kind", a.Kind, []string{AliasKind})
	c.metadata(&a.Metadata)
	c.aliasName("metadata.name", a.Metadata.Name)
	if a.Spec.Function != "" {
		c.label("spec.function", a.Spec.Function)
	}
	c.weights(a.Spec.Versions)
	c.sticky(a.Spec.Sticky)
	for i, r := range a.Spec.Rules {
		c.rule(fmt.Sprintf("spec.rules[%d]", i), r)
	}
}

// aliasName refuses numbers, which are versions.
func (c *checker) aliasName(path, name string) {
	if _, err := strconv.Atoi(name); err == nil {
		c.Add(path, "%q is a number, which is a version's: choose a name such as prod", name)
	}
}

func (c *checker) weights(ws []Weighted) {
	seen := map[string]bool{}
	for i, w := range ws {
		path := fmt.Sprintf("spec.versions[%d]", i)
		if w.Version != "" {
			c.version(path+".version", w.Version)
		}
		if seen[w.Version] {
			c.Add(path+".version", "%s is there twice", w.Version)
		}
		seen[w.Version] = true
		if !(w.Weight >= 0 && w.Weight <= 100) {
			c.Add(path+".weight", "is %s, expected 0 to 100", percent(w.Weight))
		}
	}
}

func (c *checker) version(path, label string) {
	if _, err := ParseVersion(label); err != nil {
		c.Add(path, "%v", err)
	}
}

func (c *checker) sticky(s *Sticky) {
	if s == nil {
		return
	}
	c.oneOf("spec.sticky", []string{"cookie", "header", "query"}, s.Cookie, s.Header, s.Query)
	c.token("spec.sticky.cookie", s.Cookie)
	c.token("spec.sticky.header", s.Header)
	c.span("spec.sticky.ttl", s.TTL)
	if s.TTL != 0 && s.Cookie == "" {
		c.Add("spec.sticky.ttl", "has a meaning with cookie only")
	}
}

func (c *checker) rule(path string, r Rule) {
	c.oneOf(path, []string{"header", "claim", "cookie"}, r.Header, r.Claim, r.Cookie)
	c.token(path+".header", r.Header)
	c.token(path+".cookie", r.Cookie)
	said := 0
	for _, s := range []string{r.Value, r.Prefix, r.Regex} {
		if s != "" {
			said++
		}
	}
	if said > 1 {
		c.Add(path, "has several of value, prefix and regex: keep one")
	}
	if _, err := regexp.Compile(r.Regex); err != nil {
		c.Add(path+".regex", "%v", err)
	}
	if r.Version == "" {
		c.Add(path+".version", "is required")
	} else {
		c.version(path+".version", r.Version)
	}
}

// oneOf checks that exactly one of some fields is set.
func (c *checker) oneOf(path string, names []string, values ...string) {
	said := 0
	for _, v := range values {
		if v != "" {
			said++
		}
	}
	if said != 1 {
		c.Add(path, "want exactly one of %s, %s and %s", names[0], names[1], names[2])
	}
}

var tokenForm = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// token checks the name of a header or a cookie.
func (c *checker) token(path, name string) {
	if name != "" && !tokenForm.MatchString(name) {
		c.Add(path, "%q is not a name of letters, digits and -", name)
	}
}
