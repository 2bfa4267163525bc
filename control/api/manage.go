package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/audit"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/control/secret"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

// Caller is who asks, as the control plane knows them.
type Caller = access.Caller

// TokenInput is a token that is to be made.
type TokenInput struct {
	// Name of whom or what the token is for.
	Name string `json:"name"`
	// Grants are roles in projects, as {"namespace": "default", "project": "shop", "role": "developer"}; "*" stands for all.
	Grants []access.Grant `json:"grants"`
	// Expires is when the token ends; without it, when it is revoked.
	Expires *time.Time `json:"expires,omitempty"`
}

// CreatedToken is a token that was made.
type CreatedToken struct {
	// Bearer is the token itself. It is shown this once.
	Bearer string `json:"bearer"`
	// Kept is what is kept of it.
	Kept access.Token `json:"kept"`
}

// TokenList are the tokens that there are.
type TokenList struct {
	Items []access.Token `json:"items"`
}

// SecretInput is a secret that is to be written.
type SecretInput struct {
	// Value of the secret. It is never shown.
	Value quantity.Secret `json:"value"`
}

// SecretList are the secrets that there are, without their values.
type SecretList struct {
	Items []secret.Secret `json:"items"`
}

// AuditList are records of the audit log, the oldest first.
type AuditList struct {
	Items []audit.Record `json:"items"`
}

// Rotated is the key that seals the store from now on.
type Rotated struct {
	// Key is its id.
	Key string `json:"key"`
}

// manage are the routes about callers, secrets and records.
func (s *server) manage() map[string]handler {
	return map[string]handler{
		"GET /api/v1/signin":            s.signIn,
		"POST /api/v1/signin":           s.redeem,
		"GET /api/v1/whoami":            s.whoami,
		"GET /api/v1/tokens":            s.tokens,
		"POST /api/v1/tokens":           s.createToken,
		"DELETE /api/v1/tokens/{id}":    s.revokeToken,
		"GET /api/v1/secrets":           s.secrets,
		"PUT /api/v1/secrets/{name}":    s.setSecret,
		"DELETE /api/v1/secrets/{name}": s.deleteSecret,
		"GET /api/v1/audit":             s.auditLog,
		"POST /api/v1/keys/rotate":      s.rotateKey,
	}
}

func (s *server) whoami(w http.ResponseWriter, r *http.Request) error {
	return plain(w, access.From(r.Context()))
}

// readInto reads a request's JSON into v, strictly.
func readInto(w http.ResponseWriter, r *http.Request, v any) error {
	text, err := body(w, r)
	if err != nil {
		return err
	}
	if err := document.DecodeJSON(text, v); err != nil {
		return badRequest(err)
	}
	return nil
}

func (s *server) tokens(w http.ResponseWriter, r *http.Request) error {
	if s.o.Tokens == nil {
		return problem.New(http.StatusNotImplemented, "this control plane keeps no tokens")
	}
	all, err := s.o.Tokens.List(r.Context())
	if err != nil {
		return err
	}
	c := access.From(r.Context())
	all = slices.DeleteFunc(all, func(t access.Token) bool { return !governs(c, t) })
	return plain(w, TokenList{Items: all})
}

// governs tells whether a caller has the say over a token: over all of what it
// gives.
func governs(c access.Caller, t access.Token) bool {
	return !slices.ContainsFunc(t.Grants, func(g access.Grant) bool { return !c.Covers(g) })
}

func (s *server) createToken(w http.ResponseWriter, r *http.Request) error {
	if s.o.Tokens == nil {
		return problem.New(http.StatusNotImplemented, "this control plane keeps no tokens")
	}
	var in TokenInput
	if err := readInto(w, r, &in); err != nil {
		return err
	}
	c := access.From(r.Context())
	switch {
	case in.Name == "" || len(in.Name) > 100:
		return wrong("name", "say in at most 100 bytes whom or what the token is for")
	case len(in.Grants) == 0 || len(in.Grants) > 100:
		return wrong("grants", "want 1 to 100 roles")
	case in.Expires != nil && !in.Expires.After(time.Now()):
		return wrong("expires", "is over already")
	}
	for i, g := range in.Grants {
		if err := g.Check(); err != nil {
			return wrong(fmt.Sprintf("grants[%d]", i), "%v", err)
		}
		if !c.Covers(g) {
			return problem.New(http.StatusForbidden, fmt.Sprintf("you may not give %s: that needs the role admin there", g))
		}
	}
	kept := access.Token{Name: in.Name, Grants: in.Grants, By: c.Subject}
	if in.Expires != nil {
		kept.Expires = in.Expires.UTC().Truncate(time.Second)
	}
	bearer, kept, err := s.o.Tokens.Create(r.Context(), kept)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	b, err := json.Marshal(CreatedToken{Bearer: bearer, Kept: kept})
	if err != nil {
		return err
	}
	return send(w, http.StatusCreated, b)
}

