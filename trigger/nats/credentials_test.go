package nats

import (
	"crypto/sha512"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
)

// TestCredentialsFile: a user whom an operator's account vouches for is let in
// with the file that nsc writes.
func TestCredentialsFile(t *testing.T) {
	operator, account, user := key(t, nkeys.CreateOperator), key(t, nkeys.CreateAccount), key(t, nkeys.CreateUser)
	unlimited := map[string]any{"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1}
	s := servers.NATS(t, servers.Operator(
		token(t, operator, operator, map[string]any{"type": "operator", "version": 2}),
		public(t, account),
		token(t, operator, account, map[string]any{"type": "account", "version": 2, "limits": unlimited}),
	))
	seed, err := user.Seed()
	must(t, err)
	text := "-----BEGIN NATS USER JWT-----\n" + token(t, account, user, map[string]any{"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}) +
		"\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n" + string(seed) + "\n------END USER NKEY SEED------\n"
	file := filepath.Join(t.TempDir(), "user.creds")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	spec := function.Trigger{URL: "nats://" + s.Addr}
	r := started(t, (&broker{}).trigger(t, settings(t, spec), map[string]any{"topic": "in", "credentialsFile": file}), nil)
	must(t, connect(t, s, client.UserCredentials(file)).Publish("in", []byte("x")))
	r.next()
}

func key(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	k, err := create()
	must(t, err)
	return k
}

func public(t *testing.T, k nkeys.KeyPair) string {
	t.Helper()
	p, err := k.PublicKey()
	must(t, err)
	return p
}

// token is what issuer says of subject, as NATS signs it.
func token(t *testing.T, issuer, subject nkeys.KeyPair, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iat": time.Now().Unix(), "iss": public(t, issuer), "sub": public(t, subject), "name": claims["type"], "nats": claims}
	raw, err := json.Marshal(all)
	must(t, err)
	sum := sha512.Sum512_256(raw)
	all["jti"] = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
	raw, err = json.Marshal(all)
	must(t, err)
	b64 := base64.RawURLEncoding
	said := b64.EncodeToString([]byte(`{"typ":"JWT","alg":"ed25519-nkey"}`)) + "." + b64.EncodeToString(raw)
	signature, err := issuer.Sign([]byte(said))
	must(t, err)
	return said + "." + b64.EncodeToString(signature)
}
