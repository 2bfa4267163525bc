package cli

import (
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/myelin-run/myelin/control"
	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/access/oidc"
	"github.com/myelin-run/myelin/control/api"
)

// issuer is what flags say of an OIDC issuer.
type issuer struct {
	url, audience, claim string
	grants               []string
	client, secretFile   string
	scopes               []string
}

// accessFlags are those about who may use the API.
func accessFlags(fs *pflag.FlagSet, o *control.Options, id *issuer) {
	fs.StringVar(&o.Access.Authenticate, "auth", control.AuthenticateAuto, "whether callers of the API are asked who they are: on, off, or auto: if other machines can reach it")
	fs.StringVar(&o.Access.Certificate, "api-cert", "", "`file` with the API's certificate in PEM; it may be replaced while it serves")
	fs.StringVar(&o.Access.Key, "api-key", "", "`file` with the certificate's key")
	fs.StringVar(&o.Access.FirstToken, "admin-token-file", "", "`file` with the first admin's token, such as myelin token new makes (default: one is made in the data directory)")
	fs.StringVar(&o.KeyFile, "key-file", "", "`file` with the keys that encrypt the store (default: store.keys in the data directory)")
	fs.StringVar((*string)(&o.Access.AuditSync), "audit-sync", "always", "when the audit log is safe on the disk: always, or within a second")
	fs.StringVar(&id.url, "oidc-issuer", "", "`URL` of an OpenID Connect issuer whose tokens are taken")
	fs.StringVar(&id.audience, "oidc-audience", "", "the `client id` that its tokens must be for")
	fs.StringVar(&id.client, "oidc-client", "", "the `client id` with which people sign in to the dashboard at the issuer; its redirect URI there is the dashboard's address and /callback")
	fs.StringVar(&id.secretFile, "oidc-client-secret-file", "", "`file` with the client's secret, if it has one")
	fs.StringSliceVar(&id.scopes, "oidc-scope", []string{"profile"}, "`scope` that the dashboard asks the issuer for besides openid, so that tokens have the claim (repeat)")
	fs.StringVar(&id.claim, "oidc-claim", "roles", "`claim` whose words give roles, as myelin:ROLE or myelin:PROJECT:ROLE")
	fs.StringArrayVar(&id.grants, "oidc-grant", nil, "what another word of the claim gives, as `WORD=PROJECT:ROLE` (repeat)")
}

func (i issuer) options() (*oidc.Options, error) {
	if i.url == "" {
		if i.audience != "" || i.client != "" || len(i.grants) > 0 {
			return nil, usage("--oidc-issuer is missing")
		}
		return nil, nil
	}
	o := &oidc.Options{Issuer: i.url, Audience: i.audience, Claim: i.claim, Grants: map[string][]access.Grant{}}
	var err error
	if o.Client, err = i.known(); err != nil {
		return nil, err
	}
	for _, text := range i.grants {
		word, grant, ok := strings.Cut(text, "=")
		if !ok || word == "" {
			return nil, usage("--oidc-grant %s: want WORD=PROJECT:ROLE", text)
		}
		g, err := access.ParseGrant(grant, api.DefaultNamespace)
		if err != nil {
			return nil, usage("--oidc-grant %s: %v", text, err)
		}
		o.Grants[word] = append(o.Grants[word], g)
	}
	return o, nil
}

// known is the control plane as the issuer knows it; nil if it does not.
func (i issuer) known() (*oidc.Client, error) {
	if i.client == "" {
		if i.secretFile != "" {
			return nil, usage("--oidc-client is missing")
		}
		return nil, nil
	}
	c := &oidc.Client{ID: i.client, Scopes: i.scopes}
	if i.secretFile == "" {
		return c, nil
	}
	text, err := os.ReadFile(i.secretFile)
	if err != nil {
		return nil, usage("--oidc-client-secret-file: %v", err)
	}
	if c.Secret = strings.TrimSpace(string(text)); c.Secret == "" {
		return nil, usage("--oidc-client-secret-file %s: it is empty", i.secretFile)
	}
	return c, nil
}
