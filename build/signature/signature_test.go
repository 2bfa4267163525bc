package signature

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/artefact"
	"github.com/myelin-run/myelin/function"
)

func pair(t testing.TB, name string) (crypto.Signer, []Key) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := NewKeys(path); err != nil {
		t.Fatal(err)
	}
	return read(t, path)
}

func read(t testing.TB, path string) (crypto.Signer, []Key) {
	t.Helper()
	private, err := ReadPrivate(path + ".key")
	if err != nil {
		t.Fatal(err)
	}
	public, err := ReadPublic(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

func keyFile(t testing.TB, path, kind string, der []byte, err error) {
	t.Helper()
	if err := errors.Join(err, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)); err != nil {
		t.Fatal(err)
	}
}

var hello = Statement{Image, "registry.example.com/hello", "sha256:" + strings.Repeat("ab", 32)}

// TestNewKeysLeavesNoHalf: where one file of a pair is there already, it stays as
// it is, and the other is not made.
func TestNewKeysLeavesNoHalf(t *testing.T) {
	for kept, other := range map[string]string{".key": ".pub", ".pub": ".key"} {
		path := filepath.Join(t.TempDir(), "release")
		if err := os.WriteFile(path+kept, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := NewKeys(path); !errors.Is(err, os.ErrExist) {
			t.Errorf("%s is there: got %v", kept, err)
		}
		if text, err := os.ReadFile(path + kept); string(text) != "mine" {
			t.Errorf("%s is %q now, %v", kept, text, err)
		}
		if _, err := os.Stat(path + other); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was left: %v", other, err)
		}
	}
}

// TestCheck: what was signed is taken, and nothing that was changed since.
func TestCheck(t *testing.T) {
	_, stranger := pair(t, "stranger")
	ecdsaKey, ecdsaPublic := pair(t, "ecdsa")
	path := filepath.Join(t.TempDir(), "ed25519")
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	keyFile(t, path+".key", "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(public)
	keyFile(t, path+".pub", "PUBLIC KEY", der, err)
	edKey, edPublic := read(t, path)
	for name, k := range map[string]struct {
		private crypto.Signer
		public  []Key
	}{"ecdsa": {ecdsaKey, ecdsaPublic}, "ed25519": {edKey, edPublic}} {
		signed, err := Sign(k.private, hello)
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(append(stranger, k.public...), []Signed{{[]byte("x"), []byte("y")}, signed}, hello); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := Check(k.public, []Signed{signed}, Statement{Kind: Image, Digest: hello.Digest}); err != nil {
			t.Errorf("%s: of any name: %v", name, err)
		}
		for what, s := range map[string]Statement{"digest": {Image, hello.Name, "sha256:1"}, "kind": {Artefact, hello.Name, hello.Digest}, "name": {Image, "other", hello.Digest}} {
			if err := Check(k.public, []Signed{signed}, s); err == nil || !strings.Contains(err.Error(), "something else") {
				t.Errorf("%s: of another %s: %v", name, what, err)
			}
		}
		for i := range signed.Payload {
			changed := append([]byte(nil), signed.Payload...)
			changed[i] ^= 1
			if Check(k.public, []Signed{{changed, signed.Signature}}, hello) == nil {
				t.Fatalf("%s: byte %d of the payload was changed", name, i)
			}
		}
		for i := range signed.Signature {
			changed := append([]byte(nil), signed.Signature...)
			changed[i] ^= 1
			if Check(k.public, []Signed{{signed.Payload, changed}}, hello) == nil {
				t.Fatalf("%s: byte %d of the signature was changed", name, i)
			}
		}
		if err := Check(stranger, []Signed{signed}, hello); err == nil || !strings.Contains(err.Error(), "none of the keys") || !strings.Contains(err.Error(), "stranger.pub") {
			t.Errorf("%s: by a stranger: %v", name, err)
		}
	}
	if err := Check(ecdsaPublic, nil, hello); err == nil || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("not signed: %v", err)
	}
}

// TestOpenSSL: another program takes our signatures with our keys.
func TestOpenSSL(t *testing.T) {
	dir := t.TempDir()
	if err := NewKeys(dir + "/k"); err != nil {
		t.Fatal(err)
	}
	private, _ := read(t, dir+"/k")
	signed, err := Sign(private, hello)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(dir+"/payload", signed.Payload, 0o600), os.WriteFile(dir+"/sig", signed.Signature, 0o600)); err != nil {
		t.Fatal(err)
	}
	verify := func() string {
		out, _ := exec.Command("openssl", "dgst", "-sha256", "-verify", dir+"/k.pub", "-signature", dir+"/sig", dir+"/payload").CombinedOutput() // what it says decides
		return string(out)
	}
	if out := verify(); !strings.Contains(out, "Verified OK") {
		t.Errorf("openssl: %s", out)
	}
	if err := os.WriteFile(dir+"/payload", append(signed.Payload, ' '), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := verify(); strings.Contains(out, "Verified OK") {
		t.Errorf("openssl takes another payload: %s", out)
	}
	const want = `{"critical":{"identity":{"docker-reference":"registry.example.com/hello"},"image":{"docker-manifest-digest":"sha256:abababababababababababababababababababababababababababababababab"},"type":"cosign container image signature"},"optional":null}`
	if string(signed.Payload) != want {
		t.Errorf("payload %s", signed.Payload)
	}
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	if err := NewKeys(dir + "/k"); err != nil {
		t.Fatal(err)
	}
	if err := NewKeys(dir + "/k"); !errors.Is(err, os.ErrExist) {
		t.Errorf("written over: %v", err)
	}
	if fi, err := os.Stat(dir + "/k.key"); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi, err)
	}
	if _, err := ReadPublic(dir + "/k.key"); err == nil || !strings.Contains(err.Error(), "instead of a public key") {
		t.Errorf("private for public: %v", err)
	}
	if _, err := ReadPrivate(dir + "/k.pub"); err == nil || !strings.Contains(err.Error(), "myelin keys new") {
		t.Errorf("public for private: %v", err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(other.Public())
	keyFile(t, dir+"/rsa.pub", "PUBLIC KEY", der, err)
	if _, err := ReadPublic(dir + "/rsa.pub"); err == nil || !strings.Contains(err.Error(), "neither") {
		t.Errorf("RSA: %v", err)
	}
}

// TestAdmit: a policy asks for signatures of what is on the disk now, by its keys,
// in its namespaces.
func TestAdmit(t *testing.T) {
	data := t.TempDir()
	if err := NewKeys(data + "/release"); err != nil {
		t.Fatal(err)
	}
	policy := "required:\n  - namespaces: [prod]\n    keys: [" + data + "/release.pub]\n"
	if err := os.WriteFile(filepath.Join(data, PolicyFile), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := ReadPolicy(data)
	if err != nil {
		t.Fatal(err)
	}
	cfg := function.Config{Metadata: function.Metadata{Name: "hello", Namespace: "prod"}}
	a, _, err := artefact.New(data).Make(strings.Repeat("a", 64), cfg, func(out string) (build.Result, error) {
		return build.Result{Command: []string{"run"}}, errors.Join(os.WriteFile(out+"/run", []byte("#!/bin/sh\n"), 0o700), os.Symlink("run", out+"/link"))
	})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what, want string) {
		t.Helper()
		if err := p.Admit(cfg, a); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), PolicyFile) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("not signed", "not signed")
	private, _ := read(t, data+"/release")
	annotate := func(name string) {
		t.Helper()
		signed, err := Sign(private, Statement{Artefact, name, a.Content})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Metadata.Annotations = map[string]string{Annotation: Text([]Signed{signed})}
	}
	annotate("other")
	refused("another function's", "of other")
	annotate("hello")
	if err := p.Admit(cfg, a); err != nil {
		t.Fatal(err)
	}
	tampered := map[string]func() error{
		"content":    func() error { return os.WriteFile(a.Dir+"/run", []byte("#!/bin/rm\n"), 0o700) },
		"mode":       func() error { return os.Chmod(a.Dir+"/run", 0o644) },
		"new file":   func() error { return os.WriteFile(a.Dir+"/new", nil, 0o644) },
		"link":       func() error { return errors.Join(os.Remove(a.Dir+"/link"), os.Symlink("/bin/sh", a.Dir+"/link")) },
		"gone":       func() error { return os.Remove(a.Dir + "/link") },
		"command":    func() error { return replace(a.Dir+"/artefact.json", `"run"`, `"link"`) },
		"config too": func() error { return replace(a.Dir+"/artefact.json", `"hello"`, `"bye"`) },
	}
	for what, tamper := range tampered {
		copied := filepath.Join(t.TempDir(), "copy")
		if out, err := exec.Command("cp", "-a", a.Dir, copied).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		was := a.Dir
		a.Dir = copied
		if err := p.Admit(cfg, a); err != nil {
			t.Errorf("a copy: %v", err)
		}
		if err := tamper(); err != nil {
			t.Fatal(err)
		}
		refused(what, "something else")
		a.Dir = was
	}
	cfg.Metadata.Annotations[Annotation] = "garbage!"
	refused("garbage", "read signature")
	cfg.Metadata.Namespace = "dev"
	if err := p.Admit(cfg, a); err != nil {
		t.Errorf("another namespace: %v", err)
	}
}

