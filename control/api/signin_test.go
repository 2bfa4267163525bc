package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/access/oidc"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/api/openapi/conform"
	"github.com/myelin-run/myelin/control/audit"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/store/etcd"
)

// door is an issuer that takes one code.
type door struct{}

func (door) Door() (oidc.Door, error) {
	return oidc.Door{Issuer: "https://id.example.org", Authorization: "https://id.example.org/auth", ClientID: "dashboard", Scopes: []string{"openid"}}, nil
}

func (door) Redeem(_ context.Context, c oidc.Code) (r oidc.Redeemed, err error) {
	switch c.Code {
	case "good":
		return oidc.Redeemed{Token: "the token", Subject: "ann", Expires: time.Now().Add(time.Hour)}, nil
	case "away":
		return r, fmt.Errorf("%w: no route", access.ErrUnavailable)
	}
	return r, &oidc.RefusedError{Why: "invalid_grant"}
}

// signing is an API that asks who its callers are, with an issuer.
func signing(t *testing.T, at api.SignIn) *world {
	t.Helper()
	return signingTo(t, at, nil)
}

func signingTo(t *testing.T, at api.SignIn, log *audit.Log) *world {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c, tokens := catalog.New(s), access.NewTokens(s)
	h := api.New(api.Options{Catalog: c, Gate: access.NewGate(tokens, nil), Tokens: tokens, SignIn: at, Audit: log, Log: slog.New(slog.DiscardHandler)})
	srv := httptest.NewServer(conform.New(t).Handler(t, h))
	t.Cleanup(srv.Close)
	return &world{t, c, client.New(srv.URL, "", nil), srv.URL}
}

func TestSignIn(t *testing.T) {
	w := signing(t, door{})
	if code, text := w.ask("GET", "/api/v1/signin", ""); code != 200 || !strings.Contains(text, `"authorization":"https://id.example.org/auth"`) {
		t.Error(code, text)
	}
	u, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	body := func(code, redirect string) string {
		return fmt.Sprintf(`{"code":%q,"verifier":%q,"nonce":%q,"redirect":%q}`, code, strings.Repeat("v", 43), strings.Repeat("n", 43), redirect)
	}
	back := w.url + "/callback"
	for what, test := range map[string]struct {
		body string
		code int
		want string
	}{
		"good":             {body("good", back), 200, `"token":"the token"`},
		"behind a proxy":   {body("good", "https://"+u.Host+"/callback"), 200, `"token":"the token"`},
		"refused":          {body("bad", back), 403, "invalid_grant"},
		"away":             {body("away", back), 503, "cannot be reached"},
		"elsewhere":        {body("good", "https://evil.example/callback"), 422, "want the address of this server"},
		"another path":     {body("good", w.url+"/other"), 422, "want the address of this server"},
		"with a query":     {body("good", back+"?x=y"), 422, "want the address of this server"},
		"with somebody":    {body("good", "http://evil@"+u.Host+"/callback"), 422, "want the address of this server"},
		"a scheme":         {body("good", "javascript://"+u.Host+"/callback"), 422, "want the address of this server"},
		"no code":          {body("", back), 422, "code"},
		"a short verifier": {`{"code":"good","verifier":"v","nonce":"` + strings.Repeat("n", 43) + `","redirect":"` + back + `"}`, 422, "verifier"},
		"unknown fields":   {`{"code":"good","return":"https://evil.example"}`, 400, "return"},
	} {
		if code, text := w.ask("POST", "/api/v1/signin", test.body); code != test.code || !strings.Contains(text, test.want) {
			t.Errorf("%s: %d %s", what, code, text)
		}
	}
	if code, text := w.ask("POST", "/api/v1/signin", body("good", back), "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); code != 403 {
		t.Error("another page's:", code, text)
	}
	// Who guesses codes is refused before the issuer is asked.
	for range 40 {
		w.ask("POST", "/api/v1/signin", body("bad", back))
	}
	if code, text := w.ask("POST", "/api/v1/signin", body("good", back)); code != http.StatusTooManyRequests {
		t.Error(code, text)
	}
}

// The audit log has who signed in, and of an attempt that nobody is known of.
func TestSignInIsAudited(t *testing.T) {
	log := audit.New(audit.Options{Dir: t.TempDir()})
	t.Cleanup(func() { _ = log.Close() })
	w := signingTo(t, door{}, log)
	for _, code := range []string{"good", "bad"} {
		w.ask("POST", "/api/v1/signin", fmt.Sprintf(`{"code":%q,"verifier":%q,"nonce":%q,"redirect":%q}`, code, strings.Repeat("v", 43), strings.Repeat("n", 43), w.url+"/callback"))
	}
	records, err := log.Read(audit.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range records {
		got = append(got, fmt.Sprintf("%s %s %s %s %d", r.Who, r.By, r.Operation, r.Outcome, r.Status))
	}
	if want := "ann oidc self.signin done 200\n  self.signin refused 403"; strings.Join(got, "\n") != want {
		t.Errorf("recorded:\n%s\nwant:\n%s", strings.Join(got, "\n"), want)
	}
}

func TestNoSignIn(t *testing.T) {
	w := signing(t, nil)
	if code, text := w.ask("GET", "/api/v1/signin", ""); code != 200 || strings.TrimSpace(text) != "{}" {
		t.Error(code, text)
	}
	if code, text := w.ask("POST", "/api/v1/signin", `{"code":"x","verifier":"x","nonce":"x","redirect":"x"}`); code != 404 {
		t.Error(code, text)
	}
}
