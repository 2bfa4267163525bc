package access

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/store/etcd"
)

func newTokens(t *testing.T) (*Tokens, *etcd.Store) {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return NewTokens(s), s
}

func TestRoles(t *testing.T) {
	c := Caller{Grants: []Grant{{"default", "shop", Developer}, {"other", All, Viewer}}}
	for _, x := range []struct {
		namespace, project string
		want               Role
	}{
		{"default", "shop", Developer}, {"default", "bank", Nobody}, {"default", All, Nobody},
		{"other", "anything", Viewer}, {"other", All, Viewer}, {All, All, Nobody}, {"third", "shop", Nobody},
	} {
		if got := c.Role(x.namespace, x.project); got != x.want {
			t.Errorf("%s/%s: %v, want %v", x.namespace, x.project, got, x.want)
		}
	}
	if c.Most("default") != Developer || c.Most("third") != Nobody || c.Most(All) != Developer {
		t.Error("most", c.Most("default"), c.Most("third"), c.Most(All))
	}
	if Local().Role(All, All) != Admin || (Caller{}).Sees("default", "shop") {
		t.Error("local or nobody")
	}
}

func TestGrants(t *testing.T) {
	for text, want := range map[string]string{
		"admin": "*/*:admin", "shop:developer": "default/shop:developer", "prod/shop:operator": "prod/shop:operator", "prod/*:viewer": "prod/*:viewer",
	} {
		g, err := ParseGrant(text, "default")
		if err != nil || g.String() != want {
			t.Errorf("%s: %s, %v", text, g, err)
		}
	}
	for _, text := range []string{"", "root", ":admin", "*/shop:viewer", "Shop:viewer", "a/b/c:viewer", "shop:nobody", "sh op:viewer"} {
		if g, err := ParseGrant(text, "default"); err == nil {
			t.Errorf("%q is taken for %s", text, g)
		}
	}
}

// Nobody makes a token that may do more than themselves.
func TestCovers(t *testing.T) {
	shop := Caller{Grants: []Grant{{"default", "shop", Admin}}}
	for text, want := range map[string]bool{"shop:admin": true, "shop:viewer": true, "bank:viewer": false, "default/*:viewer": false, "viewer": false} {
		g, err := ParseGrant(text, "default")
		if err != nil {
			t.Fatal(err)
		}
		if shop.Covers(g) != want {
			t.Errorf("%s: %v", text, !want)
		}
	}
}

