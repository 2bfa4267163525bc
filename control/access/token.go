package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/myelin-run/myelin/control/store"
)

// Prefix begins every token, so that one that leaked is found by searching.
const Prefix = "myelin_"

// Token is what is kept of a token: never itself.
type Token struct {
	// ID by which it is listed and revoked.
	ID string `json:"id"`
	// Name of whom or what it is for.
	Name string `json:"name"`
	// Grants are the roles that it gives, and where.
	Grants []Grant `json:"grants"`
	// Created is when it was made.
	Created time.Time `json:"created"`
	// By whom it was made.
	By string `json:"by"`
	// Expires is when it ends, if ever.
	Expires time.Time `json:"expires,omitzero"`
	// Hash is the SHA-256 of the token's secret part in hex; it is not shown. That
	// part is 32 random bytes: nothing that could be guessed, so nothing that a
	// slow hash would protect better.
	Hash string `json:"hash,omitempty"`
}

// Tokens keeps tokens in a store. What it is asked it looks up each time, so
// that a revoked token is of no use at once.
type Tokens struct {
	s   store.Store
	now func() time.Time
}

// NewTokens returns the tokens in s.
func NewTokens(s store.Store) *Tokens { return &Tokens{s, time.Now} }

const tokenKeys = "tokens/"

var (
	// ErrRefused says that somebody is not who they say, without saying why.
	ErrRefused = errors.New("the token is not valid, has expired or was revoked")
	// ErrNoToken says that there is no token of an id.
	ErrNoToken = errors.New("no such token")
)

// The two parts of a token after Prefix, in bytes before they are written in
// base 32: a public id and the secret.
const (
	idBytes     = 10
	secretBytes = 32
)

func letters(b []byte) string {
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}

// New makes a token that nobody knows yet.
func New() (string, error) {
	b := make([]byte, idBytes+secretBytes)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("create token: %w", err)
	}
	return Prefix + letters(b[:idBytes]) + "_" + letters(b[idBytes:]), nil
}

// Create makes a token and returns it: the only time that it can be seen.
func (t *Tokens) Create(ctx context.Context, kept Token) (string, Token, error) {
	token, err := New()
	if err != nil {
		return "", kept, err
	}
	id, secret, _ := split(token)
	if err := t.keep(ctx, id, secret, &kept); err != nil {
		return "", kept, err
	}
	return token, kept.shown(), nil
}

// keep has a token be known.
func (t *Tokens) keep(ctx context.Context, id, secret string, kept *Token) error {
	kept.ID, kept.Hash, kept.Created = id, hashed(secret), t.now().UTC().Truncate(time.Second)
	text, err := json.Marshal(kept)
	if err == nil {
		_, err = t.s.Commit(ctx, store.Op{Key: tokenKeys + kept.ID, Value: text, Check: true})
	}
	if err != nil {
		return fmt.Errorf("create token: %w", err)
	}
	return nil
}

func hashed(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func (k Token) shown() Token {
	k.Hash = ""
	return k
}

// expired tells whether the token's time is over.
func (k Token) expired(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }

// Verify returns whom a token makes known, until when, or ErrRefused. How long
// it takes does not depend on how much of a secret is right.
func (t *Tokens) Verify(ctx context.Context, text string) (Caller, time.Time, error) {
	id, secret, ok := split(text)
	if !ok {
		return Caller{}, time.Time{}, ErrRefused
	}
	kept, err := t.Get(ctx, id)
	if err != nil && !errors.Is(err, ErrNoToken) {
		return Caller{}, time.Time{}, err
	}
	// A token that there is not is compared too.
	same := subtle.ConstantTimeCompare([]byte(hashed(secret)), []byte(kept.Hash)) == 1
	if err != nil || !same || kept.expired(t.now()) {
		return Caller{}, time.Time{}, ErrRefused
	}
	return Caller{Subject: kept.Name, By: ByToken, ID: kept.ID, Grants: kept.Grants}, kept.Expires, nil
}

// split takes a token apart, and refuses what cannot be one: an id is looked
// up in the store.
func split(text string) (id, secret string, ok bool) {
	rest, ok := strings.CutPrefix(text, Prefix)
	if !ok {
		return "", "", false
	}
	id, secret, ok = strings.Cut(rest, "_")
	return id, secret, ok && len(id) == 16 && isLetters(id) && len(secret) == 52 && isLetters(secret)
}

func isLetters(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '2' || r > '7') }) < 0
}

// Get returns what is kept of a token, its hash included.
func (t *Tokens) Get(ctx context.Context, id string) (kept Token, err error) {
	if len(id) != 16 || !isLetters(id) {
		return kept, ErrNoToken
	}
	e, err := store.Get(ctx, t.s, tokenKeys+id)
	if errors.Is(err, store.ErrNotFound) {
		return kept, ErrNoToken
	}
	if err == nil {
		err = json.Unmarshal(e.Value, &kept)
	}
	if err != nil {
		return kept, fmt.Errorf("read token %s: %w", id, err)
	}
	return kept, nil
}

// List returns what is kept of all tokens, without their hashes, the oldest first.
func (t *Tokens) List(ctx context.Context) ([]Token, error) {
	entries, _, err := t.s.List(ctx, tokenKeys)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	out := []Token{}
	for _, e := range entries {
		var kept Token
		if err := json.Unmarshal(e.Value, &kept); err != nil {
			return nil, fmt.Errorf("read %s: %w", e.Key, err)
		}
		out = append(out, kept.shown())
	}
	slices.SortStableFunc(out, func(a, b Token) int { return a.Created.Compare(b.Created) })
	return out, nil
}

// Revoke removes a token. ErrNoToken: there is none.
func (t *Tokens) Revoke(ctx context.Context, id string) error {
	if _, err := t.Get(ctx, id); err != nil {
		return err
	}
	if _, err := t.s.Commit(ctx, store.Op{Key: tokenKeys + id}); err != nil {
		return fmt.Errorf("revoke token %s: %w", id, err)
	}
	return nil
}
