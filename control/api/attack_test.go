package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/access"
	"github.com/myelin-run/myelin/control/audit"
	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/history"
	"github.com/myelin-run/myelin/control/secret"
	"github.com/myelin-run/myelin/control/store/etcd"
	dealers "github.com/myelin-run/myelin/dealer/server"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/letterbox"
)

// fort is an API that asks who its callers are, with two projects in one
// namespace and a function and a secret in each.
type fort struct {
	*testing.T
	url    string
	tokens *access.Tokens
	audit  *audit.Log
	cat    *catalog.Catalog
}

const vaultPassword = "the-vaults-own-password"

func newFort(t *testing.T) *fort {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	f := &fort{T: t, tokens: access.NewTokens(s), audit: audit.New(audit.Options{Dir: t.TempDir()}), cat: catalog.New(s)}
	secrets := secret.New(s)
	srv := httptest.NewServer(New(Options{
		Catalog: f.cat, Temp: t.TempDir(), Version: "1", Log: slog.New(slog.DiscardHandler), Sending: time.Second,
		Gate: access.NewGate(f.tokens, nil), Tokens: f.tokens, Secrets: secrets, Audit: f.audit, History: busy{}, Letters: hoard{t.TempDir()}, Dealer: croupier{},
	}))
	f.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		if err := f.audit.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, x := range [][3]string{{"default", "shop", "till"}, {"default", "bank", "vault"}, {"other", "shop", "stall"}} {
		f.plant(secrets, x[0], x[1], x[2])
	}
	return f
}

// busy has figures of all functions of the fort.
type busy struct{}

func (busy) Of(catalog.Name, time.Time, int) []history.Point { return nil }

func (busy) Sources(catalog.Name) []history.Source { return nil }

func (busy) All(ns string, _ time.Time, _ int) map[catalog.Name][]history.Point {
	out := map[catalog.Name][]history.Point{}
	for _, n := range []catalog.Name{{Namespace: "default", Name: "till"}, {Namespace: "default", Name: "vault"}, {Namespace: "other", Name: "stall"}} {
		if ns == "" || ns == n.Namespace {
			out[n] = nil
		}
	}
	return out
}

// hoard has a letter of each function of the fort, and of one that is gone.
type hoard struct{ dir string }

func (hoard) Letterboxes() ([]string, error) {
	return []string{"default.till", "default.till.2", "default.vault", "other.stall", "default.vaulted", "default.empty", "nonsense"}, nil
}

func (h hoard) Letterbox(name string) *letterbox.Box {
	box := letterbox.New(letterbox.Options{Dir: filepath.Join(h.dir, name)})
	if name != "default.empty" {
		_ = box.Send(context.Background(), &letter.Letter{ID: "1", Trigger: "in"}) // the same each time
	}
	return box
}

func (hoard) Redrive(context.Context, string, *letter.Letter) (out letter.Outcome, err error) {
	return out, errors.New("nothing runs")
}

// croupier deals the shards of a trigger of each function of the fort.
type croupier struct{}

func (croupier) Tables(context.Context) (ts []dealers.TableReport, dealing bool) {
	for _, name := range []string{"default.till.in", "default.vault.in", "other.stall.in", "nonsense"} {
		ts = append(ts, dealers.TableReport{Name: name})
	}
	return ts, true
}

func (croupier) Table(_ context.Context, name string) (t dealers.TableReport, found, dealing bool) {
	return dealers.TableReport{Name: name}, true, true
}

func (f *fort) plant(secrets *secret.Secrets, ns, project, name string) {
	f.Helper()
	p := function.Project{Metadata: function.Metadata{Name: project, Namespace: ns}}
	err := f.cat.PutProject(f.Context(), p, "")
	cfg := function.Config{Metadata: function.Metadata{Name: name, Namespace: ns, Labels: map[string]string{function.ProjectLabel: project}}}
	cfg.Spec.Handler, cfg.Spec.Runtime = "main:handler", "python"
	cfg.Spec.Triggers = map[string]function.Trigger{"in": {Kind: "nats", Password: vaultPassword}}
	if err == nil {
		err = f.cat.Put(f.Context(), cfg, "")
	}
	if err == nil {
		_, _, err = secrets.Set(f.Context(), secret.Secret{Namespace: ns, Project: project, Name: name + "-key"}, vaultPassword)
	}
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fort) token(grant string) string {
	f.Helper()
	g, err := access.ParseGrant(grant, "default")
	if err != nil {
		f.Fatal(err)
	}
	token, _, err := f.tokens.Create(f.Context(), access.Token{Name: grant, Grants: []access.Grant{g}})
	if err != nil {
		f.Fatal(err)
	}
	return token
}

