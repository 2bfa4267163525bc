package oidc_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/access/oidc"
)

func client(t *testing.T, i *issuer) *oidc.Verifier {
	t.Helper()
	v, err := oidc.New(oidc.Options{Issuer: i.url, Client: &oidc.Client{ID: "dashboard", Secret: "hush", Scopes: []string{"roles"}}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var code = oidc.Code{Code: "the code", Proof: strings.Repeat("v", 43), Nonce: "the nonce", Redirect: "http://127.0.0.1/callback"}

func TestDoor(t *testing.T) {
	i := newIssuer(t)
	d, err := client(t, i).Door()
	if err != nil || d.Issuer != i.url || d.Authorization != i.url+"/auth" || d.ClientID != "dashboard" || !slices.Equal(d.Scopes, []string{"openid", "roles"}) {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := i.verifier().Door(); !errors.Is(err, oidc.ErrNoClient) {
		t.Error(err)
	}
	if _, err := i.verifier().Redeem(t.Context(), code); !errors.Is(err, oidc.ErrNoClient) {
		t.Error(err)
	}
}

// A code is redeemed with all that the issuer is to compare, and gives a token that
// is then taken; one of another sign-in, or for somebody else, is not.
func TestRedeem(t *testing.T) {
	i := newIssuer(t)
	v := client(t, i)
	claims := i.claims(object{"aud": "dashboard", "nonce": "the nonce"})
	i.redeem = func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		for name, want := range map[string]string{"grant_type": "authorization_code", "code": code.Code, "code_verifier": code.Proof, "redirect_uri": code.Redirect} {
			if got := r.PostFormValue(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if id != "dashboard" || secret != "hush" {
			t.Errorf("%q %q", id, secret)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(object{"access_token": "x", "token_type": "Bearer", "id_token": i.token("RS256", "r", claims)})
	}
	got, err := v.Redeem(t.Context(), code)
	if err != nil || got.Expires.IsZero() || got.Subject != "ann" {
		t.Fatal(got, err)
	}
	if c, _, err := v.Verify(t.Context(), got.Token); err != nil || c.Subject != "ann" {
		t.Error(c, err)
	}
	for name, wrong := range map[string]object{
		"another sign-in's": {"nonce": "another"}, "no nonce": {"nonce": nil}, "somebody else's": {"aud": "other"}, "nobody's": {"sub": nil}, "another issuer's": {"iss": "http://127.0.0.1:1"},
	} {
		claims = i.claims(object{"aud": "dashboard", "nonce": "the nonce"})
		for k, v := range wrong {
			if claims[k] = v; v == nil {
				delete(claims, k)
			}
		}
		refused(t, v, name, "")
	}
}

func refused(t *testing.T, v *oidc.Verifier, name, want string) {
	t.Helper()
	var no *oidc.RefusedError
	if got, err := v.Redeem(t.Context(), code); !errors.As(err, &no) || got.Token != "" || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %q %v", name, got.Token, err)
	}
}

// A client without a secret says who it is, and has the proof alone.
func TestRedeemOfPublicClient(t *testing.T) {
	i := newIssuer(t)
	v, err := oidc.New(oidc.Options{Issuer: i.url, Client: &oidc.Client{ID: "public"}})
	if err != nil {
		t.Fatal(err)
	}
	i.redeem = func(w http.ResponseWriter, r *http.Request) {
		if _, secret, _ := r.BasicAuth(); secret != "" || r.PostFormValue("client_secret") != "" || r.PostFormValue("client_id") != "public" || r.PostFormValue("code_verifier") != code.Proof {
			t.Errorf("%v %v", r.Header, r.PostForm)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(object{"access_token": "x", "token_type": "Bearer", "id_token": i.token("RS256", "r", i.claims(object{"aud": "public", "nonce": "the nonce"}))})
	}
	if _, err := v.Redeem(t.Context(), code); err != nil {
		t.Error(err)
	}
}

// What the issuer says is told; one that does not work is not the visitor's fault.
func TestIssuerSaysNo(t *testing.T) {
	i := newIssuer(t)
	v := client(t, i)
	answer := func(status int, body string) {
		i.redeem = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	answer(400, `{"error":"invalid_grant","error_description":"it was used already"}`)
	refused(t, v, "a code", "invalid_grant: it was used already")
	answer(200, `{"access_token":"x","token_type":"Bearer"}`)
	refused(t, v, "no token", "")
	for _, status := range []int{500, 503} {
		answer(status, "")
		if _, err := v.Redeem(t.Context(), code); !errors.Is(err, access.ErrUnavailable) {
			t.Error(status, err)
		}
	}
	away, err := oidc.New(oidc.Options{Issuer: "http://127.0.0.1:1", Client: &oidc.Client{ID: "dashboard"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := away.Door(); !errors.Is(err, access.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := oidc.New(oidc.Options{Issuer: i.url, Client: &oidc.Client{}}); err == nil {
		t.Error("a client without an id was taken")
	}
}
