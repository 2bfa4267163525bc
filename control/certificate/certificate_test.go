package certificate_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/certificate"
)

// write makes a certificate of its own with a name, and puts it into dir.
func write(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func served(t *testing.T, c *tls.Config) string {
	t.Helper()
	got, err := c.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Leaf.Subject.CommonName
}

// Files that are replaced are used; while they do not fit each other, the
// certificate before them is.
func TestFilesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := write(t, dir, "one")
	f, err := certificate.Load(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	c := f.Config()
	if got := served(t, c); got != "one" || c.MinVersion < tls.VersionTLS12 {
		t.Fatalf("%s, %x", got, c.MinVersion)
	}
	if err := os.WriteFile(cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // it looks once a second
	if got := served(t, c); got != "one" {
		t.Errorf("with half a certificate: %s", got)
	}
	write(t, dir, "two")
	for deadline := time.Now().Add(20 * time.Second); served(t, c) != "two"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the new certificate is not used")
		}
	}
}

func TestWrongFiles(t *testing.T) {
	cert, _ := write(t, t.TempDir(), "one")
	_, key := write(t, t.TempDir(), "two")
	for _, c := range [][2]string{{cert, key}, {cert, "/none"}, {"/none", key}, {key, cert}} {
		if _, err := certificate.Load(c[0], c[1]); err == nil {
			t.Errorf("%v were taken", c)
		}
	}
}
