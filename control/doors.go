package control

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/access/oidc"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/audit"
	"github.com/myelin-run/myelin/control/certificate"
	"github.com/myelin-run/myelin/control/secret"
	"github.com/myelin-run/myelin/control/store"
)

// Access says who may use the API, and how it is reached.
type Access struct {
	// Authenticate is whether callers are asked who they are: on, off, or auto,
	// the default: if other machines can reach the API.
	Authenticate string
	// OIDC is an issuer whose tokens are taken besides the control plane's own.
	// nil: there is none.
	OIDC *oidc.Options
	// Certificate and Key are files in PEM with which the API is served by TLS.
	// "": it is not.
	Certificate, Key string
	// FirstToken is a file with the first admin's token, which somebody else keeps; "":
	// the control plane makes one in its data directory, see [TokenFile].
	FirstToken string
	AuditSync  audit.Sync // default: always
}

// The values of Access.Authenticate.
const (
	AuthenticateAuto = "auto"
	AuthenticateOn   = "on"
	AuthenticateOff  = "off"
)

// TokenFile is where the first admin's token is, in the data directory.
const TokenFile = "admin.token"

func (a *Access) check(addr string) error {
	switch a.Authenticate {
	case "":
		a.Authenticate = AuthenticateAuto
	case AuthenticateAuto, AuthenticateOn, AuthenticateOff:
	default:
		return fmt.Errorf("authentication %q: want auto, on or off", a.Authenticate)
	}
	if (a.Certificate == "") != (a.Key == "") {
		return errors.New("a certificate and its key are given together")
	}
	switch a.AuditSync {
	case "", audit.Always, audit.Second:
	default:
		return fmt.Errorf("audit sync %q: want always or second", a.AuditSync)
	}
	if a.OIDC == nil {
		return nil
	}
	if !a.asks(addr) {
		return errors.New("an OIDC issuer is of use only if callers are asked who they are: turn authentication on")
	}
	_, err := oidc.New(*a.OIDC)
	return err
}

// asks tells whether callers are asked who they are.
func (a *Access) asks(addr string) bool {
	at, err := netip.ParseAddrPort(addr)
	return a.Authenticate == AuthenticateOn || a.Authenticate != AuthenticateOff && (err != nil || !at.Addr().IsLoopback())
}

// doors are what stands between callers and the control plane.
type doors struct {
	gate    *access.Gate // nil: nobody is asked
	tokens  *access.Tokens
	secrets *secret.Secrets
	audit   *audit.Log
	tls     *tls.Config
	issuer  *oidc.Verifier // nil: there is none
	first   string         // file of the first token
}

func (c *Control) doors(ctx context.Context, s store.Store) (*doors, error) {
	a := c.o.Access
	d := &doors{
		tokens: access.NewTokens(s), secrets: secret.New(s),
		audit: audit.New(audit.Options{Dir: filepath.Join(c.o.DataDir, "audit"), Sync: a.AuditSync}),
	}
	if a.Certificate != "" {
		files, err := certificate.Load(a.Certificate, a.Key)
		if err != nil {
			return nil, err
		}
		d.tls = files.Config()
	}
	if !a.asks(c.o.APIAddr) {
		return d, nil
	}
	var issuer access.Verifier
	var err error
	if a.OIDC != nil {
		v, err := oidc.New(*a.OIDC)
		if err != nil {
			return nil, err
		}
		issuer, d.issuer = v, v
	}
	if d.first, err = c.firstToken(ctx, d.tokens); err != nil {
		return nil, err
	}
	d.gate = access.NewGate(d.tokens, issuer)
	return d, nil
}

// firstToken sees to it that the first admin has a token, and says in which file.
func (c *Control) firstToken(ctx context.Context, tokens *access.Tokens) (file string, err error) {
	if file = c.o.Access.FirstToken; file != "" {
		return file, access.Given(ctx, tokens, file)
	}
	file = filepath.Join(c.o.DataDir, TokenFile)
	return file, access.First(ctx, tokens, file)
}

// signIn is by whom people sign in to the dashboard; nil: by a token alone.
func (d *doors) signIn() api.SignIn {
	if d.issuer == nil {
		return nil
	}
	return d.issuer
}
