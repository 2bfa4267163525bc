package oidc

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/myelin-run/myelin/control/access"
)

// Client is this control plane as the issuer knows it: by the authorization code
// flow with it, somebody gets a token in a browser.
type Client struct {
	ID     string
	Secret string   // "": it is a public one, and the proof key is what protects it
	Scopes []string // besides openid
}

// Door is where a browser is sent to sign in, and with what.
type Door struct {
	Issuer        string
	Authorization string // URL
	ClientID      string
	Scopes        []string
}

// ErrNoClient says that nobody can sign in by a browser.
var ErrNoClient = errors.New("nobody signs in by an issuer here")

// Door asks the issuer where people sign in.
func (v *Verifier) Door() (Door, error) {
	if v.o.Client == nil {
		return Door{}, ErrNoClient
	}
	p, err := v.ready()
	if err != nil {
		return Door{}, err
	}
	return Door{Issuer: v.o.Issuer, Authorization: p.Endpoint().AuthURL, ClientID: v.o.Client.ID, Scopes: v.o.Client.scopes()}, nil
}

func (c *Client) scopes() []string { return append([]string{goidc.ScopeOpenID}, c.Scopes...) }

// Code is what the issuer has sent a browser back with, and what the browser
// kept meanwhile.
type Code struct {
	Code     string
	Proof    string // of which the issuer was sent the SHA-256
	Nonce    string // that the token must have
	Redirect string // where the issuer has sent the browser
}

// RefusedError is what the issuer says of a code that it does not take.
type RefusedError struct{ Why string }

func (e *RefusedError) Error() string { return "the issuer refuses the sign-in: " + e.Why }

// Redeemed is what a code was good for.
type Redeemed struct {
	Token   string // one that [Verifier.Verify] takes
	Subject string // whose it is
	Expires time.Time
}

// Redeem has the issuer make a token of a code, once.
func (v *Verifier) Redeem(ctx context.Context, c Code) (r Redeemed, err error) {
	if v.o.Client == nil {
		return r, ErrNoClient
	}
	p, err := v.ready()
	if err != nil {
		return r, err
	}
	config := oauth2.Config{ClientID: v.o.Client.ID, ClientSecret: v.o.Client.Secret, Endpoint: v.o.Client.endpoint(p), RedirectURL: c.Redirect, Scopes: v.o.Client.scopes()}
	ctx = goidc.ClientContext(ctx, v.client)
	got, err := config.Exchange(ctx, c.Code, oauth2.VerifierOption(c.Proof))
	if err != nil {
		return r, refusal(err)
	}
	token, _ := got.Extra("id_token").(string)
	parsed, err := v.parse(ctx, token)
	if err != nil {
		return r, &RefusedError{"it sent no token of this control plane's"}
	}
	if subtle.ConstantTimeCompare([]byte(parsed.Nonce), []byte(c.Nonce)) != 1 || c.Nonce == "" {
		return r, &RefusedError{"its token is of another sign-in"}
	}
	return Redeemed{token, parsed.Subject, parsed.Expiry}, nil
}

// endpoint is how the issuer wants to know its clients. It is not tried out: a code
// is good once.
func (c *Client) endpoint(p *goidc.Provider) oauth2.Endpoint {
	var says struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	at := p.Endpoint()
	at.AuthStyle = oauth2.AuthStyleInHeader // what a document means that does not say
	known := p.Claims(&says) == nil && len(says.Methods) > 0
	if c.Secret == "" || known && !slices.Contains(says.Methods, "client_secret_basic") {
		at.AuthStyle = oauth2.AuthStyleInParams
	}
	return at
}

// refusal tells an issuer that does not take a code from one that is not there.
func refusal(err error) error {
	var said *oauth2.RetrieveError
	if !errors.As(err, &said) || said.Response == nil || said.Response.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("%w: %w", access.ErrUnavailable, err)
	}
	why := said.ErrorCode
	if why == "" {
		why = said.Response.Status
	}
	if said.ErrorDescription != "" {
		why += ": " + said.ErrorDescription
	}
	return &RefusedError{why}
}
