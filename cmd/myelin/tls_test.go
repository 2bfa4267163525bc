package main

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// authority signs certificates, as a company's own does.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string // what trusts it
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{t: t, file: filepath.Join(dir, "ca.pem")}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der := a.sign(&x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, &a.key.PublicKey)
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.write(a.file, "CERTIFICATE", der)
	return a
}

func (a *authority) sign(template, parent *x509.Certificate, public any) []byte {
	a.t.Helper()
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// write replaces a file as those do that renew certificates, by renaming.
func (a *authority) write(path, kind string, der []byte) {
	a.t.Helper()
	if err := errors.Join(os.WriteFile(path+"~", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600), os.Rename(path+"~", path)); err != nil {
		a.t.Fatal(err)
	}
}

// certify writes a new certificate for this machine, and its key.
func (a *authority) certify(cert, key string, serial int64) {
	a.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	der := a.sign(&x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, a.cert, &private.PublicKey)
	a.write(key, "PRIVATE KEY", raw)
	a.write(cert, "CERTIFICATE", der)
}

// client trusts the authority, and makes a connection for every request.
func (a *authority) client() *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
}

// issuer is a small one of OpenID Connect: discovery, keys and signed tokens.
type issuer struct {
	t   *testing.T
	url string
	key *rsa.PrivateKey
}