func (f *fort) ask(token, method, path, body string, header ...string) (int, string) {
	f.Helper()
	req, err := http.NewRequestWithContext(f.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(req)
	if err != nil {
		f.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// at fills in a pattern: method, path.
func at(pattern, name string) (method, path string) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		method, path = "POST", pattern
	}
	for from, to := range map[string]string{"{name}": name, "{function}": name, "{version}": "1", "{id}": "abc", "{trigger}": "in", "{verb}": "pause", "{path...}": "x"} {
		path = strings.Replace(path, from, to, 1)
	}
	return method, path
}

// A token of another project sees and does nothing, by no route.
func TestTokenOfAnotherProject(t *testing.T) {
	f := newFort(t)
	shop := f.token("shop:admin")
	before, err := f.cat.Get(t.Context(), catalog.Name{Namespace: "default", Name: "vault"})
	if err != nil {
		t.Fatal(err)
	}
	body := `{"metadata":{"name":"vault","namespace":"default","labels":{"nuclio.io/project-name":"shop"}},"spec":{"handler":"a:b","runtime":"python"}}`
	for pattern, right := range rights {
		rule := access.Rules()[right.operation]
		if rule.Scope == access.Unrestricted || rule.Scope == access.Known {
			continue
		}
		method, path := at(pattern, "vault")
		code, text := f.ask(shop, method, path+"?project=bank", body)
		if strings.Contains(path, "vault") && code/100 != 4 {
			t.Errorf("%s %s: %d %s", method, path, code, text)
		}
		if strings.Contains(text, vaultPassword) || right.of == collection && strings.Contains(text, `"vault`) {
			t.Errorf("%s %s tells: %s", method, path, text)
		}
		for _, foreign := range []string{"other", "nowhere"} {
			code, elsewhere := f.ask(shop, method, path+"?namespace="+foreign, body)
			if code/100 != 4 || strings.Contains(elsewhere, "stall") {
				t.Errorf("%s %s in %s: %d %s", method, path, foreign, code, elsewhere)
			}
		}
	}
	after, err := f.cat.Get(t.Context(), catalog.Name{Namespace: "default", Name: "vault"})
	if err != nil || after.Metadata.ResourceVersion != before.Metadata.ResourceVersion {
		t.Fatalf("the vault was changed: %+v, %v", after.Metadata, err)
	}
}

// Letters of what is gone are listed to those who see the whole namespace.
func TestLettersOfWhatIsGone(t *testing.T) {
	f := newFort(t)
	var all LetterboxList
	code, text := f.ask(f.token("*:admin"), "GET", "/api/v1/letters", "")
	if err := json.Unmarshal([]byte(text), &all); err != nil || code != 200 {
		t.Fatalf("%d %s %v", code, text, err)
	}
	want := []Letterbox{
		{Namespace: "default", Function: "till", Letters: 1}, {Namespace: "default", Function: "till", Version: "2", Letters: 1},
		{Namespace: "default", Function: "vault", Letters: 1}, {Namespace: "default", Function: "vaulted", Letters: 1, Gone: true},
	}
	if !slices.Equal(all.Items, want) {
		t.Errorf("got %+v", all.Items)
	}
}

// What is not there and what may not be seen cannot be told apart, and lists
// have what may be seen, no more and no less.
func TestWhatIsSeen(t *testing.T) {
	f := newFort(t)
	shop := f.token("shop:developer")
	hidden, text := f.ask(shop, "GET", "/api/v1/functions/vault", "")
	absent, other := f.ask(shop, "GET", "/api/v1/functions/vaulx", "")
	if hidden != 404 || absent != 404 || strings.ReplaceAll(text, "vault", "vaulx") != other {
		t.Errorf("told apart: %d %s %d %s", hidden, text, absent, other)
	}
	for _, path := range []string{"/api/v1/functions", "/api/v1/functions?namespace=*", "/api/v1/projects", "/api/v1/projects?namespace=*", "/api/v1/secrets", "/api/v1/secrets?namespace=*", "/api/v1/figures", "/api/v1/figures?namespace=*", "/api/v1/letters", "/api/v1/letters?namespace=*", "/api/v1/dealer", "/api/v1/dealer?namespace=*"} {
		code, text := f.ask(shop, "GET", path, "")
		seen := strings.Contains(text, "till") || strings.Contains(path, "projects") && strings.Contains(text, `"shop"`)
		if code != 200 || !seen || strings.Contains(text, "bank") || strings.Contains(text, "vault") || strings.Contains(text, "other") || strings.Contains(text, "stall") {
			t.Errorf("%s: %d %s", path, code, text)
		}
	}
	for body, want := range map[string]int{
		`{"metadata":{"name":"new","labels":{"nuclio.io/project-name":"bank"}},"spec":{"handler":"a:b","runtime":"python"}}`:                     403,
		`{"metadata":{"name":"new"},"spec":{"handler":"a:b","runtime":"python"}}`:                                                                403,
		`{"metadata":{"name":"new","namespace":"other","labels":{"nuclio.io/project-name":"shop"}},"spec":{"handler":"a:b","runtime":"python"}}`: 403,
		`{"metadata":{"name":"vault","labels":{"nuclio.io/project-name":"shop"}},"spec":{"handler":"a:b","runtime":"python"}}`:                   409,
		`{"metadata":{"name":"new","labels":{"nuclio.io/project-name":"shop"}},"spec":{"handler":"a:b","runtime":"python"}}`:                     201,
	} {
		if code, text := f.ask(shop, "POST", "/api/v1/functions", body); code != want {
			t.Errorf("%s: %d %s, want %d", body, code, text, want)
		}
	}
	if code, text := f.ask(shop, "PUT", "/api/v1/functions/till", `{"metadata":{"name":"till","labels":{"nuclio.io/project-name":"bank"}},"spec":{"handler":"a:b","runtime":"python"}}`); code != 403 {
		t.Errorf("given away: %d %s", code, text)
	}
}

// Each role may do what its rule says, in its project.
func TestRolesAtRoutes(t *testing.T) {
	f := newFort(t)
	for role := access.Viewer; role <= access.Admin; role++ {
		token := f.token("shop:" + role.String())
		for pattern, right := range rights {
			rule := access.Rules()[right.operation]
			if right.of != oneFunction || rule.Least <= role {
				continue
			}
			method, path := at(pattern, "till")
			if code, text := f.ask(token, method, path, "{}"); code != 403 || !strings.Contains(text, "needs the role "+rule.Least.String()) {
				t.Errorf("%s: %s %s: %d %s", role, method, path, code, text)
			}
		}
		code, text := f.ask(token, "GET", "/api/v1/functions/till?reveal=true", "")
		if code != 403 { // it is shown to who may everything in the namespace
			t.Errorf("%s: reveal: %d %s", role, code, text)
		}
	}
	viewer := f.token("viewer")
	if code, text := f.ask(viewer, "GET", "/api/v1/functions?namespace=*", ""); code != 200 || !strings.Contains(text, "stall") {
		t.Errorf("a viewer of everything: %d %s", code, text)
	}
	admin := f.token("admin")
	if code, text := f.ask(admin, "GET", "/api/v1/functions/till?reveal=true", ""); code != 200 || !strings.Contains(text, vaultPassword) {
		t.Errorf("reveal to an admin: %d %s", code, text)
	}
	if code, _ := f.ask(f.token("default/*:admin"), "GET", "/api/v1/audit", ""); code != 403 {
		t.Errorf("the audit log is shown to who is no admin of all: %d", code)
	}
}

// Without a good token there is nothing but health, the document and the way to get one.
func TestNoToken(t *testing.T) {
	f := newFort(t)
	gone := f.token("admin")
	all, err := f.tokens.List(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if code, _ := f.ask(gone, "DELETE", "/api/v1/tokens/"+all[0].ID, ""); code != 204 {
		t.Fatalf("revoke: %d", code)
	}
	for pattern := range rights {
		method, path := at(pattern, "till")
		rule := access.Rules()[rights[pattern].operation]
		code, text := f.ask("", method, path, "{}")
		want := map[bool]int{true: 200, false: 401}[rule.Scope == access.Unrestricted]
		if pattern == "POST /api/v1/signin" {
			want = http.StatusNotFound // as there is no issuer here
		}
		if code != want {
			t.Errorf("%s %s: %d %s", method, path, code, text)
		}
	}
	for name, header := range map[string]string{"revoked": "Bearer " + gone, "basic": "Basic YWRtaW46YWRtaW4=", "none": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "empty": "Bearer"} {
		if code, text := f.ask("", "GET", "/api/v1/functions", "", "Authorization", header); code != 401 || strings.Contains(text, "till") {
			t.Errorf("%s: %d %s", name, code, text)
		}
	}
	for range maxMisses {
		f.ask(gone, "GET", "/api/v1/functions", "")
	}
	if code, _ := f.ask(gone, "GET", "/api/v1/functions", ""); code != 429 {
		t.Errorf("wrong again and again: %d", code)
	}
}

// Nobody gives more than they have.
func TestTokensOfTokens(t *testing.T) {
	f := newFort(t)
	shop := f.token("shop:admin")
	make := func(ns, project, role string) int {
		code, text := f.ask(shop, "POST", "/api/v1/tokens", fmt.Sprintf(`{"name":"x","grants":[{"namespace":%q,"project":%q,"role":%q}]}`, ns, project, role))
		if strings.Contains(text, `"hash"`) {
			t.Errorf("the hash is shown: %s", text)
		}
		return code
	}
	if code := make("default", "shop", "developer"); code != 201 {
		t.Errorf("own project: %d", code)
	}
	for _, g := range [][3]string{{"default", "bank", "viewer"}, {"default", "*", "viewer"}, {"*", "*", "admin"}, {"other", "shop", "viewer"}} {
		if code := make(g[0], g[1], g[2]); code != 403 {
			t.Errorf("%v: %d", g, code)
		}
	}
	bank := f.token("bank:viewer")
	id := strings.Split(bank, "_")[1]
	if code, _ := f.ask(shop, "DELETE", "/api/v1/tokens/"+id, ""); code != 404 {
		t.Errorf("revoked another's: %d", code)
	}
	if _, text := f.ask(shop, "GET", "/api/v1/tokens", ""); strings.Contains(text, id) || !strings.Contains(text, `"name":"x"`) {
		t.Errorf("tokens: %s", text)
	}
	if code, _ := f.ask(f.token("shop:operator"), "POST", "/api/v1/tokens", `{"name":"x","grants":[{"namespace":"default","project":"shop","role":"viewer"}]}`); code != 403 {
		t.Errorf("by an operator: %d", code)
	}
}

// raw sends bytes as they are and returns the statuses that come back.
func (f *fort) raw(text string) (statuses []int) {
	f.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		f.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		f.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		f.Fatal(err)
	}
	in := bufio.NewReader(c)
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		statuses = append(statuses, resp.StatusCode)
		if resp.Close {
			return statuses
		}
	}
}

