package route

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
)

// Algorithms are the signatures of tokens that can be asked for.
var Algorithms = []string{"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// minSecret is the least length of a shared secret.
const minSecret = 32

// Check finds what cannot be in p. Its errors are [document.Errors] with paths
// relative to p.
func (p *Policy) Check() error {
	var es document.Errors
	notNegative(&es, "timeout", p.Timeout)
	if p.MaxBody < 0 {
		es.Add("maxBody", "is negative")
	}
	p.RateLimit.check(&es)
	p.Auth.check(&es)
	p.CORS.check(&es)
	p.Rewrite.check(&es)
	p.Async.check(&es)
	p.Idempotency.check(&es)
	return es.Err()
}

func notNegative(es *document.Errors, path string, d quantity.Duration) {
	if d < 0 {
		es.Add(path, "is %s, expected no less than 0s", d)
	}
}

func (r *RateLimit) check(es *document.Errors) {
	if r == nil {
		return
	}
	const most = 1e9
	for path, rate := range map[string]float64{"rateLimit.rate": r.Rate, "rateLimit.perClient": r.PerClient} {
		if !(rate >= 0 && rate <= most) {
			es.Add(path, "is %g, expected 0 to %g a second", rate, most)
		}
	}
	for path, burst := range map[string]int{"rateLimit.burst": r.Burst, "rateLimit.clientBurst": r.ClientBurst} {
		if burst < 0 || burst > most {
			es.Add(path, "is %d, expected 0 to %g", burst, most)
		}
	}
	if r.Rate == 0 && r.PerClient == 0 {
		es.Add("rateLimit.rate", "is not given, nor is perClient: there is no limit")
	}
	name, isHeader := strings.CutPrefix(r.Client, "header:")
	if !slices.Contains([]string{"", "address", "subject"}, r.Client) && (!isHeader || !isWord(name)) {
		es.Add("rateLimit.client", `is %q, expected address, subject or header:NAME`, r.Client)
	}
}

func isWord(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

func (a *Auth) check(es *document.Errors) {
	if a == nil {
		return
	}
	if a.APIKey == nil && a.Basic == nil && a.JWT == nil {
		es.Add("auth", "names none of apiKey, basic and jwt")
	}
	if k := a.APIKey; k != nil {
		word(es, "auth.apiKey.header", k.Header)
		keys(es, "auth.apiKey.keys", k.Keys)
	}
	if b := a.Basic; b != nil {
		keys(es, "auth.basic.users", b.Users)
		if strings.ContainsFunc(b.Realm, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r > '~' }) {
			es.Add("auth.basic.realm", "has characters that a header cannot hold")
		}
	}
	a.JWT.check(es)
}

// word says of a name that may be left out.
func word(es *document.Errors, path, s string) {
	if s != "" && !isWord(s) {
		es.Add(path, "%q is not a header's name", s)
	}
}

func keys(es *document.Errors, path string, ks []Credential) {
	if len(ks) == 0 {
		es.Add(path, "is empty: nobody could call")
	}
	names := map[string]bool{}
	for i, k := range ks {
		at := fmt.Sprintf("%s[%d]", path, i)
		if k.Name == "" || strings.ContainsAny(k.Name, ":\r\n\x00") {
			es.Add(at+".name", "is empty or has a colon or a line's end")
		}
		if names[k.Name] {
			es.Add(at+".name", "%q is there twice", k.Name)
		}
		names[k.Name] = true
		if sum, ok := strings.CutPrefix(k.Hash, "sha256:"); ok {
			if b, err := hex.DecodeString(sum); err != nil || len(b) != 32 {
				es.Add(at+".hash", "is not sha256: and 64 hexadecimal digits")
			}
		} else if !strings.HasPrefix(k.Hash, "$2") || len(k.Hash) != 60 {
			es.Add(at+".hash", "is neither sha256:HEX nor a hash of bcrypt")
		}
	}
}

func (j *JWT) check(es *document.Errors) {
	if j == nil {
		return
	}
	if j.Issuer == "" && j.JWKSURL == "" && len(j.Keys) == 0 && j.Secret == "" {
		es.Add("auth.jwt", "names no issuer, jwksURL, keys or secret: no signature could be verified")
	}
	if j.Secret != "" && (len(j.Keys) > 0 || j.JWKSURL != "") {
		es.Add("auth.jwt.secret", "is given beside public keys: keep one, so that none is taken for the other")
	}
	if j.Secret != "" && len(j.Secret) < minSecret {
		es.Add("auth.jwt.secret", "is shorter than %d bytes", minSecret)
	}
	for path, text := range map[string]string{"auth.jwt.jwksURL": j.JWKSURL, "auth.jwt.issuer": j.discovered()} {
		if u, err := url.Parse(text); text != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
			es.Add(path, "%q is not a URL such as https://issuer.example.com", text)
		}
	}
	for i, a := range j.Algorithms {
		at := fmt.Sprintf("auth.jwt.algorithms[%d]", i)
		if !slices.Contains(Algorithms, a) {
			es.Add(at, "%q is not one of %s", a, strings.Join(Algorithms, ", "))
		} else if strings.HasPrefix(a, "HS") != (j.Secret != "") {
			es.Add(at, "%s does not go with the keys that are given", a)
		}
	}
	word(es, "auth.jwt.header", j.Header)
	word(es, "auth.jwt.cookie", j.Cookie)
	notNegative(es, "auth.jwt.leeway", j.Leeway)
}

