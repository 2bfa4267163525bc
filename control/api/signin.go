package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/access/oidc"
	"github.com/myelin-run/myelin/control/problem"
)

// SignIn is an issuer at which people sign in.
type SignIn interface {
	// Door is where; [oidc.ErrNoClient]: nowhere.
	Door() (oidc.Door, error)
	// Redeem makes a token of what the issuer sends a browser back with.
	Redeem(ctx context.Context, c oidc.Code) (oidc.Redeemed, error)
}

// CallbackPath is where the issuer sends a browser back to. It is the dashboard,
// which reads what it was sent back with.
const CallbackPath = "/callback"

// SignInDoor is where people sign in besides by a token; empty if nowhere.
type SignInDoor struct {
	// URL of the issuer.
	Issuer string `json:"issuer,omitempty"`
	// URL to which a browser is sent.
	Authorization string `json:"authorization,omitempty"`
	// By which the issuer knows this control plane.
	ClientID string `json:"clientId,omitempty"`
	// What is asked for.
	Scopes []string `json:"scopes,omitempty"`
}

// SignInCode is what the issuer has sent a browser back with.
type SignInCode struct {
	// The authorization code. It is good once.
	Code string `json:"code"`
	// What the code challenge, by S256, was made of.
	Verifier string `json:"verifier"`
	// The nonce that the token must have.
	Nonce string `json:"nonce"`
	// Where the issuer has sent the browser: the address of the dashboard, and /callback.
	Redirect string `json:"redirect"`
}

// SignedIn is a token of the issuer.
type SignedIn struct {
	// The token, for Authorization: Bearer.
	Token string `json:"token"`
	// When it ends.
	Expires time.Time `json:"expires"`
}

func (s *server) signIn(w http.ResponseWriter, _ *http.Request) error {
	if s.o.SignIn == nil {
		return plain(w, SignInDoor{})
	}
	d, err := s.o.SignIn.Door()
	if errors.Is(err, oidc.ErrNoClient) {
		return plain(w, SignInDoor{})
	}
	if err != nil {
		return err
	}
	return plain(w, SignInDoor(d))
}

// redeem gives the token for a code. Who is wrong often is refused, as with
// tokens.
func (s *server) redeem(w http.ResponseWriter, r *http.Request) error {
	if s.o.SignIn == nil {
		return problem.New(http.StatusNotFound, oidc.ErrNoClient.Error())
	}
	client := clientOf(r)
	if err := s.crowd.suspicious(client); err != nil {
		return err
	}
	var c SignInCode
	if err := readInto(w, r, &c); err != nil {
		return err
	}
	if err := c.check(r.Host); err != nil {
		return err
	}
	got, err := s.o.SignIn.Redeem(r.Context(), oidc.Code{Code: c.Code, Proof: c.Verifier, Nonce: c.Nonce, Redirect: c.Redirect})
	var refused *oidc.RefusedError
	switch {
	case errors.Is(err, oidc.ErrNoClient):
		return problem.New(http.StatusNotFound, err.Error())
	case errors.As(err, &refused):
		s.crowd.failed(client)
		return problem.New(http.StatusForbidden, err.Error())
	case err != nil:
		return err
	}
	if e := recordOf(r); e != nil { // before, nobody was known
		e.Who, e.By = got.Subject, access.ByOIDC
	}
	w.Header().Set("Cache-Control", "no-store")
	return plain(w, SignedIn{got.Token, got.Expires})
}

// check takes what a browser can have kept and brought back from the issuer: to
// this server, and no other.
func (c SignInCode) check(host string) error {
	for _, f := range []struct {
		name, value string
		least, most int
	}{{"code", c.Code, 1, 4096}, {"verifier", c.Verifier, 43, 128}, {"nonce", c.Nonce, 22, 128}} {
		if len(f.value) < f.least || len(f.value) > f.most {
			return wrong(f.name, "want %d to %d characters", f.least, f.most)
		}
	}
	u, err := url.Parse(c.Redirect)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host != host || c.Redirect != fmt.Sprintf("%s://%s%s", u.Scheme, host, CallbackPath) {
		return wrong("redirect", "want the address of this server and %s", CallbackPath)
	}
	return nil
}