func TestPathTricks(t *testing.T) {
	f := newFort(t)
	shop := f.token("shop:admin")
	for _, path := range []string{
		"//api/v1/functions/vault", "/api/v1//functions/vault", "/api/v1/functions/till/../vault", "/api/v1/functions/till/%2e%2e/vault", "/api/v1/functions/%2e%2e/%2e%2e/functions/vault",
		"/api/v1/functions/till%2f..%2fvault", "/api/v1/functions/..%2fbank", "/api/v1/functions/vault;a=b", "/api/v1/functions/vault%3fnamespace=default", "/api/v1/functions/vault%00",
		"/api/v1/functions/vault%5c..", "/api/v1/functions/./vault", "/API/v1/functions/vault", "/api/v1/functions/vault/", "/api/v1/functions/till/invoke/../../vault",
		"/api/v1/functions/%252e%252e/letters", "/api/v1/functions/x%2f..%2f..%2f..%2fetc/letters", "/api/v1/functions/vault?namespace=default&namespace=other",
		"/api/v1/functions/till?namespace=default%2f..", "/api/v1/functions/..;/vault", "/api/v1/functions/till/letters/..%2f..%2fvault%2fabc", "/api/v1/healthz/../functions/vault", "/api/v1/healthz/%2e%2e/functions",
	} {
		for _, method := range []string{"GET", "DELETE"} {
			got := f.raw(method + " " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + shop + "\r\nConnection: close\r\n\r\n")
			if len(got) != 1 || got[0]/100 != 4 {
				t.Errorf("%s %s: %v", method, path, got)
			}
		}
	}
	if got := f.raw("GET /api/v1/healthz/%2e%2e/functions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); len(got) != 1 || got[0]/100 != 4 {
		t.Errorf("without a token: %v", got)
	}
}

