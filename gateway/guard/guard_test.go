package guard

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/bcrypt"

	"github.com/myelin-run/myelin/control/route"
	"github.com/myelin-run/myelin/quantity"
)

// values are headers, and by "?name" and "cookie name" the rest.
type values map[string]string

func (v values) Value(from route.Source, name string) (string, bool) {
	prefix := map[route.Source]string{route.Query: "?", route.Cookie: "cookie "}[from]
	got, ok := v[prefix+name]
	return got, ok
}

func sum(s string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s))) }

func hashed(t *testing.T, s string) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(s), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func newGuard(t *testing.T, a route.Auth) *Guard {
	t.Helper()
	g, err := New(a, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// is wants a name, or with a number the status of a refusal.
func is(t *testing.T, g *Guard, v values, want any) {
	t.Helper()
	who, err := g.Check(t.Context(), v)
	var no *Refusal
	switch want := want.(type) {
	case string:
		if err != nil || who.Name != want {
			t.Errorf("%v: %q, %v, want %q", v, who.Name, err, want)
		}
	case int:
		if !errors.As(err, &no) || no.Status != want {
			t.Errorf("%v: %q, %v, want %d", v, who.Name, err, want)
		}
	}
}

func basic(user, password string) values {
	return values{"Authorization": "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
}

func TestKeysAndPasswords(t *testing.T) {
	g := newGuard(t, route.Auth{
		APIKey: &route.APIKey{Query: "key", Keys: []route.Credential{{Name: "shop", Hash: sum("k1")}, {Name: "till", Hash: sum("k2")}}},
		Basic:  &route.Basic{Users: []route.Credential{{Name: "ada", Hash: hashed(t, "secret")}, {Name: "bob", Hash: sum("word")}}},
	})
	is(t, g, values{"X-Api-Key": "k1"}, "shop")
	is(t, g, values{"?key": "k2"}, "till")
	is(t, g, values{"X-Api-Key": "k3"}, 401)
	is(t, g, values{"X-Api-Key": ""}, 401)
	is(t, g, values{}, 401)
	for range 2 { // the second time it is remembered
		is(t, g, basic("ada", "secret"), "ada")
	}
	is(t, g, basic("bob", "word"), "bob")
	for _, v := range []values{basic("ada", "word"), basic("bob", "secret"), basic("", "secret"), basic("eve", "secret"), basic("ada", strings.Repeat("x", 100)), {"Authorization": "Basic !!"}, {"Authorization": "Basic "}} {
		is(t, g, v, 401)
	}
	var no *Refusal
	if _, err := g.Check(t.Context(), values{}); !errors.As(err, &no) || no.Challenge != `Basic realm="functions", charset="UTF-8"` {
		t.Errorf("challenge %+v", no)
	}
}

func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, claims map[string]any) values {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.Marshal(claims)
	o, err := s.Sign(b)
	if err != nil {
		t.Fatal(err)
	}
	text, err := o.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return values{"Authorization": "bearer " + text}
}

func claims(more map[string]any) map[string]any {
	c := map[string]any{"sub": "ada", "iss": "me", "aud": []string{"shop", "till"}, "exp": time.Now().Add(time.Hour).Unix(), "scope": "read write", "roles": []string{"a", "b"}}
	for k, v := range more {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return c
}

func TestTokens(t *testing.T) {
	secret := strings.Repeat("s", 32)
	g := newGuard(t, route.Auth{JWT: &route.JWT{Issuer: "me", Audience: []string{"shop"}, Secret: quantity.Secret(secret), Cookie: "token", Require: map[string]string{"scope": "read", "roles": "b"}}})
	with := func(more map[string]any) values { return sign(t, jose.HS256, []byte(secret), claims(more)) }
	is(t, g, with(nil), "ada")
	is(t, g, values{"cookie token": strings.TrimPrefix(with(nil)["Authorization"], "bearer ")}, "ada")
	is(t, g, with(map[string]any{"aud": "shop"}), "ada")
	is(t, g, with(map[string]any{"exp": time.Now().Add(-10 * time.Second).Unix()}), "ada") // within the leeway
	past, next := time.Now().Add(-time.Hour).Unix(), time.Now().Add(time.Hour).Unix()
	for name, more := range map[string]map[string]any{
		"old": {"exp": past}, "endless": {"exp": nil}, "no time": {"exp": "x"}, "not yet": {"nbf": next}, "issuer": {"iss": "you"}, "no issuer": {"iss": nil}, "audience": {"aud": "x"}, "no audience": {"aud": nil},
	} {
		t.Log(name)
		is(t, g, with(more), 401)
	}
	is(t, g, with(map[string]any{"scope": "readwrite"}), 403)
	is(t, g, with(map[string]any{"roles": nil}), 403)
	is(t, g, sign(t, jose.HS256, []byte(strings.Repeat("x", 32)), claims(nil)), 401)
	is(t, g, sign(t, jose.HS512, []byte(secret+secret), claims(nil)), 401)
	for _, text := range []string{"", "x", "..", "a.b.c", strings.Repeat("a", 20000)} {
		is(t, g, values{"Authorization": "Bearer " + text}, 401)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"ada"}`)) + "."
	is(t, g, values{"Authorization": "Bearer " + none}, 401)
	who, err := g.Check(t.Context(), with(nil))
	if roles, _ := who.Claim("roles"); err != nil || roles != "a,b" {
		t.Errorf("roles %q, %v", roles, err)
	}
}

func TestPublicKeys(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	set, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &ecKey.PublicKey, KeyID: "e", Algorithm: "ES256", Use: "sig"}}})
	g := newGuard(t, route.Auth{JWT: &route.JWT{Keys: []string{public, string(set)}}})
	is(t, g, sign(t, jose.RS256, rsaKey, claims(nil)), "ada")
	is(t, g, sign(t, jose.ES256, jose.JSONWebKey{Key: ecKey, KeyID: "e"}, claims(nil)), "ada")
	is(t, g, sign(t, jose.ES256, jose.JSONWebKey{Key: ecKey, KeyID: "other"}, claims(nil)), 401)
	is(t, g, sign(t, jose.HS256, []byte(public), claims(nil)), 401) // the public key is no shared secret
	other, _ := rsa.GenerateKey(rand.Reader, 2048)
	is(t, g, sign(t, jose.RS256, other, claims(nil)), 401)
	for _, text := range []string{"x", "{}x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		if _, err := New(route.Auth{JWT: &route.JWT{Keys: []string{text}}}, nil); err == nil {
			t.Errorf("%q is a key", text)
		}
	}
	private, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: ecKey, KeyID: "e"}}})
	if _, err := New(route.Auth{JWT: &route.JWT{Keys: []string{string(private)}}}, nil); err == nil {
		t.Error("a private key was taken")
	}
}

// Keys are found by discovery, and found again when the issuer has new ones.
func TestIssuer(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var issuer *httptest.Server
	id, down := "1", false
	issuer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case down:
			w.WriteHeader(500)
		case strings.HasSuffix(r.URL.Path, "openid-configuration"):
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, issuer.URL, issuer.URL+"/keys")
		default:
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: id, Algorithm: "ES256", Use: "sig"}}})
		}
	}))
	defer issuer.Close()
	g := newGuard(t, route.Auth{JWT: &route.JWT{Issuer: issuer.URL}})
	token := func(id string) values {
		return sign(t, jose.ES256, jose.JSONWebKey{Key: key, KeyID: id}, claims(map[string]any{"iss": issuer.URL}))
	}
	is(t, g, token("1"), "ada")
	is(t, g, token("2"), 401)
	id = "2"
	is(t, g, token("2"), "ada")
	down = true
	is(t, g, token("2"), "ada")
	is(t, g, token("3"), 503)
	is(t, newGuard(t, route.Auth{JWT: &route.JWT{Issuer: issuer.URL}}), token("2"), 503)
}

func FuzzToken(f *testing.F) {
	g, err := New(route.Auth{
		JWT:   &route.JWT{Secret: quantity.Secret(strings.Repeat("s", 32))},
		Basic: &route.Basic{Users: []route.Credential{{Name: "a", Hash: sum("b")}}},
	}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("Bearer a.b.c")
	f.Add("Basic YTpj")
	f.Fuzz(func(t *testing.T, text string) {
		who, err := g.Check(t.Context(), values{"Authorization": text})
		if err == nil && who.Spent != "Authorization" { // a password can be guessed; a signature not
			t.Errorf("%q is %+v", text, who)
		}
	})
}
