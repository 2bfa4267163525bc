package secure

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/document"
)

// files are a certificate and its key in PEM.
func files(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, about, about, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for path, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestConfig(t *testing.T) {
	cert, key := files(t)
	c, err := TLS{CAFile: cert, CertFile: cert, KeyFile: key, ServerName: "name"}.For("host")
	if err != nil || c.RootCAs == nil || len(c.Certificates) != 1 || c.ServerName != "name" || c.InsecureSkipVerify {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err = (TLS{InsecureSkipVerify: true}).For("host"); err != nil || c.RootCAs != nil || len(c.Certificates) != 0 || c.ServerName != "host" || !c.InsecureSkipVerify {
		t.Errorf("%+v, %v", c, err)
	}
}

// Errors name the field, wherever they come from.
func TestMistakes(t *testing.T) {
	cert, key := files(t)
	for _, x := range []struct {
		TLS
		want string
	}{
		{TLS{CAFile: "/nowhere"}, "read tls.caFile: open /nowhere"}, {TLS{CAFile: key}, "read tls.caFile: there is no certificate"},
		{TLS{CertFile: "/nowhere", KeyFile: key}, "read tls.certFile: open"}, {TLS{CertFile: cert, KeyFile: "/nowhere"}, "read tls.keyFile: open"},
		{TLS{CertFile: key, KeyFile: cert}, "read tls.certFile: tls:"},
	} {
		if _, err := x.Config(); err == nil || !strings.HasPrefix(err.Error(), x.want) {
			t.Errorf("%+v: %v", x.TLS, err)
		}
	}
	for _, half := range []TLS{{CertFile: cert}, {KeyFile: key}} {
		var es document.Errors
		if half.Check(&es); es.Err() == nil || !strings.Contains(es.Err().Error(), "tls.certFile: certFile and keyFile go together") {
			t.Errorf("%+v: %v", half, es.Err())
		}
	}
	var es document.Errors
	if (TLS{CertFile: cert, KeyFile: key}).Check(&es); es.Err() != nil {
		t.Error(es.Err())
	}
}