// What two servers in a row could understand differently is refused, and no
// second request is hidden in the first one's body.
func TestSmuggling(t *testing.T) {
	f := newFort(t)
	shop := f.token("shop:developer")
	hidden := "GET /api/v1/functions/till HTTP/1.1\r\nHost: x\r\n\r\n"
	head := "POST /api/v1/functions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + shop + "\r\n"
	for name, text := range map[string]string{
		"two lengths":           head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef" + hidden,
		"sign":                  head + "Content-Length: +5\r\n\r\nabcde" + hidden,
		"space before colon":    head + "Content-Length : 5\r\n\r\nabcde" + hidden,
		"unknown coding":        head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden,
		"two codings":           head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden,
		"bad chunk":             head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + hidden,
		"two hosts":             "GET /api/v1/functions HTTP/1.1\r\nHost: x\r\nHost: y\r\nAuthorization: Bearer " + shop + "\r\n\r\n" + hidden,
		"two tokens":            "GET /api/v1/functions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + shop + "\r\nAuthorization: Bearer " + shop + "\r\n\r\n",
		"folded":                "GET /api/v1/functions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: b\r\n Authorization: Bearer " + shop + "\r\n\r\n",
		"newline in the header": "GET /api/v1/functions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: b\rAuthorization: Bearer " + shop + "\r\n\r\n",
	} {
		if got := f.raw(text); len(got) > 1 || len(got) == 1 && got[0] != 501 && got[0]/100 != 4 {
			t.Errorf("%s: answered %d", name, got)
		}
	}
}