func newIssuer(t *testing.T, a *authority, dir string) *issuer {
	t.Helper()
	i := &issuer{t: t}
	var err error
	if i.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	srv := httptest.NewUnstartedServer(mux)
	a.certify(filepath.Join(dir, "issuer.pem"), filepath.Join(dir, "issuer.key"), 2)
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "issuer.pem"), filepath.Join(dir, "issuer.key"))
	if err != nil {
		t.Fatal(err)
	}
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	i.url = srv.URL
	answer := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(v) }
	}
	mux.HandleFunc("/.well-known/openid-configuration", answer(map[string]any{"issuer": i.url, "jwks_uri": i.url + "/keys", "authorization_endpoint": i.url + "/a", "token_endpoint": i.url + "/t",
		"id_token_signing_alg_values_supported": []string{"RS256"}, "subject_types_supported": []string{"public"}, "response_types_supported": []string{"id_token"}}))
	mux.HandleFunc("/keys", answer(map[string]any{"keys": []any{map[string]string{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1",
		"n": base64url(i.key.N.Bytes()), "e": base64url(big.NewInt(int64(i.key.E)).Bytes())}}}))
	return i
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token is one for somebody with roles, until an age.
func (i *issuer) token(who string, age time.Duration, roles ...string) string {
	i.t.Helper()
	body, err := json.Marshal(map[string]any{"iss": i.url, "aud": "myelin", "sub": who, "iat": time.Now().Add(-time.Hour).Unix(), "exp": time.Now().Add(age).Unix(), "roles": roles})
	if err != nil {
		i.t.Fatal(err)
	}
	text := base64url([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + base64url(body)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	if err != nil {
		i.t.Fatal(err)
	}
	return text + "." + base64url(signature)
}

// platform is a `myelin up`, a process of its own.
type platform struct {
	t            *testing.T
	program      string
	api, gateway string
	env          []string
}

// programs makes this test's binary what users have, by its names.
func programs(t *testing.T, dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"myelin", "processor"} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func up(t *testing.T, program string, env []string, args ...string) *platform {
	t.Helper()
	cmd := exec.Command(program, append([]string{"up", "--api-addr", "127.0.0.1:0"}, args...)...)
	cmd.Env = env
	out, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = t.Output()
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("myelin up: %v", err)
		}
	})
	p := &platform{t: t, program: program, env: env}
	lines := bufio.NewScanner(out)
	for p.api == "" || p.gateway == "" {
		if !lines.Scan() {
			t.Fatal("myelin up ended")
		}
		what, url, _ := strings.Cut(lines.Text(), ":")
		switch what {
		case "API":
			p.api = strings.TrimSpace(url)
		case "gateway":
			p.gateway = strings.TrimPrefix(strings.TrimSpace(url), "http://")
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
	return p
}

// myelin runs the command line against it, with a token.
func (p *platform) myelin(token string, args ...string) (string, error) {
	cmd := exec.Command(p.program, args...)
	cmd.Env = append(p.env, "MYELIN_API="+p.api, "MYELIN_TOKEN="+token)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// shown asks, and says which certificate the server showed and over which HTTP the
// answer came.
func shown(c *http.Client, url, body string) (serial int64, proto, answer string, err error) {
	resp, err := c.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		return 0, "", "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.TLS.PeerCertificates[0].SerialNumber.Int64(), resp.Proto, string(text), err
}

// All that listens speaks TLS, by certificates in files that are renewed without
// a restart; who may do what is said by an issuer's tokens.
func TestTLSAndOpenIDConnect(t *testing.T) {
	data, dir := shared(t, "data"), shared(t, "files")
	a := newAuthority(t, dir)
	id := newIssuer(t, a, dir)
	apiCert, apiKey, gwCert, gwKey := filepath.Join(dir, "api.pem"), filepath.Join(dir, "api.key"), filepath.Join(dir, "gw.pem"), filepath.Join(dir, "gw.key")
	a.certify(apiCert, apiKey, 10)
	a.certify(gwCert, gwKey, 20)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gateway := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	programs(t, dir)
	env := append(os.Environ(), "MYELIN_DATA="+data, "MYELIN_PROCESSOR="+filepath.Join(dir, "processor"), "SSL_CERT_FILE="+a.file, "MYELIN_CA="+a.file, "MYELIN_CONTEXTS="+filepath.Join(dir, "contexts.json"))
	p := up(t, filepath.Join(dir, "myelin"), env, "--gateway-addr", gateway, "--auth", "on", "--api-cert", apiCert, "--api-key", apiKey, "--gateway-tls-cert", gwCert, "--gateway-tls-key", gwKey,
		"--oidc-issuer", id.url, "--oidc-audience", "myelin", "--oidc-grant", "builders=default:developer")
	if !strings.HasPrefix(p.api, "https://") {
		t.Fatalf("the API is at %s", p.api)
	}

	source := filepath.Join(dir, "hello.sh")
	if err := os.WriteFile(source, []byte("#!/bin/sh\nprintf 'Hello, %s' \"$(cat)\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ann, viewer := id.token("ann", time.Hour, "builders"), id.token("bob", time.Hour, "myelin:viewer")
	if out, err := p.myelin(ann, "run", source, "--runtime", "shell"); err != nil {
		t.Fatalf("run: %v\n%s", err, out)
	}
	for what, refused := range map[string][2]string{
		"a viewer deploys":      {viewer, "run"},
		"a token that is over":  {id.token("ann", -time.Minute, "builders"), "get"},
		"one of another issuer": {(&issuer{t: t, url: "https://127.0.0.1:1", key: id.key}).token("ann", time.Hour, "builders"), "get"},
		"one that is changed":   {ann[:len(ann)-8] + "AAAAAAAA", "get"},
		"one without any role":  {id.token("eve", time.Hour, "passers-by"), "run"},
		"none":                  {"", "get"},
	} {
		args := map[string][]string{"run": {"run", source, "--runtime", "shell", "--name", "other"}, "get": {"get", "functions"}}[refused[1]]
		if refused[0] == "" {
			args = append(args, "--data", t.TempDir()) // not the first admin's token, either
		}
		if out, err := p.myelin(refused[0], args...); err == nil {
			t.Errorf("%s: %s", what, out)
		}
	}
	if out, err := p.myelin(viewer, "get", "functions"); err != nil || !strings.Contains(out, "hello") || strings.Contains(out, "other") {
		t.Errorf("a viewer: %v\n%s", err, out)
	}
	if out, err := p.myelin("", "audit", "--outcome", "refused"); err != nil || !strings.Contains(out, "bob") {
		t.Errorf("the first admin reads what was refused: %v\n%s", err, out)
	}

	// A function that looks around finds nothing of the control plane's, if this is root.
	thief := filepath.Join(dir, "thief.sh")
	text := "#!/bin/sh\nfor f in store.keys admin.token run/users.json; do cat \"$DATA/$f\" && echo found $f; done 2>&1\nls \"$DATA\" \"$DATA/artefacts\" \"$DATA/store\" \"$DATA/strangers\" 2>/dev/null && echo listed\ntrue\n"
	if err := os.WriteFile(thief, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := p.myelin(ann, "run", thief, "--runtime", "shell", "--env", "DATA="+data); err != nil {
		t.Fatalf("run: %v\n%s", err, out)
	}
	c := a.client()
	_, _, found, err := shown(c, "https://"+gateway+"/thief", "")
	if err != nil || !strings.Contains(found, "store.keys") || os.Geteuid() == 0 && (strings.Contains(found, "found") || strings.Contains(found, "listed")) {
		t.Errorf("a function reads %q, %v", found, err)
	}

	serial, proto, answer, err := shown(c, "https://"+gateway+"/hello", "TLS")
	if err != nil || serial != 20 || proto != "HTTP/2.0" || answer != "Hello, TLS" {
		t.Errorf("the gateway: certificate %d, %s, %q, %v", serial, proto, answer, err)
	}
	if serial, _, _, err := shown(c, p.api+"/api/v1/healthz", ""); err != nil || serial != 10 {
		t.Errorf("the API: certificate %d, %v", serial, err)
	}
	a.certify(apiCert, apiKey, 11)
	a.certify(gwCert, gwKey, 21)
	for url, want := range map[string]int64{"https://" + gateway + "/hello": 21, p.api + "/api/v1/healthz": 11} {
		eventually(t, "the new certificate of "+url, func() error {
			serial, _, _, err := shown(c, url, "x")
			if err == nil && serial != want {
				err = fmt.Errorf("it is %d", serial)
			}
			return err
		})
	}
	// Nobody who does not trust the authority is served, and nothing in clear.
	if _, err := http.Get(p.api + "/api/v1/healthz"); err == nil {
		t.Error("a client that trusts nobody of ours was served")
	}
	if resp, err := http.Get(strings.Replace(p.api, "https", "http", 1) + "/api/v1/healthz"); err == nil {
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			t.Error("the API answers in clear")
		}
	}
}

func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited for %s: %v", what, err)
		}
	}
}