func (s *server) revokeToken(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	missing := problem.New(http.StatusNotFound, fmt.Sprintf("there is no token %q", id))
	if s.o.Tokens == nil {
		return missing
	}
	t, err := s.o.Tokens.Get(r.Context(), id)
	if errors.Is(err, access.ErrNoToken) || err == nil && !governs(access.From(r.Context()), t) {
		return missing
	}
	if err == nil {
		err = s.o.Tokens.Revoke(r.Context(), id)
	}
	if err != nil {
		return err
	}
	if s.o.Gate != nil {
		s.o.Gate.End(id)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *server) noSecrets() error {
	if s.o.Secrets == nil {
		return problem.New(http.StatusNotImplemented, "this control plane keeps no secrets")
	}
	return nil
}

func (s *server) secrets(w http.ResponseWriter, r *http.Request) error {
	if err := s.noSecrets(); err != nil {
		return err
	}
	all, err := s.o.Secrets.List(r.Context(), everywhere(namespace(r)))
	if err != nil {
		return err
	}
	c, project := access.From(r.Context()), r.URL.Query().Get("project")
	all = slices.DeleteFunc(all, func(x secret.Secret) bool {
		return !c.Sees(x.Namespace, x.Project) || project != "" && x.Project != project
	})
	return plain(w, SecretList{Items: all})
}

// secretOf is the secret that a request names, if its caller may change it.
func secretOf(r *http.Request, operation string) (secret.Secret, error) {
	c := access.From(r.Context())
	x := secret.Secret{Namespace: namespace(r), Project: or(r.URL.Query().Get("project"), function.DefaultProject), Name: r.PathValue("name"), By: c.Subject}
	if err := x.Check(); err != nil {
		return x, wrong("name", "%v", err)
	}
	rule := access.Rules()[operation]
	switch {
	case rule.Allows(c, x.Namespace, x.Project):
		return x, nil
	case !c.Sees(x.Namespace, x.Project):
		return x, problem.New(http.StatusNotFound, fmt.Sprintf("there is no project %q for you in namespace %s", x.Project, x.Namespace))
	}
	return x, lacks(rule, operation)
}

func (s *server) setSecret(w http.ResponseWriter, r *http.Request) error {
	if err := s.noSecrets(); err != nil {
		return err
	}
	x, err := secretOf(r, "secrets.write")
	if err != nil {
		return err
	}
	var in SecretInput
	if err := readInto(w, r, &in); err != nil {
		return err
	}
	x, created, err := s.o.Secrets.Set(r.Context(), x, in.Value)
	if errors.Is(err, secret.ErrWrong) {
		return wrong("value", "%v", err)
	}
	if err != nil {
		return err
	}
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return send(w, status, b)
}

func (s *server) deleteSecret(w http.ResponseWriter, r *http.Request) error {
	if err := s.noSecrets(); err != nil {
		return err
	}
	x, err := secretOf(r, "secrets.delete")
	if err != nil {
		return err
	}
	err = s.o.Secrets.Delete(r.Context(), x)
	if errors.Is(err, secret.ErrNotFound) {
		return problem.New(http.StatusNotFound, fmt.Sprintf("there is no secret %q in project %s of namespace %s", x.Name, x.Project, x.Namespace))
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *server) auditLog(w http.ResponseWriter, r *http.Request) error {
	if s.o.Audit == nil {
		return problem.New(http.StatusNotImplemented, "this control plane keeps no audit log")
	}
	q := r.URL.Query()
	ask := audit.Query{Who: q.Get("who"), Operation: q.Get("operation"), Object: q.Get("object"), Outcome: q.Get("outcome"), Namespace: q.Get("namespace")}
	var err error
	if text := q.Get("since"); text != "" {
		if ask.Since, err = time.Parse(time.RFC3339, text); err != nil {
			return badQuery("since", "%q is not a time such as 2026-03-01T12:00:00Z", text)
		}
	}
	if text := q.Get("limit"); text != "" {
		if ask.Limit, err = strconv.Atoi(text); err != nil || ask.Limit < 1 || ask.Limit > 10_000 {
			return badQuery("limit", "%q is not a number from 1 to 10000", text)
		}
	}
	items, err := s.o.Audit.Read(ask)
	if err != nil {
		return err
	}
	return plain(w, AuditList{Items: append([]audit.Record{}, items...)})
}

func (s *server) rotateKey(w http.ResponseWriter, r *http.Request) error {
	if s.o.Rotate == nil {
		return problem.New(http.StatusNotImplemented, "this control plane's store is not sealed")
	}
	id, err := s.o.Rotate(r.Context())
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, Rotated{Key: id})
}
