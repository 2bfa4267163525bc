// Package guard finds out who a client is: by an API key, a password or a
// signed token. It compares in constant time, and knows no connections.
package guard

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/myelin-run/myelin/control/route"
)

// Who is a client that was found to be somebody.
type Who struct {
	Name   string
	Claims map[string]any // of a token
	// Spent names the header that proved it, which is nobody else's business;
	// "" for a token, which functions may want to pass on.
	Spent string
}

// Claim returns a claim as text; of a list, its values with commas.
func (w Who) Claim(name string) (string, bool) {
	v, ok := w.Claims[name]
	if !ok {
		return "", false
	}
	switch v := v.(type) {
	case string:
		return v, true
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = fmt.Sprint(v[i])
		}
		return strings.Join(parts, ","), true
	}
	return fmt.Sprint(v), true
}

// Refusal is why a client may not call.
type Refusal struct {
	Status    int // 401, 403, or 503 if it cannot be known now
	Detail    string
	Challenge string // of WWW-Authenticate, "" for none
}

func (r *Refusal) Error() string { return r.Detail }

// Guard is the authentication of one route. It may be used from any goroutine.
type Guard struct {
	auth   route.Auth
	keys   []credential
	users  []credential
	tokens *tokens
	known  passwords
}

type credential struct {
	name   string
	sum    [32]byte // of a random key
	bcrypt []byte   // of a password; nil: sum
}

// New prepares the authentication; it opens nothing. client is how the keys of
// an issuer are fetched.
func New(a route.Auth, client *http.Client) (*Guard, error) {
	g := &Guard{auth: a, known: passwords{good: map[[32]byte]time.Time{}}}
	var err error
	if a.APIKey != nil {
		if g.keys, err = credentials(a.APIKey.Keys); err != nil {
			return nil, fmt.Errorf("read API keys: %w", err)
		}
	}
	if a.Basic != nil {
		if g.users, err = credentials(a.Basic.Users); err != nil {
			return nil, fmt.Errorf("read users: %w", err)
		}
	}
	if a.JWT != nil {
		if g.tokens, err = newTokens(*a.JWT, client); err != nil {
			return nil, fmt.Errorf("read keys of tokens: %w", err)
		}
	}
	return g, nil
}

func credentials(cs []route.Credential) (out []credential, err error) {
	for _, c := range cs {
		if sum, ok := strings.CutPrefix(c.Hash, "sha256:"); ok {
			b, err := hex.DecodeString(sum)
			if err != nil || len(b) != sha256.Size {
				return nil, fmt.Errorf("hash of %s is none", c.Name)
			}
			out = append(out, credential{name: c.Name, sum: [32]byte(b)})
			continue
		}
		if _, err := bcrypt.Cost([]byte(c.Hash)); err != nil {
			return nil, fmt.Errorf("hash of %s: %w", c.Name, err)
		}
		out = append(out, credential{name: c.Name, bcrypt: []byte(c.Hash)})
	}
	return out, nil
}

// Check finds out who sent a request. The way that it tries to prove itself by
// decides; there is no falling back from a wrong proof to another.
func (g *Guard) Check(ctx context.Context, v route.Values) (Who, error) {
	authorization, _ := v.Value(route.Header, "Authorization")
	if a := g.auth.APIKey; a != nil {
		if key, ok := apiKey(a, v); ok {
			return g.byKey(key)
		}
	}
	if user, ok := cutFold(authorization, "Basic "); ok && g.auth.Basic != nil {
		return g.byPassword(user)
	}
	if g.tokens != nil {
		if token, ok := g.tokens.find(v, authorization); ok {
			return g.tokens.check(ctx, token)
		}
	}
	return Who{}, &Refusal{http.StatusUnauthorized, "this route asks who you are", g.challenge("")}
}

// challenge says how one may prove oneself.
func (g *Guard) challenge(problem string) string {
	switch {
	case g.auth.Basic != nil:
		realm := g.auth.Basic.Realm
		if realm == "" {
			realm = "functions"
		}
		return `Basic realm="` + realm + `", charset="UTF-8"`
	case g.auth.JWT != nil:
		return "Bearer" + problem
	}
	return ""
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

const keyHeader = "X-Api-Key"

func headerOf(a *route.APIKey) string {
	if a.Header != "" {
		return a.Header
	}
	return keyHeader
}

func apiKey(a *route.APIKey, v route.Values) (string, bool) {
	if key, ok := v.Value(route.Header, headerOf(a)); ok {
		return key, true
	}
	if a.Query == "" {
		return "", false
	}
	return v.Value(route.Query, a.Query)
}

// byKey compares with every key, so that time says nothing of them.
func (g *Guard) byKey(key string) (Who, error) {
	if name, ok := g.match(g.keys, "", key); ok {
		return Who{Name: name, Spent: headerOf(g.auth.APIKey)}, nil
	}
	return Who{}, &Refusal{http.StatusUnauthorized, "the API key is not known", g.challenge("")}
}

// match looks for the credential of a name, "" for any, that secret proves.
func (g *Guard) match(cs []credential, name, secret string) (found string, ok bool) {
	sum := sha256.Sum256([]byte(secret))
	for i := range cs {
		c := &cs[i]
		named := name == "" || subtle.ConstantTimeCompare([]byte(c.name), []byte(name)) == 1
		good := false
		if c.bcrypt != nil {
			good = named && g.known.check(c, secret)
		} else {
			good = subtle.ConstantTimeCompare(c.sum[:], sum[:]) == 1
		}
		if named && good {
			found, ok = c.name, true
		}
	}
	return found, ok
}

// nobody has the cost of a password that is looked up in vain.
var nobody = []byte("$2a$10$7EqJtq98hPqEX7fNZaFWoOhi5BWX4Z1Z3Pp1v0LQhFh2M2H1n3K1e")

func (g *Guard) byPassword(encoded string) (Who, error) {
	no := &Refusal{http.StatusUnauthorized, "the name or the password is wrong", g.challenge("")}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil {
		return Who{}, no
	}
	name, password, ok := strings.Cut(string(b), ":")
	if !ok || name == "" || len(password) > 72 { // what bcrypt can tell apart
		return Who{}, no
	}
	if found, ok := g.match(g.users, name, password); ok {
		return Who{Name: found, Spent: "Authorization"}, nil
	}
	if !g.has(name) {
		_ = bcrypt.CompareHashAndPassword(nobody, []byte(password)) // takes as long as a wrong password
	}
	return Who{}, no
}

func (g *Guard) has(name string) bool {
	for _, u := range g.users {
		if u.name == name {
			return true
		}
	}
	return false
}

// passwords remembers for a while which were right: bcrypt is slow on purpose.
type passwords struct {
	mu   sync.Mutex
	good map[[32]byte]time.Time // hash of the credential and the secret; until when
}

const (
	rememberFor  = 5 * time.Minute
	mostRemember = 10_000
)

func (p *passwords) check(c *credential, secret string) bool {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s%s", len(c.bcrypt), c.bcrypt, secret)
	key := [32]byte(h.Sum(nil))
	now := time.Now()
	p.mu.Lock()
	until, ok := p.good[key]
	p.mu.Unlock()
	if ok && now.Before(until) {
		return true
	}
	if bcrypt.CompareHashAndPassword(c.bcrypt, []byte(secret)) != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.good) >= mostRemember {
		clear(p.good)
	}
	p.good[key] = now.Add(rememberFor)
	return true
}

// errUnavailable says that keys could not be fetched.
var errUnavailable = errors.New("the issuer's keys cannot be fetched now")
