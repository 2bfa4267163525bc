package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/access/oidc"
)

// issuer is a small one: discovery, keys, and tokens signed with RS256 or ES256.
type issuer struct {
	*testing.T
	url string
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
	// redeem answers who brings a code.
	redeem http.HandlerFunc
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{T: t}
	var err error
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if i.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	answer := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(v)
		}
	}
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	i.url = srv.URL
	mux.HandleFunc("/.well-known/openid-configuration", answer(map[string]any{
		"issuer": i.url, "jwks_uri": i.url + "/keys", "authorization_endpoint": i.url + "/auth", "token_endpoint": i.url + "/token",
		"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "HS256", "none"}, "subject_types_supported": []string{"public"}, "response_types_supported": []string{"id_token"},
	}))
	point, err := i.ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) { i.redeem(w, r) })
	mux.HandleFunc("/keys", answer(map[string]any{"keys": []any{
		map[string]string{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "r", "n": b64(i.rsa.N.Bytes()), "e": b64(big.NewInt(int64(i.rsa.E)).Bytes())},
		map[string]string{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "e", "x": b64(point[1:33]), "y": b64(point[33:])},
	}}))
	return i
}

type object = map[string]any

// token signs claims as the algorithm says.
func (i *issuer) token(alg, kid string, claims object) string {
	i.Helper()
	head, err := json.Marshal(object{"alg": alg, "kid": kid, "typ": "JWT"})
	if err != nil {
		i.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		i.Fatal(err)
	}
	text := b64(head) + "." + b64(body)
	sum := sha256.Sum256([]byte(text))
	var signature []byte
	switch alg {
	case "RS256":
		signature, err = rsa.SignPKCS1v15(rand.Reader, i.rsa, crypto.SHA256, sum[:])
	case "ES256":
		r, s, serr := ecdsa.Sign(rand.Reader, i.ec, sum[:])
		signature, err = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), serr
	case "HS256": // with what everybody knows as the key
		der, derr := x509.MarshalPKIXPublicKey(&i.rsa.PublicKey)
		mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		mac.Write([]byte(text))
		signature, err = mac.Sum(nil), derr
	}
	if err != nil {
		i.Fatal(err)
	}
	return text + "." + b64(signature)
}

func (i *issuer) claims(more object) object {
	c := object{"iss": i.url, "aud": "myelin", "sub": "ann", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "roles": []string{"myelin:shop:developer", "admins", "admin", "myelin:nonsense"}}
	for k, v := range more {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func (i *issuer) verifier() *oidc.Verifier {
	i.Helper()
	v, err := oidc.New(oidc.Options{Issuer: i.url, Audience: "myelin", Grants: map[string][]access.Grant{"admins": {{Namespace: "other", Project: access.All, Role: access.Admin}}}})
	if err != nil {
		i.Fatal(err)
	}
	return v
}

func TestIssuersTokens(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier()
	for alg, kid := range map[string]string{"RS256": "r", "ES256": "e"} {
		c, until, err := v.Verify(t.Context(), i.token(alg, kid, i.claims(nil)))
		if err != nil || c.Subject != "ann" || c.By != access.ByOIDC || time.Until(until) > time.Hour {
			t.Fatalf("%s: %+v %v %v", alg, c, until, err)
		}
		if c.Role("default", "shop") != access.Developer || c.Role("other", "x") != access.Admin || c.Role("default", "bank") != access.Nobody || c.Role(access.All, access.All) != access.Nobody {
			t.Errorf("%s: roles %+v", alg, c.Grants)
		}
	}
	c, _, err := v.Verify(t.Context(), i.token("RS256", "r", i.claims(object{"roles": "myelin:viewer others"})))
	if err != nil || c.Role(access.All, access.All) != access.Viewer {
		t.Errorf("a claim that is a text: %+v %v", c, err)
	}
}

func TestForgedTokens(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	v := i.verifier()
	good := i.token("RS256", "r", i.claims(nil))
	changed := i.claims(object{"roles": []string{"myelin:admin"}})
	body, err := json.Marshal(changed)
	if err != nil {
		t.Fatal(err)
	}
	var parts [3]string
	copy(parts[:], split(good))
	for name, token := range map[string]string{
		"none":                i.token("none", "r", changed),
		"none without a kid":  i.token("none", "", changed),
		"key confusion":       i.token("HS256", "r", changed),
		"changed claims":      parts[0] + "." + b64(body) + "." + parts[2],
		"no signature":        parts[0] + "." + parts[1] + ".",
		"another's key":       other.token("RS256", "r", i.claims(nil)),
		"another issuer":      i.token("RS256", "r", i.claims(object{"iss": other.url})),
		"another audience":    i.token("RS256", "r", i.claims(object{"aud": "somebody-else"})),
		"no audience":         i.token("RS256", "r", i.claims(object{"aud": nil})),
		"expired":             i.token("RS256", "r", i.claims(object{"exp": time.Now().Add(-time.Hour).Unix()})),
		"never expires":       i.token("RS256", "r", i.claims(object{"exp": nil})),
		"not yet":             i.token("RS256", "r", i.claims(object{"nbf": time.Now().Add(time.Hour).Unix()})),
		"no subject":          i.token("RS256", "r", i.claims(object{"sub": nil})),
		"algorithm of a head": i.token("ES256", "r", i.claims(nil)),
		"unknown key":         i.token("RS256", "x", other.claims(nil)),
		"nothing":             "", "garbage": "a.b.c",
	} {
		if c, _, err := v.Verify(t.Context(), token); !errors.Is(err, access.ErrRefused) {
			t.Errorf("%s: %+v %v", name, c, err)
		}
	}
}

func split(token string) (parts []string) {
	start := 0
	for at, c := range token + "." {
		if c == '.' {
			parts = append(parts, token[start:at])
			start = at + 1
		}
	}
	return parts
}

func TestIssuerThatIsAway(t *testing.T) {
	v, err := oidc.New(oidc.Options{Issuer: "http://127.0.0.1:1", Audience: "myelin"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.Verify(t.Context(), "a.b.c"); !errors.Is(err, access.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	for _, o := range []oidc.Options{{Issuer: "http://id.example.org", Audience: "x"}, {Issuer: "https://id.example.org"}, {Issuer: "", Audience: "x"}, {Issuer: "https://u:p@id.example.org", Audience: "x"}} {
		if _, err := oidc.New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
