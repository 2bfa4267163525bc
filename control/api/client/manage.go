package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/audit"
	"github.com/myelin-run/myelin/control/secret"
	"github.com/myelin-run/myelin/quantity"
)

// WhoAmI tells whom the control plane takes this client for.
func (c *Client) WhoAmI(ctx context.Context) (who api.Caller, err error) {
	err = c.call(ctx, http.MethodGet, c.url("/whoami", nil), nil, &who)
	return who, err
}

// CreateToken makes a token, which is shown this once.
func (c *Client) CreateToken(ctx context.Context, in api.TokenInput) (out api.CreatedToken, err error) {
	err = c.call(ctx, http.MethodPost, c.url("/tokens", nil), in, &out)
	return out, err
}

// Tokens lists the tokens over which the client has the say.
func (c *Client) Tokens(ctx context.Context) ([]access.Token, error) {
	var out api.TokenList
	err := c.call(ctx, http.MethodGet, c.url("/tokens", nil), nil, &out)
	return out.Items, err
}

// RevokeToken revokes a token.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, c.url("/tokens/"+url.PathEscape(id), nil), nil, nil)
}

func inProject(project string) url.Values {
	q := url.Values{}
	if project != "" {
		q.Set("project", project)
	}
	return q
}

// SetSecret writes a secret of a project, "" for the default one.
func (c *Client) SetSecret(ctx context.Context, project, name string, value quantity.Secret) (out secret.Secret, err error) {
	err = c.call(ctx, http.MethodPut, c.url("/secrets/"+url.PathEscape(name), inProject(project)), api.SecretInput{Value: value}, &out)
	return out, err
}

// Secrets lists the secrets of a project, "" for all, without their values.
func (c *Client) Secrets(ctx context.Context, project string) ([]secret.Secret, error) {
	var out api.SecretList
	err := c.call(ctx, http.MethodGet, c.url("/secrets", inProject(project)), nil, &out)
	return out.Items, err
}

// DeleteSecret deletes a secret.
func (c *Client) DeleteSecret(ctx context.Context, project, name string) error {
	return c.call(ctx, http.MethodDelete, c.url("/secrets/"+url.PathEscape(name), inProject(project)), nil, nil)
}

// RotateKey makes a new key for the store and returns its id.
func (c *Client) RotateKey(ctx context.Context) (string, error) {
	var out api.Rotated
	err := c.call(ctx, http.MethodPost, c.url("/keys/rotate", nil), nil, &out)
	return out.Key, err
}

// Audit reads the audit log; of a query's namespace only one that is set counts.
func (c *Client) Audit(ctx context.Context, q audit.Query) ([]audit.Record, error) {
	v := url.Values{}
	for name, value := range map[string]string{"who": q.Who, "operation": q.Operation, "object": q.Object, "outcome": q.Outcome} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if !q.Since.IsZero() {
		v.Set("since", q.Since.UTC().Format(time.RFC3339))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	address := c.base + "/api/v1/audit?" + v.Encode()
	if q.Namespace != "" {
		v.Set("namespace", q.Namespace)
		address = c.base + "/api/v1/audit?" + v.Encode()
	}
	var out api.AuditList
	err := c.call(ctx, http.MethodGet, address, nil, &out)
	return out.Items, err
}
