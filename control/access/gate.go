package access

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Verifier finds out whom a bearer token makes known, and until when; zero: for
// ever. ErrRefused, wrapped: nobody.
type Verifier interface {
	Verify(ctx context.Context, token string) (Caller, time.Time, error)
}

// Gate knows callers by their credentials, and the requests that they have
// under way, which end when their credentials do.
type Gate struct {
	tokens Verifier
	oidc   Verifier

	mu    sync.Mutex
	inUse map[string]map[*context.CancelCauseFunc]bool // by id of token
}

// NewGate returns a gate for tokens, and for those of an issuer unless oidc is nil.
func NewGate(tokens, oidc Verifier) *Gate {
	return &Gate{tokens: tokens, oidc: oidc, inUse: map[string]map[*context.CancelCauseFunc]bool{}}
}

// ErrUnknown says that a request brings no credentials.
var ErrUnknown = errors.New("this control plane wants to know who asks: give a token, as Authorization: Bearer TOKEN (the command line takes it from myelin login or MYELIN_TOKEN)")

// ErrUnavailable says that whoever knows callers cannot be asked.
var ErrUnavailable = errors.New("the issuer of tokens cannot be reached")

// maxToken is the longest bearer token that is looked at.
const maxToken = 16 << 10

// Admit returns a context for the request of somebody who is known: it carries
// the caller, and ends when the credentials do. done is to be called at the end.
func (g *Gate) Admit(r *http.Request) (_ context.Context, done func(), err error) {
	token, err := bearer(r)
	if err != nil {
		return nil, nil, err
	}
	verifier := g.oidc
	if strings.HasPrefix(token, Prefix) || g.oidc == nil {
		verifier = g.tokens
	}
	// Known as one to be ended before it is verified: a token that is revoked
	// meanwhile is caught by either.
	ctx, cancel := context.WithCancelCause(r.Context())
	id, _, _ := split(token)
	forget := g.remember(id, &cancel)
	release := func() { forget(); cancel(nil) }
	c, until, err := verifier.Verify(r.Context(), token)
	if err != nil {
		release()
		return nil, nil, err
	}
	ctx = With(ctx, c)
	if until.IsZero() {
		return ctx, release, nil
	}
	ctx, stop := context.WithDeadlineCause(ctx, until, ErrRefused)
	return ctx, func() { stop(); release() }, nil
}

func bearer(r *http.Request) (string, error) {
	given := r.Header.Values("Authorization")
	if len(given) == 0 {
		return "", ErrUnknown
	}
	kind, token, ok := strings.Cut(given[0], " ")
	token = strings.TrimSpace(token)
	if len(given) > 1 || !ok || !strings.EqualFold(kind, "Bearer") || token == "" || len(token) > maxToken {
		return "", ErrRefused
	}
	return token, nil
}

func (g *Gate) remember(id string, cancel *context.CancelCauseFunc) (forget func()) {
	if id == "" {
		return func() {}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inUse[id] == nil {
		g.inUse[id] = map[*context.CancelCauseFunc]bool{}
	}
	g.inUse[id][cancel] = true
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if delete(g.inUse[id], cancel); len(g.inUse[id]) == 0 {
			delete(g.inUse, id)
		}
	}
}

// End ends what is under way with a token that was revoked.
func (g *Gate) End(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for cancel := range g.inUse[id] {
		(*cancel)(ErrRefused)
	}
}