func replace(path, old, by string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Replace(string(text), old, by, 1)), 0o600)
}

// TestPolicyMistakes: a policy that says nothing is a mistake, and not one that
// lets everything run.
func TestPolicyMistakes(t *testing.T) {
	dir := t.TempDir()
	if p, err := ReadPolicy(dir); err != nil || p.Admit(function.Config{}, build.Artefact{}) != nil {
		t.Errorf("without a policy: %v", err)
	}
	for text, want := range map[string]string{
		"":                              "no rules",
		"required: []\n":                "no rules",
		"required:\n  - keys: []\n":     "no keys",
		"required:\n  - key: [x]\n":     PolicyFile + ":2",
		"required:\n  - keys: [/none]":  "/none",
		"requird:\n  - keys: [/none]\n": "requird",
	} {
		if err := os.WriteFile(filepath.Join(dir, PolicyFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadPolicy(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// FuzzParse: whatever an annotation has, it is read to an end, and none is taken
// that was not made with the key.
func FuzzParse(f *testing.F) {
	private, public := pair(f, "k")
	signed, err := Sign(private, hello)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(Text([]Signed{signed, signed}))
	f.Add("a.b,c")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(Text(all)); err != nil || len(again) != len(all) {
			t.Errorf("%q: %d, then %d, %v", text, len(all), len(again), err)
		}
		_ = Check(public, all, Statement{Image, "other", hello.Digest})
	})
}
