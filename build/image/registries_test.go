package image

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/myelin-run/myelin/test/servers"
)

// depot keeps layers for one test and talks with registries as entries say.
func depot(t *testing.T, entries ...RegistryEntry) Depot {
	t.Helper()
	r, err := NewRegistries(entries)
	if err != nil {
		t.Fatal(err)
	}
	return Depot{Layers: NewLayers(t.TempDir()), Registries: r}
}

// home makes a home directory with Docker's configuration, and none else.
func home(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("DOCKER_CONFIG", filepath.Join(dir, ".docker"))
	for _, name := range []string{"REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"} {
		t.Setenv(name, "") // and back in the end
		os.Unsetenv(name)
	}
	write(t, filepath.Join(dir, ".docker", "config.json"), config, 0o600)
	return dir
}

func pushed(t *testing.T, d Depot, img v1.Image, name string) string {
	t.Helper()
	digest, err := d.Write(t.Context(), img, "image:"+name, "x:1")
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// refused is an error of d about an image, with text in it.
func refused(t *testing.T, d Depot, name string, text ...string) {
	t.Helper()
	_, err := d.Base(t.Context(), name, "amd64")
	for _, want := range text {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// TestRegistry: what was sent to a registry comes back, whole and pinned by its
// digest, and a change of code sends a few kilobytes.
func TestRegistry(t *testing.T) {
	server := servers.Registry(t)
	sent := new(atomic.Int64)
	front := httptest.NewServer(counting(server.Addr, sent))
	defer front.Close()
	host := strings.TrimPrefix(front.URL, "http://")
	d := depot(t)
	p := parts(t, "one")
	write(t, p.Processor.Program, string(noise(2_000_000)), 0o700)
	first := pushed(t, d, made(t, p), host+"/team/hello:1")
	if n := sent.Swap(0); n < 2_000_000 {
		t.Errorf("only %d bytes were sent", n)
	}
	write(t, filepath.Join(p.Artefact.Dir, "src/hello.py"), "two", 0o600)
	img := made(t, p)
	second := pushed(t, d, img, host+"/team/hello:1")
	if n := sent.Swap(0); n > 100_000 {
		t.Errorf("a change of the code sent %d bytes", n)
	}
	if again := pushed(t, d, img, host+"/team/hello:1"); again != second || first == second {
		t.Errorf("%s, %s, %s", first, second, again)
	}
	for name, want := range map[string]string{"team/hello:1": second, "team/hello@" + first: first} {
		back, err := d.Base(t.Context(), host+"/"+name, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		if got := digest(t, back); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if err := validate.Image(back); err != nil {
			t.Error(err)
		}
	}
	refused(t, d, host+"/team/none:1", "MANIFEST_UNKNOWN")
	refused(t, d, host+"/team/hello@sha256:"+strings.Repeat("0", 64), "MANIFEST_UNKNOWN")
}

// counting passes requests on and counts the bytes of their bodies.
func counting(addr string, sent *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		on := r.Clone(r.Context())
		on.URL.Scheme, on.URL.Host, on.RequestURI = "http", addr, ""
		on.Body = counted{r.Body, sent}
		answer, err := http.DefaultTransport.RoundTrip(on)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		for name, values := range answer.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body) // its client sees that it is cut
	})
}

// TestRegistryWithLogin: a registry with TLS of an authority of its own and with a
// password, which is Docker's configuration's or a credential helper's.
func TestRegistryWithLogin(t *testing.T) {
	server := servers.Registry(t, servers.Login("someone", "secret"), servers.WithTLS())
	name := server.Addr + "/hello:1"
	img := made(t, parts(t, "x"))
	trusting := depot(t, RegistryEntry{Host: server.Addr, CA: server.CAFile()})
	home(t, `{}`)
	refused(t, depot(t), name, "certificate", RegistriesFile)
	refused(t, trusting, name, "docker login "+server.Addr)
	if _, err := trusting.Write(t.Context(), img, "image:"+name, ""); err == nil || !strings.Contains(err.Error(), "docker login") {
		t.Errorf("sent without a password: %v", err)
	}
	login := func(password string) string {
		return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, server.Addr, base64.StdEncoding.EncodeToString([]byte("someone:"+password)))
	}
	home(t, login("wrong"))
	refused(t, trusting, name, "UNAUTHORIZED", "docker login")
	home(t, login("secret"))
	want := pushed(t, trusting, img, name)
	anything := depot(t, RegistryEntry{Host: server.Addr, Insecure: true})
	dir := home(t, fmt.Sprintf(`{"credHelpers":{%q:"test"}}`, server.Addr))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	helper := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = get ] && grep -qF %q && echo '{\"Username\":\"someone\",\"Secret\":\"secret\"}'\n", server.Addr)
	write(t, filepath.Join(dir, "docker-credential-test"), helper, 0o700)
	for what, d := range map[string]Depot{"own authority": trusting, "any certificate": anything} {
		back, err := d.Base(t.Context(), name, "amd64")
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := digest(t, back); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
}