func TestTokens(t *testing.T) {
	tokens, s := newTokens(t)
	now := time.Now()
	tokens.now = func() time.Time { return now }
	token, kept, err := tokens.Create(t.Context(), Token{Name: "ci", Grants: []Grant{{"default", "shop", Developer}}, Expires: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	secret := token[strings.LastIndex(token, "_")+1:]
	entries, _, err := s.List(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(string(e.Value), secret) || strings.Contains(e.Key, secret) {
			t.Fatalf("the store has the token: %s %s", e.Key, e.Value)
		}
	}
	c, until, err := tokens.Verify(t.Context(), token)
	if err != nil || c.Subject != "ci" || c.ID != kept.ID || !until.Equal(kept.Expires) || c.Role("default", "shop") != Developer {
		t.Fatalf("%+v %v %v", c, until, err)
	}
	other, _, err := tokens.Create(t.Context(), Token{Name: "other", Grants: c.Grants})
	if err != nil {
		t.Fatal(err)
	}
	_, foreign, _ := strings.Cut(strings.TrimPrefix(other, Prefix), "_")
	last := map[bool]string{true: "b", false: "a"}[strings.HasSuffix(token, "a")]
	for name, bad := range map[string]string{
		"empty": "", "prefix": Prefix, "no prefix": strings.TrimPrefix(token, Prefix), "changed": token[:len(token)-1] + last,
		"longer": token + "a", "shorter": token[:len(token)-1], "another's secret": Prefix + kept.ID + "_" + foreign,
		"unknown id": Prefix + strings.Repeat("a", 16) + "_" + secret, "path": Prefix + "../functions/a_b_" + secret, "hash": Prefix + kept.ID + "_" + hashed(secret)[:52],
		"upper case": strings.ToUpper(token),
	} {
		if c, _, err := tokens.Verify(t.Context(), bad); !errors.Is(err, ErrRefused) || c.Subject != "" {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	if list, err := tokens.List(t.Context()); err != nil || len(list) != 2 || list[0].Hash != "" {
		t.Errorf("list %+v, %v", list, err)
	}
	now = now.Add(time.Hour)
	if _, _, err := tokens.Verify(t.Context(), token); !errors.Is(err, ErrRefused) {
		t.Errorf("expired: %v", err)
	}
	now = now.Add(-time.Minute)
	if err := tokens.Revoke(t.Context(), kept.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := tokens.Verify(t.Context(), token); !errors.Is(err, ErrRefused) {
		t.Errorf("revoked: %v", err)
	}
	if err := tokens.Revoke(t.Context(), kept.ID); !errors.Is(err, ErrNoToken) {
		t.Errorf("revoked twice: %v", err)
	}
}

// The first token is made once, is its owner's alone, and a lost one is replaced.
func TestFirst(t *testing.T) {
	tokens, s := newTokens(t)
	path := filepath.Join(t.TempDir(), "admin.token")
	read := func() string {
		t.Helper()
		if err := First(t.Context(), tokens, path); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Fatalf("mode %v %v", st.Mode(), err)
		}
		return strings.TrimSpace(string(text))
	}
	one := read()
	if c, _, err := tokens.Verify(t.Context(), one); err != nil || c.Role(All, All) != Admin {
		t.Fatalf("%+v %v", c, err)
	}
	if two := read(); two != one {
		t.Error("it was made again")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	three := read()
	if _, _, err := tokens.Verify(t.Context(), one); !errors.Is(err, ErrRefused) {
		t.Errorf("the lost one is good: %v", err)
	}
	if _, _, err := tokens.Verify(t.Context(), three); err != nil {
		t.Error(err)
	}
	if all, _, err := s.List(t.Context(), tokenKeys); err != nil || len(all) != 1 {
		t.Errorf("%d tokens, %v", len(all), err)
	}
}

// A token that somebody else keeps is known, whatever was before, and what is none is refused.
func TestGiven(t *testing.T) {
	tokens, s := newTokens(t)
	path := filepath.Join(t.TempDir(), "token")
	if err := First(t.Context(), tokens, filepath.Join(t.TempDir(), "admin.token")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		token, err := New()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // as when the control plane is started again
			if err := Given(t.Context(), tokens, path); err != nil {
				t.Fatal(err)
			}
		}
		if c, _, err := tokens.Verify(t.Context(), token); err != nil || c.Role(All, All) != Admin {
			t.Errorf("%+v %v", c, err)
		}
		if all, _, err := s.List(t.Context(), tokenKeys); err != nil || len(all) != 1 {
			t.Errorf("%d tokens, %v", len(all), err)
		}
	}
	if err := os.WriteFile(path, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Given(t.Context(), tokens, path); err == nil || !strings.Contains(err.Error(), "myelin token new") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

// A request ends when its token is revoked, and when it expires.
func TestGateEnds(t *testing.T) {
	tokens, _ := newTokens(t)
	token, kept, err := tokens.Create(t.Context(), Token{Name: "x", Grants: []Grant{{All, All, Viewer}}})
	if err != nil {
		t.Fatal(err)
	}
	short, _, err := tokens.Create(t.Context(), Token{Name: "y", Grants: []Grant{{All, All, Viewer}}, Expires: time.Now().Add(300 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	g := NewGate(tokens, nil)
	begin := func(token string) context.Context {
		t.Helper()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		ctx, done, err := g.Admit(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(done)
		return ctx
	}
	first, second := begin(token), begin(short)
	if From(first).Subject != "x" {
		t.Errorf("%+v", From(first))
	}
	<-second.Done()
	if !errors.Is(context.Cause(second), ErrRefused) {
		t.Errorf("expired: %v", context.Cause(second))
	}
	if first.Err() != nil {
		t.Fatal("ended too early")
	}
	g.End(kept.ID)
	<-first.Done()
	if !errors.Is(context.Cause(first), ErrRefused) {
		t.Errorf("revoked: %v", context.Cause(first))
	}
}

func TestGateRefuses(t *testing.T) {
	tokens, _ := newTokens(t)
	token, _, err := tokens.Create(t.Context(), Token{Name: "x", Grants: []Grant{{All, All, Viewer}}})
	if err != nil {
		t.Fatal(err)
	}
	g := NewGate(tokens, nil)
	for name, given := range map[string][]string{
		"none": nil, "basic": {"Basic " + token}, "bare": {token}, "empty": {"Bearer "}, "two": {"Bearer " + token, "Bearer " + token},
		"two in one": {"Bearer " + token + ", Bearer x"}, "long": {"Bearer " + strings.Repeat("x", maxToken+1)},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Authorization"] = given
		_, _, err := g.Admit(r)
		if want := map[bool]error{true: ErrUnknown, false: ErrRefused}[given == nil]; !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(g.inUse) != 0 {
		t.Errorf("still in use: %v", g.inUse)
	}
}

// Every rule can be met by somebody, and what is not a rule by nobody.
func TestRules(t *testing.T) {
	admin := Local()
	for op, r := range Rules() {
		if !r.Allows(admin, "default", "x") {
			t.Errorf("an admin may not %s", op)
		}
		if r.Scope != Unrestricted && r.Allows(Caller{}, "default", "x") {
			t.Errorf("nobody may %s", op)
		}
		if r.Scope == InProject && r.Least == Nobody {
			t.Errorf("%s needs no role", op)
		}
	}
	if (Rule{}).Allows(admin, "default", "x") || (Rule{Scope: InAll}).Allows(admin, "default", "x") {
		t.Error("an operation without a rule is allowed")
	}
}

func TestRoleIsText(t *testing.T) {
	b, err := json.Marshal(Grant{"a", "b", Operator})
	if err != nil || string(b) != `{"namespace":"a","project":"b","role":"operator"}` {
		t.Errorf("%s %v", b, err)
	}
	var g Grant
	if err := json.Unmarshal([]byte(`{"role":"rooot"}`), &g); err == nil {
		t.Error("an unknown role was read")
	}
}
