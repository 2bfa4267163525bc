package guard

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/myelin-run/myelin/control/route"
)

const (
	fetchTime = 5 * time.Second
	// failedFor is how long an issuer that did not answer is left alone.
	failedFor = 2 * time.Second
	mostToken = 16 << 10
)

// tokens verifies tokens.
type tokens struct {
	rule       route.JWT
	algorithms []jose.SignatureAlgorithm
	secret     []byte
	keys       []any
	client     *http.Client

	mu     sync.Mutex
	remote *oidc.RemoteKeySet // found when it is first needed
	failed time.Time
}

func newTokens(j route.JWT, client *http.Client) (*tokens, error) {
	t := &tokens{rule: j, client: client, secret: []byte(j.Secret.Reveal())}
	algorithms := j.Algorithms
	if len(algorithms) == 0 {
		algorithms = []string{"RS256", "ES256"}
		if len(t.secret) > 0 {
			algorithms = []string{"HS256"}
		}
	}
	for _, a := range algorithms {
		t.algorithms = append(t.algorithms, jose.SignatureAlgorithm(a))
	}
	if t.rule.Leeway == 0 {
		t.rule.Leeway = 30e9
	}
	for i, text := range j.Keys {
		keys, err := publicKeys(text)
		if err != nil {
			return nil, fmt.Errorf("keys[%d]: %w", i, err)
		}
		t.keys = append(t.keys, keys...)
	}
	return t, nil
}

// publicKeys reads PEM, or a JSON Web Key Set.
func publicKeys(text string) (out []any, err error) {
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		var set jose.JSONWebKeySet
		if err := json.Unmarshal([]byte(text), &set); err != nil {
			return nil, err
		}
		for _, k := range set.Keys {
			if !k.Valid() || !k.IsPublic() {
				return nil, fmt.Errorf("key %q is not a public one", k.KeyID)
			}
			out = append(out, k)
		}
		return out, nil
	}
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, err
			}
			out = append(out, c.PublicKey)
			continue
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, key)
	}
	if len(out) == 0 {
		return nil, errors.New("neither PEM nor a key set")
	}
	return out, nil
}

// find takes the token out of a request.
func (t *tokens) find(v route.Values, authorization string) (string, bool) {
	if t.rule.Header != "" && !strings.EqualFold(t.rule.Header, "Authorization") {
		if token, ok := v.Value(route.Header, t.rule.Header); ok {
			if bare, ok := cutFold(token, "Bearer "); ok {
				token = bare
			}
			return token, true
		}
	} else if token, ok := cutFold(authorization, "Bearer "); ok {
		return token, true
	}
	if t.rule.Cookie != "" {
		return v.Value(route.Cookie, t.rule.Cookie)
	}
	return "", false
}

func wrong(detail string) error {
	return &Refusal{http.StatusUnauthorized, detail, `Bearer error="invalid_token"`}
}

// check verifies the signature first, and then what the token says.
func (t *tokens) check(ctx context.Context, token string) (Who, error) {
	token = strings.TrimSpace(token)
	if len(token) > mostToken {
		return Who{}, wrong("the token is too long")
	}
	signed, err := jose.ParseSigned(token, t.algorithms)
	if err != nil || len(signed.Signatures) != 1 {
		return Who{}, wrong("the token is none that this route takes")
	}
	payload, err := t.verify(ctx, token, signed)
	if errors.Is(err, errUnavailable) {
		return Who{}, &Refusal{http.StatusServiceUnavailable, err.Error(), ""}
	}
	if err != nil {
		return Who{}, wrong("the token's signature is not one of this route's issuer")
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return Who{}, wrong("the token holds no claims")
	}
	if err := t.claims(claims, time.Now()); err != nil {
		return Who{}, err
	}
	name, _ := claims["sub"].(string)
	return Who{Name: name, Claims: claims}, nil
}

func (t *tokens) verify(ctx context.Context, token string, signed *jose.JSONWebSignature) ([]byte, error) {
	if len(t.secret) > 0 {
		return signed.Verify(t.secret)
	}
	if len(t.keys) > 0 {
		id := signed.Signatures[0].Header.KeyID
		for _, k := range t.keys {
			if set, ok := k.(jose.JSONWebKey); ok && id != "" && set.KeyID != "" && set.KeyID != id {
				continue
			}
			if b, err := signed.Verify(k); err == nil {
				return b, nil
			}
		}
		return nil, errors.New("no key fits")
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	set, err := t.keySet(ctx)
	if err != nil {
		return nil, err
	}
	b, err := set.VerifySignature(ctx, token)
	if err != nil && strings.Contains(err.Error(), "fetching keys") {
		return nil, errUnavailable
	}
	return b, err
}

// keySet finds where the issuer's keys are, once.
func (t *tokens) keySet(ctx context.Context) (*oidc.RemoteKeySet, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.remote != nil {
		return t.remote, nil
	}
	if time.Since(t.failed) < failedFor {
		return nil, errUnavailable
	}
	url := t.rule.JWKSURL
	if url == "" {
		p, err := oidc.NewProvider(oidc.ClientContext(ctx, t.client), t.rule.Issuer)
		var found struct {
			URL string `json:"jwks_uri"`
		}
		if err == nil {
			err = p.Claims(&found)
		}
		if err != nil || found.URL == "" {
			t.failed = time.Now()
			return nil, errUnavailable
		}
		url = found.URL
	}
	t.remote = oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(ctx), t.client), url)
	return t.remote, nil
}

// claims checks what a token that is genuine says.
func (t *tokens) claims(c map[string]any, now time.Time) error {
	leeway := t.rule.Leeway.Std().Seconds()
	at := float64(now.Unix())
	exp, ok := c["exp"].(float64)
	switch {
	case !ok:
		return wrong("the token does not say when it ends")
	case at > exp+leeway:
		return wrong("the token's time is over")
	}
	if nbf, has := c["nbf"]; has {
		if from, ok := nbf.(float64); !ok || at < from-leeway {
			return wrong("the token's time has not begun")
		}
	}
	if t.rule.Issuer != "" && c["iss"] != t.rule.Issuer {
		return wrong("the token is another issuer's")
	}
	if len(t.rule.Audience) > 0 && !slices.ContainsFunc(t.rule.Audience, func(a string) bool { return holds(c["aud"], a) }) {
		return wrong("the token is for somebody else")
	}
	for name, value := range t.rule.Require {
		if !holds(c[name], value) {
			return &Refusal{http.StatusForbidden, "the token has not the claim " + name + " that this route asks for", `Bearer error="insufficient_scope"`}
		}
	}
	return nil
}

// holds says whether a claim is a value, or a list with it. The words of a
// scope are a list as well.
func holds(claim any, value string) bool {
	switch c := claim.(type) {
	case nil:
		return false
	case string:
		return c == value || slices.Contains(strings.Fields(c), value)
	case []any:
		return slices.ContainsFunc(c, func(v any) bool { return fmt.Sprint(v) == value })
	}
	return fmt.Sprint(claim) == value
}