func TestForeignPages(t *testing.T) {
	f := newFort(t)
	admin := f.token("admin")
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "same-site"}} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
			if code, _ := f.ask(admin, method, "/api/v1/functions/till", "{}", header...); code != 403 && code != 405 {
				t.Errorf("%s with %v: %d", method, header, code)
			}
		}
	}
}

func TestOversizedAndSlow(t *testing.T) {
	f := newFort(t)
	admin := f.token("admin")
	for _, path := range []string{"/api/v1/functions", "/api/v1/tokens", "/api/v1/projects"} {
		if code, text := f.ask(admin, "POST", path, `{"metadata":{"name":"`+strings.Repeat("x", 2<<20)+`"}}`); code != 413 {
			t.Errorf("%s: %d %.200s", path, code, text)
		}
	}
	if code, _ := f.ask(admin, "PUT", "/api/v1/secrets/big", `{"value":"`+strings.Repeat("x", secret.MaxValue+1)+`"}`); code != 422 {
		t.Errorf("a large secret: %d", code)
	}
	began := time.Now()
	got := f.raw("POST /api/v1/functions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + admin + "\r\nContent-Length: 100\r\n\r\n{")
	if len(got) != 1 || got[0] < 400 || time.Since(began) > 15*time.Second {
		t.Errorf("a slow body: %v after %v", got, time.Since(began))
	}
	c := newCrowd()
	c.most = 2
	var leave func()
	for range 2 {
		var err error
		if leave, err = c.enter("a"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.enter("a"); err == nil {
		t.Error("one too many got in")
	}
	if _, err := c.enter("b"); err != nil {
		t.Error(err)
	}
	leave()
	if _, err := c.enter("a"); err != nil {
		t.Error(err)
	}
}

// A watch ends when its token is revoked, and tells of one's own project only.
func TestWatchesOfTokens(t *testing.T) {
	f := newFort(t)
	shop := f.token("shop:viewer")
	ctx := t.Context()
	req, err := http.NewRequestWithContext(ctx, "GET", f.url+"/api/v1/functions?watch=true&namespace=*", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+shop)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewScanner(resp.Body)
	until := func(what string) (text string) {
		t.Helper()
		for in.Scan() {
			text += in.Text() + "\n"
			if strings.Contains(in.Text(), what) {
				return text
			}
		}
		t.Fatalf("no %s in %s: %v", what, text, in.Err())
		return ""
	}
	said := until("synced")
	for _, x := range []string{"vault", "till"} {
		n := catalog.Name{Namespace: "default", Name: x}
		fn, err := f.cat.Get(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		fn.Spec.Description = "changed"
		if err := f.cat.Put(ctx, fn.Config, ""); err != nil {
			t.Fatal(err)
		}
		if err := f.cat.Delete(ctx, n, ""); err != nil {
			t.Fatal(err)
		}
	}
	said += until("event: delete")
	if strings.Contains(said, "vault") || strings.Contains(said, "stall") || !strings.Contains(said, "till") {
		t.Errorf("the watch said %s", said)
	}
	if code, _ := f.ask(f.token("admin"), "DELETE", "/api/v1/tokens/"+strings.Split(shop, "_")[1], ""); code != 204 {
		t.Fatalf("revoke: %d", code)
	}
	for in.Scan() { // it ends
	}
	resumed, err := http.NewRequestWithContext(ctx, "GET", f.url+"/api/v1/functions?watch=true&resourceVersion=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resumed.Header.Set("Authorization", "Bearer "+f.token("shop:viewer"))
	again, err := http.DefaultClient.Do(resumed)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Body.Close()
	b, err := io.ReadAll(again.Body)
	if err != nil || !strings.Contains(string(b), "event: reset") || strings.Contains(string(b), "vault") {
		t.Errorf("resumed: %s %v", b, err)
	}
}

// What a function is passed has none of the caller's credentials for the API.
func TestInvokePassesNoCredentials(t *testing.T) {
	f := newFort(t)
	seen := make(chan http.Header, 1)
	behind := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header }))
	t.Cleanup(behind.Close)
	st := function.Status{State: function.Ready, Address: strings.TrimPrefix(behind.URL, "http://"), Replicas: []function.Replica{{Name: "a", State: "ready"}}}
	if err := f.cat.SetStatus(t.Context(), catalog.Name{Namespace: "default", Name: "till"}, st); err != nil {
		t.Fatal(err)
	}
	token := f.token("shop:developer")
	for own, want := range map[string]string{"": "", "Basic YTpi": "Basic YTpi"} {
		var header []string
		if own != "" {
			header = []string{"X-Myelin-Authorization", own}
		}
		if code, text := f.ask(token, "POST", "/api/v1/functions/till/invoke/x?token=s3cret-in-query", "hi", header...); code != 200 {
			t.Fatalf("%d %s", code, text)
		}
		h := <-seen
		if h.Get("Authorization") != want || strings.Contains(fmt.Sprint(h), token) {
			t.Errorf("the function saw %v", h)
		}
	}
}

// The audit log has what was done and refused, by whom, and no secrets.
func TestAuditOfTheAPI(t *testing.T) {
	f := newFort(t)
	shop := f.token("shop:developer")
	f.ask(shop, "PUT", "/api/v1/secrets/new?project=shop", `{"value":"swordfish-9"}`, "X-Request-Id", "req-1")
	f.ask(shop, "GET", "/api/v1/functions/till", "")
	f.ask(shop, "DELETE", "/api/v1/functions/vault", "")
	f.ask(shop, "GET", "/api/v1/audit", "")
	f.ask("myelin_x", "GET", "/api/v1/functions?note=hush", "")
	code, text := f.ask(f.token("admin"), "GET", "/api/v1/audit", "")
	if code != 200 || strings.Contains(text, "swordfish") || strings.Contains(text, shop) || strings.Contains(text, "hush") || strings.Contains(text, vaultPassword) {
		t.Fatalf("%d %s", code, text)
	}
	var all AuditList
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range all.Items {
		got = append(got, fmt.Sprintf("%s %s %s %s %d", r.Who, r.Operation, r.Object, r.Outcome, r.Status))
	}
	want := []string{
		"shop:developer secrets.write new done 201", "shop:developer functions.delete vault refused 404",
		"shop:developer audit.read  refused 403", " functions.read  refused 401",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || all.Items[0].Request != "req-1" {
		t.Errorf("recorded:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
