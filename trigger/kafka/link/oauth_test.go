package link

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A token is asked for with the client's credentials; what the endpoint says
// instead of one is an error without the secret.
func TestToken(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, secret, _ := r.BasicAuth()
		switch {
		case user != "me" || secret != "hush-7" || r.FormValue("grant_type") != "client_credentials":
			w.WriteHeader(http.StatusUnauthorized)
		case r.FormValue("scope") == "nothing":
			fmt.Fprint(w, `{}`)
		default:
			fmt.Fprintf(w, `{"access_token": "for %s"}`, r.FormValue("scope"))
		}
	}))
	defer s.Close()
	ctx := context.Background()
	o := OAuth{ClientID: "me", ClientSecret: "hush-7", TokenURL: s.URL, Scopes: []string{"a", "b"}}
	if got, err := o.token(ctx); err != nil || got.Token != "for a b" {
		t.Errorf("token %q, %v", got.Token, err)
	}
	o.Scopes = []string{"nothing"}
	_, err := o.token(ctx)
	if err == nil || !strings.Contains(err.Error(), "access_token") || strings.Contains(err.Error(), "hush-7") {
		t.Errorf("%v", err)
	}
	o.ClientSecret = "guess"
	_, err = o.token(ctx)
	if err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "hush-7") {
		t.Errorf("%v", err)
	}
	o.TokenURL = "http://127.0.0.1:1"
	_, err = o.token(ctx)
	if err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "hush-7") {
		t.Errorf("%v", err)
	}
}
