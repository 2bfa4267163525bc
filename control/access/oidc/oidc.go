// Package oidc knows callers by the tokens of an OpenID Connect issuer: it
// checks signature, issuer, audience and time, and turns a claim into roles. It
// asks the issuer for its keys, and for the token of somebody whom a browser has
// sent back from it, and keeps no users.
package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"

	"github.com/myelin-run/myelin/control/access"
)

// Options of an issuer's tokens.
type Options struct {
	Issuer   string  // URL, of https unless it is this machine's own
	Audience string  // that tokens must be for, if they are not for Client
	Client   *Client // nil: nobody signs in by a browser
	// Claim that has the roles; default "roles". Its words count if they begin
	// with "myelin:", and a grant follows, or if Grants has them: a group that
	// is called admin by chance is nobody's admin here.
	Claim string
	// Grants by words of the claim.
	Grants map[string][]access.Grant
	// Namespace of grants that name none.
	Namespace string
}

// Word begins words of the claim that are grants.
const Word = "myelin:"

// Verifier implements [access.Verifier].
type Verifier struct {
	o      Options
	client *http.Client

	mu       sync.Mutex
	provider *goidc.Provider
}

// algorithms are those with which only the issuer can sign.
var algorithms = []string{goidc.RS256, goidc.RS384, goidc.RS512, goidc.ES256, goidc.ES384, goidc.ES512, goidc.PS256, goidc.PS384, goidc.PS512, goidc.EdDSA}

// New checks o; it asks the issuer for nothing yet.
func New(o Options) (*Verifier, error) {
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return nil, fmt.Errorf("OIDC issuer %q: want a URL such as https://id.example.org", o.Issuer)
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, fmt.Errorf("OIDC issuer %q: want https", o.Issuer)
	case o.Client != nil && o.Client.ID == "":
		return nil, errors.New("OIDC client: say by which client id the issuer knows this control plane")
	case o.Audience == "" && o.Client == nil:
		return nil, errors.New("OIDC audience: say for whom tokens must be, which is this control plane's client id at the issuer")
	}
	if o.Claim == "" {
		o.Claim = "roles"
	}
	if o.Namespace == "" {
		o.Namespace = "default"
	}
	return &Verifier{o: o, client: &http.Client{Timeout: 10 * time.Second}}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// ready returns the issuer, and finds out at first where it is asked and where
// its keys are. An issuer that cannot be reached is asked again at the next token.
func (v *Verifier) ready() (*goidc.Provider, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.provider != nil {
		return v.provider, nil
	}
	// The keys are fetched with this context as long as there are tokens.
	p, err := goidc.NewProvider(goidc.ClientContext(context.Background(), v.client), v.o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", access.ErrUnavailable, err)
	}
	v.provider = p
	return p, nil
}

// parse takes a token that the issuer has signed for this control plane and that
// is not over.
func (v *Verifier) parse(ctx context.Context, text string) (*goidc.IDToken, error) {
	p, err := v.ready()
	if err != nil {
		return nil, err
	}
	token, err := p.Verifier(&goidc.Config{SkipClientIDCheck: true, SupportedSigningAlgs: algorithms}).Verify(ctx, text)
	if err != nil || token.Subject == "" || !slices.ContainsFunc(token.Audience, v.ours) {
		return nil, access.ErrRefused
	}
	return token, nil
}

func (v *Verifier) ours(audience string) bool {
	return audience != "" && (audience == v.o.Audience || v.o.Client != nil && audience == v.o.Client.ID)
}

// Verify implements [access.Verifier].
func (v *Verifier) Verify(ctx context.Context, text string) (access.Caller, time.Time, error) {
	token, err := v.parse(ctx, text)
	if err != nil {
		return access.Caller{}, time.Time{}, err
	}
	var claims map[string]json.RawMessage
	if err := token.Claims(&claims); err != nil {
		return access.Caller{}, time.Time{}, access.ErrRefused
	}
	grants := v.grants(words(claims[v.o.Claim]))
	return access.Caller{Subject: token.Subject, By: access.ByOIDC, Grants: grants}, token.Expiry, nil
}

// words reads a claim that is a list, or words in one text.
func words(raw json.RawMessage) []string {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return list
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return strings.Fields(text)
	}
	return nil
}

func (v *Verifier) grants(words []string) []access.Grant {
	out := []access.Grant{}
	add := func(g access.Grant) {
		if !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	for _, w := range words {
		for _, g := range v.o.Grants[w] {
			add(g)
		}
		if text, ok := strings.CutPrefix(w, Word); ok {
			if g, err := access.ParseGrant(text, v.o.Namespace); err == nil {
				add(g)
			}
		}
	}
	return out
}