// discovered is the issuer if its keys are found by discovery.
func (j *JWT) discovered() string {
	if j.Secret != "" || len(j.Keys) > 0 || j.JWKSURL != "" {
		return ""
	}
	return j.Issuer
}

func (c *CORS) check(es *document.Errors) {
	if c == nil {
		return
	}
	if len(c.Origins) == 0 {
		es.Add("cors.origins", "is empty: no page could call")
	}
	for i, o := range c.Origins {
		u, err := url.Parse(o)
		if o != "*" && o != "null" && (err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "") {
			es.Add(fmt.Sprintf("cors.origins[%d]", i), `%q is not an origin such as https://example.com, nor "*"`, o)
		}
		if o == "*" && c.Credentials {
			es.Add("cors.credentials", `any page could act as its visitor: name the origins instead of "*"`)
		}
	}
	for path, list := range map[string][]string{"cors.methods": c.Methods, "cors.headers": c.Headers, "cors.expose": c.Expose} {
		for i, s := range list {
			if !isWord(s) {
				es.Add(fmt.Sprintf("%s[%d]", path, i), "%q is not a method or a header's name", s)
			}
		}
	}
	notNegative(es, "cors.maxAge", c.MaxAge)
}

func (r *Rewrite) check(es *document.Errors) {
	if r == nil {
		return
	}
	for path, p := range map[string]string{"rewrite.stripPrefix": r.StripPrefix, "rewrite.addPrefix": r.AddPrefix} {
		if p != "" && (p[0] != '/' || strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r == '?' || r == '#' || r >= 0x7f })) {
			es.Add(path, "%q is not a path such as /api", p)
		}
	}
}

// MaxKept is the most of a body that is kept.
const MaxKept = 64 << 20

func (a *Async) check(es *document.Errors) {
	if a == nil {
		return
	}
	notNegative(es, "async.keep", a.Keep)
	if a.Attempts < 0 || a.Attempts > 1000 {
		es.Add("async.attempts", "is %d, expected 1 to 1000", a.Attempts)
	}
	if a.MaxBody < 0 || a.MaxBody > MaxKept {
		es.Add("async.maxBody", "is %s, expected up to 64Mi", a.MaxBody)
	}
}

func (i *Idempotency) check(es *document.Errors) {
	if i == nil {
		return
	}
	notNegative(es, "idempotency.keep", i.Keep)
	notNegative(es, "idempotency.wait", i.Wait)
	if i.MaxBody < 0 || i.MaxBody > MaxKept {
		es.Add("idempotency.maxBody", "is %s, expected up to 64Mi", i.MaxBody)
	}
}