// TestRegistryWithTokens: a registry that sends its clients to another service for
// tokens, which it knows by its certificate.
func TestRegistryWithTokens(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	asked := new(atomic.Int64)
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "someone" || password != "secret" {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return
		}
		asked.Add(1)
		_ = json.NewEncoder(w).Encode(map[string]string{"token": token(t, key, r.FormValue("scope"))})
	}))
	defer issuer.Close()
	server := servers.Registry(t, servers.Tokens(strings.Replace(issuer.URL, "127.0.0.1", "localhost", 1), "issuer", certificateOf(t, key)))
	name := server.Addr + "/team/hello:1"
	d := depot(t)
	home(t, `{}`)
	refused(t, d, name, "401", "docker login")
	home(t, fmt.Sprintf(`{"auths":{%q:{"username":"someone","password":"secret"}}}`, server.Addr))
	want := pushed(t, d, made(t, parts(t, "x")), name)
	back, err := d.Base(t.Context(), name, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if got := digest(t, back); got != want || asked.Load() == 0 {
		t.Errorf("%s, want %s; %d tokens", got, want, asked.Load())
	}
}

func certificateOf(t *testing.T, key *ecdsa.PrivateKey) (path string) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "issuer.pem")
	write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o600)
	return path
}

// token is one for what a scope asks for, "repository:NAME:ACTIONS".
func token(t *testing.T, key *ecdsa.PrivateKey, scope string) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Error(err)
	}
	sum := sha256.Sum256(der)
	id := base32.StdEncoding.EncodeToString(sum[:30])
	var groups []string
	for ; len(id) >= 4; id = id[4:] {
		groups = append(groups, id[:4])
	}
	var access []map[string]any
	if kind, rest, ok := strings.Cut(scope, ":"); ok {
		name, actions, _ := strings.Cut(rest, ":")
		access = append(access, map[string]any{"type": kind, "name": name, "actions": strings.Split(actions, ",")})
	}
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(map[string]string{"typ": "JWT", "alg": "ES256", "kid": strings.Join(groups, ":")}) + "." +
		part(map[string]any{"iss": "issuer", "sub": "someone", "aud": "registry", "exp": time.Now().Add(time.Hour).Unix(), "nbf": time.Now().Add(-time.Minute).Unix(), "iat": time.Now().Unix(), "jti": "1", "access": access})
	hash := crypto.SHA256.New()
	hash.Write([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, hash.Sum(nil))
	if err != nil {
		t.Error(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// TestMirrors: what is read comes from the first mirror that has it, else from the
// registry itself; what is written goes to no mirror.
func TestMirrors(t *testing.T) {
	home(t, `{}`)
	own, near := servers.Registry(t), servers.Registry(t)
	plain := depot(t)
	one, two := made(t, parts(t, "one")), made(t, parts(t, "two"))
	pinned := pushed(t, plain, one, own.Addr+"/team/hello:1")
	pushed(t, plain, two, own.Addr+"/team/other:1")
	pushed(t, plain, two, near.Addr+"/hub/team/hello:1")
	d := depot(t, RegistryEntry{Host: own.Addr, Mirrors: []string{"127.0.0.1:1", near.Addr + "/hub"}})
	for name, want := range map[string]v1.Image{"team/hello:1": two, "team/hello@" + pinned: one, "team/other:1": two} {
		got, err := d.Base(t.Context(), own.Addr+"/"+name, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		if digest(t, got) != digest(t, want) {
			t.Errorf("%s comes from elsewhere", name)
		}
	}
	refused(t, d, own.Addr+"/none:1", "127.0.0.1:1", near.Addr, own.Addr, "unknown")
	pushed(t, d, one, own.Addr+"/sent:1")
	refused(t, plain, near.Addr+"/hub/sent:1", "unknown")
}

// TestNothingWithoutTLS: no other machine gets a word without TLS, unless that was
// asked for.
func TestNothingWithoutTLS(t *testing.T) {
	ask := func(d Depot) error {
		r, err := http.NewRequest(http.MethodGet, "http://10.255.255.255:1/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r = r.WithContext(canceled(t))
		answer, err := d.Registries.client.RoundTrip(r)
		if err == nil {
			answer.Body.Close()
		}
		return err
	}
	if err := ask(depot(t)); err == nil || !strings.Contains(err.Error(), "without TLS") {
		t.Errorf("asked: %v", err)
	}
	if err := ask(depot(t, RegistryEntry{Host: "10.255.255.255:1", Insecure: true})); err == nil || strings.Contains(err.Error(), "without TLS") {
		t.Errorf("not asked: %v", err)
	}
}

func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// counted counts what is read.
type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// TestReadRegistries: mistakes in the file are told, with their place.
func TestReadRegistries(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadRegistries(dir); err != nil {
		t.Errorf("without a file: %v", err)
	}
	for text, want := range map[string]string{
		"registries:\n  - host: a.example.com\n    ca: /none/ca.pem\n":                 "no such file",
		"registries:\n  - host: a.example.com\n    insecur: true\n":                    RegistriesFile + ":3",
		"registries:\n  - host: no host\n":                                             "no host",
		"registries:\n  - host: a.example.com\n  - host: a.example.com\n":              "twice",
		"registries:\n  - host: a.example.com\n    mirrors: ['https://b.example.com']": "mirror",
		"registries:\n  - host: a.example.com\n    ca: " + dir + "/registries.yaml\n":  "no certificate",
	} {
		write(t, filepath.Join(dir, RegistriesFile), text, 0o600)
		if _, err := ReadRegistries(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	write(t, filepath.Join(dir, RegistriesFile), "registries:\n  - host: docker.io\n    mirrors: [mirror.example.com/hub]\n", 0o600)
	r, err := ReadRegistries(dir)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := r.reference("debian")
	if err != nil {
		t.Fatal(err)
	}
	if all, err := r.sources(ref); err != nil || len(all) != 2 || all[0].Name() != "mirror.example.com/hub/library/debian:latest" {
		t.Errorf("%v, %v", all, err)
	}
}
